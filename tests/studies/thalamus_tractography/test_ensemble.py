"""An ensemble whose members have each seen half of the heads, and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Seen
from nextaim_kit.studies.thalamus_tractography import ensemble, planning
from nextaim_kit.studies.thalamus_tractography.comparison import mean_correlation
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE
from nextaim_kit.studies.thalamus_tractography.ensemble import Example, Member, Race


@dataclass(frozen=True)
class Noted:
    """In place of a training: its network is who has trained it, and who chose the epoch."""

    seed: int = 0

    def thalamus(self, first, val, folder):
        return SimpleNamespace(net=({c.subject for c in first}, {c.subject for c in val}))

    maps = thalamus


def heads(n):
    return [SimpleNamespace(subject=f"h{k}") for k in range(n)]


@pytest.mark.parametrize(("n", "members"), [(2, 2), (4, 4), (5, 4), (9, 6)])
def test_every_head_is_new_to_half_of_the_networks(n, members, tmp_path):
    team = ensemble.train_members(heads(n), Noted(), tmp_path, members=members, few=True)
    assert len(team) == members
    for one in heads(n):
        new = ensemble.new_to(one.subject, team)
        assert len(new) == members // 2
        assert all(one.subject not in set().union(*networks.thalamus) for networks in new)


def test_too_few_heads_make_no_ensemble(tmp_path):
    with pytest.raises(DataError, match=r"(?s)too few heads.*4 or more.*3"):
        ensemble.train_members(heads(3), Noted(), tmp_path, members=4)


def test_who_trained_all_networks_gets_no_plan_by_them():
    team = [Member("a", Seen.of(["P1", "P2"])), Member("b", Seen.of(["P1"]))]
    assert ensemble.new_to("P2", team) == ["b"]
    with pytest.raises(DataError, match="P1 trained the networks"):
        ensemble.new_to("P1", team)


def test_a_folder_without_networks_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no networks"):
        ensemble.load_members(tmp_path)


def test_an_indirect_target_is_where_the_others_have_theirs():
    ends = {"AC": np.array([0.0, 13, 0]), "PC": np.array([0.0, -13, 0])}
    places = np.array([[-10.0, 0, 0], [-12, 2, 0], [-20, 4, 6]])
    known = [Example(None, [], ends | {"tracked": at}, {}) for at in places]
    np.testing.assert_allclose(ensemble.indirect(known)[2], places[:2].mean(0))


def test_tracking_that_never_agrees_as_well_takes_all_its_seconds():
    tracking = pd.DataFrame({"per_voxel": [1, 3], "seconds": [1.0, 3.0], "agreement": [0.2, 0.6]})
    assert Race(tracking, 0, 0, 0.4, {}).equal == (pytest.approx(2.0), True)
    assert Race(tracking, 0, 0, 0.9, {}).equal == (3.0, False)
    assert Race(tracking, 0, 0, float("nan"), {}).equal == (3.0, False)


def test_correlation_is_the_mean_over_the_maps():
    inside, up = np.ones((4, 1, 1), bool), np.arange(4.0)[:, None, None]
    truth = np.stack([up, up], -1)
    assert mean_correlation(truth, truth, inside) == pytest.approx(1)
    assert mean_correlation(np.stack([up, -up], -1), truth, inside) == pytest.approx(0)


def test_a_thalamus_that_is_given_is_not_looked_for(monkeypatch):
    monkeypatch.setattr(planning, "maps_in", lambda mask, *_: np.repeat(mask[..., None], 6, -1))
    mask = np.zeros(BOX_SHAPE, np.float32)
    mask[10:20, 20:30, 20:30] = 0.7
    found = planning.View(np.eye(4), mask, None, mask).predicted(None, "left")
    assert found.mask.sum() == 1000
    assert (found.maps.sum((0, 1, 2)) == 1000).all()
