"""Formulas of texture on matrices small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.ct_radiomics.ibsi.formulas import (
    EMPHASES,
    Counts,
    cooccurrence,
    emphases,
    merged,
    tone,
)


def test_cooccurrence_of_two_levels():
    found = cooccurrence(np.array([[2, 1], [1, 0]]))
    assert len(found) == 25
    assert found["joint_avg"] == 1.25
    assert found["joint_var"] == 0.1875
    assert found["joint_entr"] == 1.5
    assert found["sum_avg"] == 2.5
    assert found["energy"] == 0.375
    assert found["contrast"] == found["dissimilarity"] == found["inv_var"] == 0.5
    assert found["inv_diff"] == 0.75
    assert found["inv_diff_norm"] == pytest.approx(0.5 + 0.5 / 1.5)
    assert found["inv_diff_mom_norm"] == pytest.approx(0.5 + 0.5 / 1.25)
    assert found["auto_corr"] == 1.5
    assert found["corr"] == pytest.approx(-1 / 3)


def test_levels_that_always_meet_their_like_are_fully_informative():
    found = cooccurrence(np.diag([3, 3]))
    assert found["corr"] == 1
    assert found["info_corr1"] == pytest.approx(-1)
    assert found["info_corr2"] == pytest.approx((1 - np.exp(-2)) ** 0.5)


def test_one_level_has_no_correlation_and_no_pair_has_nothing():
    one = cooccurrence(np.array([[4]]))
    assert np.isnan(one["corr"])
    assert (one["energy"], one["joint_entr"]) == (1, 0)
    assert np.isnan(list(cooccurrence(np.zeros((3, 3))).values())).all()


def test_runs_of_a_row_of_three():
    # 1 1 2: one run of two, one of one.
    found = emphases("rlm", Counts(np.array([1, 2]), np.array([2, 1]), np.array([1, 1]), 3))
    assert list(found) == EMPHASES["rlm"].split()
    assert found["sre"] == (1 / 4 + 1) / 2
    assert found["lre"] == 2.5
    assert found["lgre"] == (1 + 1 / 4) / 2
    assert found["srhge"] == (1 / 4 + 4) / 2
    assert found["lrlge"] == (4 + 1 / 4) / 2
    assert found["glnu"] == found["rlnu"] == 1
    assert found["r_perc"] == pytest.approx(2 / 3)
    assert found["gl_var"] == found["rl_var"] == 0.25
    assert found["rl_entr"] == 1


def test_matrices_merge_by_adding_the_same_entries():
    one = Counts(np.array([1, 2]), np.array([3, 1]), np.array([1, 2]), 5)
    both = merged([one, Counts(np.array([2]), np.array([1]), np.array([4]), 4)])
    assert sorted(zip(*both[:3], strict=True)) == [(1, 3, 1), (2, 1, 6)]
    assert both.voxels == 9


def test_tone_of_two_voxels():
    # 1 beside 3: each differs by 2 from the mean of its neighbors.
    found = tone(np.array([[1, 0, 1], [2, 0, 2]]))
    assert found == pytest.approx(
        {"coarseness": 0.5, "contrast": 2, "busyness": 1, "complexity": 4, "strength": 2}
    )


def test_tone_of_one_level_and_of_voxels_without_neighbors():
    flat = tone(np.array([[5], [0]]))
    assert flat == {
        "coarseness": 1e6, "contrast": 0, "busyness": 0, "complexity": 0, "strength": 0
    }  # fmt: skip
    assert np.isnan(list(tone(np.zeros((2, 4))).values())).all()
