"""Nobody is in two parts, a site left out is unknown, and models of any study learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from nextaim_kit.errors import DataError
from nextaim_kit.learn.study_task import load_task
from nextaim_kit.studies.challenges.limited.training import Budget
from nextaim_kit.studies.challenges.reliability.models import (
    Parts,
    ensemble,
    learn,
    log_odds,
    sites_to_leave,
)
from tests.studies.challenges.reliability.conftest import made_table

KINDS = pytest.mark.parametrize("kind", ["table", "image"])


@KINDS
def test_no_patient_is_in_two_parts_and_everyone_in_one(learned, kind):
    task, parts, _ = learned[kind]
    rows = [parts.train, parts.val, parts.held, parts.test]
    for one, other in combinations(rows, 2):
        assert not set(task.groups[one]) & set(task.groups[other])
    assert sorted(np.concatenate(rows)) == list(range(len(task)))
    assert all(set(task.y[one]) == {0, 1} for one in rows)


def test_of_a_site_left_out_nobody_is_at_home(table):
    parts = Parts.of(table, 0, "B")
    assert set(table.sites[parts.away]) == {"B"}
    home = np.concatenate([parts.known, parts.held, parts.test])
    assert "B" not in table.sites[home]
    assert len(home) + len(parts.away) == len(table)


def test_the_largest_sites_with_both_outcomes_are_left_out(table):
    assert sites_to_leave(table, 2) == ["A", "B"]
    alone = made_table(80)
    object.__setattr__(alone, "sites", np.full(80, "A"))
    with pytest.raises(DataError, match="rows has no site to leave out"):
        sites_to_leave(alone, 2)


@KINDS
def test_a_model_tells_patients_apart_that_it_has_not_seen(learned, kind):
    task, parts, model = learned[kind]
    logit = model.logits(task.x[parts.test])
    assert roc_auc_score(task.y[parts.test], logit) > 0.8
    assert np.isfinite(model.deep(task.x[parts.test])).all()


def test_gaps_in_a_table_are_borne(learned):
    task, parts, model = learned["table"]
    x = task.x[parts.test].copy()
    x[:, 0] = np.nan
    assert np.isfinite(model.logits(x)).all()
    assert np.isfinite(model.deep(x)).all()
    assert np.isnan(model.seen(x)[:, 0]).all()


def test_members_differ_and_their_average_is_the_mean_probability(table, tmp_path):
    parts = Parts.of(table, 0)
    members = [learn(table, parts, tmp_path, Budget(20), member=k) for k in range(3)]
    x = table.x[parts.test]
    p = np.array([1 / (1 + np.exp(-one.logits(x))) for one in members])
    assert not np.allclose(p[0], p[1])
    assert np.allclose(ensemble(members).logits(x), log_odds(p.mean(0)))


def test_same_seed_same_model(images, tmp_path):
    parts = Parts.of(images, 0)
    found = [learn(images, parts, tmp_path / k, Budget(20), seed=3).logits(images.x) for k in "ab"]
    assert np.array_equal(*found)


@pytest.mark.parametrize("study", ["ct_radiomics", "asd_fusion"])
def test_models_of_the_kit_s_tables_answer(study, tmp_path):
    task = load_task(study, "synthetic", 80, 1)
    parts = Parts.of(task, 1, sites_to_leave(task, 1)[0])
    model = learn(task, parts, tmp_path, Budget(20))
    assert np.isfinite(model.logits(task.x[parts.away])).all()
