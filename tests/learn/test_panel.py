"""Agreement of many readers: held to a published example and to statsmodels; what is resampled."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as library_kappa

from nextaim_kit.errors import DataError
from nextaim_kit.learn.panel import (
    Over,
    difference,
    fleiss_kappa,
    mean_rating,
    panel_interval,
    raw_agreement,
)

# Fleiss 1971, table 1: 30 patients, 6 psychiatrists, 5 diagnoses; counts by diagnosis.
DIAGNOSES = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)


def of_counts(rows) -> np.ndarray:
    """Codes by case and reader that have these counts."""
    return np.array([np.repeat(np.arange(len(row)), [int(c) for c in row]) for row in rows])


def value(measure, codes) -> float:
    return panel_interval(measure, *np.shape(codes), n_boot=0)[0]


def codes_of(seed: int = 0, cases: int = 30, readers: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    felt = rng.normal(0, 1, (cases, 1)) + rng.normal(0, 0.7, (cases, readers))
    return np.digitize(felt, [-0.5, 0.5]).astype(float)


def test_kappa_of_fleiss_own_example_is_the_published_one():
    codes = of_counts(DIAGNOSES.split())
    assert value(fleiss_kappa(codes), codes) == pytest.approx(0.430, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_kappa_of_whole_answers_is_the_library_s(seed):
    codes = codes_of(seed)
    expected = library_kappa(aggregate_raters(codes.astype(int), 3)[0])
    assert value(fleiss_kappa(codes), codes) == pytest.approx(expected, abs=1e-12)


def test_a_reader_drawn_twice_is_no_second_reader_who_agrees():
    codes = codes_of()
    weights = np.ones((1, 30)), np.array([[2.0, 1, 1, 1, 0]])
    doubled = np.column_stack([codes[:, :4], codes[:, 0]])
    assert raw_agreement(codes)(*weights)[0] < value(raw_agreement(doubled), doubled)


def test_cases_drawn_twice_count_twice():
    codes = codes_of()
    weights = np.r_[2.0, 0, np.ones(28)][None]
    drawn = np.r_[codes[:1], codes[:1], codes[2:]]
    found = fleiss_kappa(codes)(weights, np.ones((1, 5)))[0]
    assert found == pytest.approx(value(fleiss_kappa(drawn), drawn))


def test_a_case_that_one_reader_alone_has_rated_changes_nothing():
    codes = codes_of()
    lonely = np.r_[codes, [[2, *[np.nan] * 4]]]
    assert value(fleiss_kappa(lonely), lonely) == pytest.approx(value(fleiss_kappa(codes), codes))


def test_kappa_is_one_of_full_agreement_near_zero_of_none_and_no_number_of_constant_answers():
    same = np.repeat(codes_of(readers=1), 4, axis=1)
    by_chance = np.random.default_rng(0).integers(0, 3, (3000, 4))
    assert value(fleiss_kappa(same), same) == pytest.approx(1)
    assert value(fleiss_kappa(by_chance), by_chance) == pytest.approx(0, abs=0.02)
    assert np.isnan(value(fleiss_kappa(np.zeros((9, 3))), np.zeros((9, 3))))


def test_the_difference_is_that_of_the_two_means():
    codes, first = codes_of(), np.arange(30) < 12
    expected = codes[:12].mean() - codes[12:].mean()
    assert value(difference(codes, first), codes) == pytest.approx(expected)
    assert value(mean_rating(codes), codes) == pytest.approx(codes.mean())


def test_an_interval_over_both_is_wider_than_over_either():
    codes, first = codes_of(readers=4), np.arange(30) % 2 == 0
    width = {}
    for over in ("readers and cases", "readers", "cases"):
        _, low, high = panel_interval(difference(codes, first), 30, 4, over=over, classes=first)
        width[over] = high - low
    assert width["readers and cases"] > max(width["readers"], width["cases"])


def test_a_panel_s_interval_is_the_same_however_many_resamples_are_measured_at_a_time(monkeypatch):
    codes = codes_of(readers=4)
    whole = [panel_interval(fleiss_kappa(codes), 30, 4, over=o) for o in get_args(Over)]
    monkeypatch.setattr("nextaim_kit.learn.intervals._CELLS", 30 * 7)
    few = [panel_interval(fleiss_kappa(codes), 30, 4, over=o) for o in get_args(Over)]
    assert np.array(few) == pytest.approx(np.array(whole), abs=1e-12)


def test_two_readers_stand_for_no_others():
    codes = codes_of(readers=2)
    both = panel_interval(fleiss_kappa(codes), 30, 2)
    assert both == panel_interval(fleiss_kappa(codes), 30, 2, over="cases")


def test_intervals_over_readers_and_cases_hold_the_truth_about_as_often_as_they_say():
    def panel(rng, cases, readers):
        first = np.arange(cases) % 2 == 0
        felt = first[:, None] + rng.normal(0, 0.7, (cases, 1)) + rng.normal(0, 0.5, (1, readers))
        slope = first[:, None] * rng.normal(0, 0.5, (1, readers))
        return felt + slope + rng.normal(0, 0.8, (cases, readers)), first

    rng, held = np.random.default_rng(1), 0
    for seed in range(150):
        ratings, first = panel(rng, 40, 5)
        found = panel_interval(
            difference(ratings, first), 40, 5, n_boot=200, seed=seed, classes=first
        )
        held += found[1] <= 1 <= found[2]
    assert 0.88 <= held / 150 <= 1


@pytest.mark.parametrize("codes", [[[0.5, 1]], [[-1, 0]], [[np.nan, np.nan]], [0, 1]])
def test_what_are_no_categories_is_refused(codes):
    with pytest.raises(DataError, match="no categories"):
        fleiss_kappa(codes)
