"""Methods say which data they are for, share one budget, and never learn from who is tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.recipe import Cosine
from nextaim_kit.studies.challenges.limited import beside, measuring, ways
from nextaim_kit.studies.challenges.limited.foundation import frozen_features
from nextaim_kit.studies.challenges.limited.pretext import Contrastive
from nextaim_kit.studies.challenges.limited.training import Again, Budget, labeled
from nextaim_kit.studies.challenges.limited.ways import WAYS
from tests.studies.challenges.limited.conftest import made_images, made_table


def auc_of(learner, name, size=40):
    known = learner.split.draw(size, 0)
    score = learner.scores(name, known, 0)
    return roc_auc_score(learner.task.y[learner.split.test], score)


def test_a_table_leaves_out_what_is_for_images_by_name(table, images, learner):
    names, left = learner(table).usable(list(WAYS))
    assert names == ["simple", "study", "scratch", "contrastive", "masked"]
    assert left.set_index("method")["why"]["augmented"] == "for images, and this is a table"
    names, left = learner(images).usable(["simple", "transfer", "foundation", "study"])
    assert names == ["simple"]
    assert "transfer_from" in left.set_index("method")["why"]["transfer"]


def test_an_unknown_method_or_none_that_can_be_tried_is_refused(images, learner):
    with pytest.raises(RequestError, match="no method 'magic'"):
        learner(images).usable(["magic"])
    with pytest.raises(RequestError, match="no method can be tried"):
        learner(images).usable(["study"])


@pytest.mark.parametrize("name", ["simple", "study", "scratch", "contrastive", "masked"])
def test_a_method_of_tables_finds_a_strong_signal(table, learner, name):
    assert auc_of(learner(table, 80), name) > 0.75


@pytest.mark.parametrize("name", ["simple", "scratch", "augmented", "contrastive", "masked"])
def test_a_method_of_images_finds_a_strong_signal(images, learner, name):
    assert auc_of(learner(images, 80), name) > 0.8


def test_what_another_study_teaches_is_carried_over(learner):
    source = replace(made_images(seed=5), name="other")
    few = learner(made_images(bright=0.8), 80, source=source)
    assert auc_of(few, "transfer", 8) > auc_of(few, "scratch", 8)


def test_the_pool_is_pre_trained_on_once_a_draw_whatever_the_sizes(images, learner, monkeypatch):
    made = []
    real = ways.fit_unlabeled
    monkeypatch.setattr(ways, "fit_unlabeled", lambda *a, **k: made.append(a[3]) or real(*a, **k))
    one = learner(images)
    measuring.learn_all(one, ["contrastive"], [16, 32], 2)
    assert [path.name for path in made] == ["contrastive_0"] * 2 + ["contrastive_1"] * 2
    written = (one.folder / "contrastive_0").stat().st_mtime_ns
    one.scores("contrastive", one.split.draw(16, 0), 0)
    assert (one.folder / "contrastive_0").stat().st_mtime_ns == written


def test_pre_training_on_a_patient_who_is_tested_is_refused(images, learner):
    one = learner(images)
    planted = np.append(one.split.pool, one.split.test[0])
    with pytest.raises(DataError, match="1 of the patients to be tested would be learned from"):
        one.pretrained(Contrastive, planted, 0)
    known = replace(one.split.draw(16, 0), val=one.split.test[:3])
    with pytest.raises(DataError, match="would be learned from"):
        one.scores("simple", known, 0)


def test_pre_training_does_not_see_outcomes(images, learner):
    first, second = learner(images), learner(replace(images, y=1 - images.y))
    second = replace(second, folder=first.folder / "other", split=replace(
        second.split, test=first.split.test, pool=first.split.pool))  # fmt: skip
    rows = first.split.pool
    bodies = [one.pretrained(Contrastive, rows, 0) for one in (first, second)]
    for one, other in zip(*(body.parameters() for body in bodies), strict=True):
        assert torch.equal(one, other)


def test_few_and_many_patients_make_as_many_updates():
    for n in (10, 1000):
        items = labeled(torch.arange(n).float()[:, None], np.zeros(n))
        again = Again(items, 320)
        assert len(again) == 320
        seen = {int(again[k][0]) for k in range(320)}
        assert len(seen) == n if n == 10 else len(seen) > 200
    recipe = Budget(100).recipe
    assert (recipe.epochs, recipe.schedule) == (5, Cosine())
    assert Budget(100).half.recipe.epochs == 2


def test_another_cohort_is_measured_without_another_training(learner, monkeypatch):
    one = learner(made_images(), 80)
    measuring.learn_all(one, ["scratch", "contrastive"], [40], 1)
    other = made_images(60, seed=4)
    other = replace(other, groups=np.array([f"N{name}" for name in other.groups]))
    there = replace(one, split=one.split.elsewhere(other))
    written = {p: p.stat().st_mtime_ns for p in one.folder.rglob("*") if p.is_file()}
    told = measuring.learn_all(there, ["scratch", "contrastive"], [40], 1)
    assert {p: p.stat().st_mtime_ns for p in one.folder.rglob("*") if p.is_file()} == written
    found = measuring.learning_curves(told, there.task)
    assert (found["value"] > 0.8).all()


def test_same_seed_same_scores(table, learner, tmp_path):
    one = learner(table)
    told = [
        measuring.learn_all(replace(one, folder=tmp_path / k), ["scratch", "masked"], [24], 1)
        for k in "ab"
    ]
    assert told[0].equals(told[1])


def test_another_study_s_twin_must_be_another_s_and_of_images(images):
    assert ways.source_of("", images, 20, 0) is None
    with pytest.raises(RequestError, match="another study"):
        ways.source_of("made", images, 20, 0)
    with pytest.raises(RequestError, match="no images to transfer from"):
        ways.source_of("asd_fusion", images, 80, 0)


def test_features_of_a_local_model_are_a_method_and_another_folder_is_refused(
    images, learner, tmp_path
):
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    small = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16,
                      intermediate_size=16, patch_size=8)  # fmt: skip
    ViTModel(small).save_pretrained(tmp_path / "vit")
    assert frozen_features(images.x[:3], tmp_path / "vit").shape == (3, 16)
    one = learner(images, weights=tmp_path / "vit")
    assert one.usable(["simple", "foundation"])[0] == ["simple", "foundation"]
    assert auc_of(one, "foundation") > 0.8
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no model of images"):
        frozen_features(images.x[:3], tmp_path / "empty")


def test_a_penalty_chosen_on_who_is_tested_seems_to_gain(learner):
    noise = learner(made_table(90, 40, seed=3))
    found = beside.tuned_on_tested(noise, [16, 32], 2)
    assert (found["value"] >= 0).all()
    assert found["value"].max() > 0.005


def test_a_body_is_probed_beside_features_made_by_hand(images, learner):
    found = beside.probed(learner(images), 32, 2).set_index("name")
    assert list(found.index) == ["random weights", "contrastive", "masked", "made by hand"]
    assert (found["low"] <= found["value"]).all()
    assert found.loc["made by hand", "value"] > 0.9
