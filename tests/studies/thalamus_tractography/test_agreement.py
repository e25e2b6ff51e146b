"""Measures of two maps, with values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography import agreement
from nextaim_kit.studies.thalamus_tractography.reference import Tracking, track_subject
from nextaim_kit.studies.thalamus_tractography.tracking import Walk

ONE = np.array([[0.9, 0.0], [0.6, 0.3], [0.2, 0.3], [0.0, 0.0]])


def test_the_winner_is_the_largest_share_and_nobody_s_voxels_have_none():
    assert agreement.winners(ONE).tolist() == [1, 1, 2, 0]


def test_voxels_that_nobody_wins_do_not_count_as_the_same():
    assert agreement.winner_agreement(ONE, ONE) == 0.75
    assert agreement.winner_agreement(ONE, ONE[:, ::-1]) == 0


def test_a_map_agrees_with_itself_and_with_half_of_itself_in_all_but_its_height():
    same = agreement.agreement(ONE, ONE, ("a", "b"))
    assert (same[["correlation", "dice_10", "dice_25"]] == 1).all(axis=None)
    half = agreement.agreement(ONE, ONE / 2, ("a", "b"), (0.25,))
    assert half["correlation"].to_numpy() == pytest.approx(1)
    assert half["dice_25"].to_numpy() == pytest.approx([1.0, 0.0])  # 0.9, 0.6 of 0.45, 0.3
    assert half["error"].to_numpy() == pytest.approx([1.7 / 8, 0.6 / 8])


def test_a_constant_map_has_no_correlation():
    table = agreement.agreement(0 * ONE, ONE, ("a", "b"))
    assert table["correlation"].isna().all()
    assert (table["dice_25"] == 0).all()


def test_halves_grow_alike_as_chance_says():
    rng = np.random.default_rng(0)
    touched = rng.random((4000, 256, 1)) < rng.random((4000, 1, 1))
    table = agreement.convergence(touched, [8, 32, 128, 512], (0.5,))
    assert table["streamlines"].tolist() == [8, 32, 128]  # 512 in each half are not there
    rest = 1 - table["dice"].to_numpy()
    assert rest[:-1] / rest[1:] == pytest.approx([2, 2], rel=0.25)


def test_how_many_are_enough_is_read_or_extrapolated():
    table = agreement.convergence(np.ones((5, 20, 2), bool), [1, 2, 4, 8])
    assert agreement.enough(table, 0.25) == 1
    table = table.assign(dice=[0.5] * 3 + [0.6] * 3 + [0.8] * 3 + [0.9] * 3)
    assert agreement.enough(table, 0.25) == 32  # half of 1 - 0.9: four times 8
    assert agreement.enough(table, 0.25, 0.8) == 4


def test_tracking_beats_the_nearest_cortex_and_is_wrong_where_bundles_cross(still):
    row, truth = still
    found = track_subject({**row, "kind": "series"}, Tracking(walk=Walk(20), error=0.0))
    near = agreement.nearest_winner(found, truth)
    assert agreement.true_winner(found, truth) > near + 0.2
    right = agreement.where_wrong(found, truth).set_index("kind")
    assert right["n"][:2].sum() == right["n"][2:].sum() == found.thalamus.sum()
    assert right["right"]["inside a territory"] > right["right"]["at a border"]
    spots = agreement.centers(found).set_index("target")
    assert spots["y"]["frontal"] > spots["y"]["occipital"] + 5  # mm
    assert 0.05 < near < 0.5
