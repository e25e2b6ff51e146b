"""Intervals cover the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import (
    interval,
    mean_interval,
    over_folds,
    proportion_interval,
    resamples,
    summary,
    with_interval,
)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # Clopper and Pearson's, as R's binom.test gives them.
    [(11, 11, 0.7151, 1), (0, 11, 0, 0.2849), (8, 10, 0.4439, 0.9748), (98, 120, 0.7356, 0.8814)],
)
def test_a_proportion_has_the_exact_interval(hits, n, low, high):
    assert proportion_interval(hits, n) == pytest.approx((hits / n, low, high), abs=1e-4)


def test_a_proportion_of_nothing_has_no_interval():
    assert np.isnan(proportion_interval(0, 0)).all()


def test_the_mean_of_ten_patients_is_covered_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    held = {"plain": 0, "ours": 0}
    for values in rng.normal(0, 1, (400, 10)):
        drawn = np.r_[values.mean(), values[rng.integers(0, 10, (1000, 10))].mean(axis=1)]
        for way, mean_of in (("plain", None), ("ours", 10)):
            _, low, high = with_interval(drawn, mean_of=mean_of)
            held[way] += low <= 0 <= high
    assert held["plain"] / 400 < 0.92
    assert 0.92 < held["ours"] / 400 < 0.975


def test_the_interval_of_many_patients_is_the_percentile_bootstrap():
    values = np.random.default_rng(1).exponential(size=2000)
    _, low, high = mean_interval(values)
    known = bootstrap((values,), np.mean, method="percentile", n_resamples=2000, rng=0)
    assert (low, high) == pytest.approx(known.confidence_interval, abs=0.01)


def test_the_widening_of_three_patients_is_that_of_student_s_t():
    value, low, high = with_interval([1.0, *np.linspace(0, 2, 1001)], mean_of=3)
    factor = 4.302653 / 1.959964 * np.sqrt(3 / 2)
    assert (value, low, high) == pytest.approx((1, 1 - 0.95 * factor, 1 + 0.95 * factor))


def test_one_patient_has_a_mean_and_no_interval():
    assert mean_interval([0.8])[0] == 0.8
    assert np.isnan(mean_interval([0.8])[1:]).all()


def test_the_mean_of_yes_and_no_is_a_proportion_and_that_of_numbers_is_none():
    assert mean_interval([True] * 11) == pytest.approx((1, 0.715, 1), abs=1e-3)
    assert mean_interval([True] * 8 + [False] * 2) == proportion_interval(8, 10)
    assert mean_interval([0.0] * 4) == (0, 0, 0)  # a difference that nobody has
    films, who = [True] * 22, np.repeat(range(11), 2)
    assert mean_interval(films, groups=who) == pytest.approx((1, 0.715, 1), abs=1e-3)


def test_the_interval_over_folds_is_nadeau_and_bengio_s():
    # Their variance is 0.00625; Student's t of 4 degrees of freedom is 2.776445.
    value, low, high = over_folds([0.70, 0.75, 0.80, 0.85, 0.90], 1 / 4)
    margin = 2.776445 * np.sqrt((1 / 5 + 1 / 4) * 0.00625)
    assert (value, low, high) == pytest.approx((0.8, 0.8 - margin, 0.8 + margin), abs=1e-6)
    assert over_folds([0.7, np.nan, 0.9], 0.5)[0] == pytest.approx(0.8)
    assert np.isnan(over_folds([0.7], 1 / 4)[1:]).all()


def test_a_measure_s_interval_is_that_of_scipy_and_memory_does_not_grow_with_it():
    values = np.random.default_rng(2).lognormal(size=400)
    spread = interval(lambda w: np.sqrt(w @ values**2 / 400), 400, n_boot=4000)
    known = bootstrap(
        (values,), lambda v, axis: np.sqrt((v**2).mean(axis)), method="percentile", rng=0
    )
    assert spread[1:] == pytest.approx(known.confidence_interval, abs=0.05)
    sizes = [w.nbytes for w in resamples(20_000, n_boot=500)]
    assert max(sizes) <= 2**20 < sum(sizes)


def test_paired_measures_share_their_resamples():
    values = np.random.default_rng(3).normal(size=50)

    def mean(shift):
        return lambda w: w @ (values + shift) / w.sum(axis=1)

    assert interval(mean(0.5), 50, paired=mean(0)) == pytest.approx((0.5, 0.5, 0.5))


def test_rows_of_a_patient_are_drawn_together_and_every_class_is_there():
    who, y = np.repeat(range(6), 2), np.repeat([1, 0, 0, 0, 0, 0], 2)
    first, *others = np.concatenate(list(resamples(12, groups=who, classes=y, n_boot=200)))
    assert (first == 1).all()
    assert all((w[::2] == w[1::2]).all() and w.sum() == 12 for w in others)
    assert all(w[y == 1].sum() > 0 for w in others)


def test_a_summary_has_the_mean_of_each_column_by_group_with_its_n():
    table = pd.DataFrame({
        "way": ["b", "b", "b", "a", "a"], "patient": [1, 1, 2, 3, 4],
        "dsc": [0.5, 0.7, 0.9, np.nan, 0.4], "right": [True, True, True, True, False],
    })  # fmt: skip
    found = summary(table, "way", groups="patient", n_boot=50)
    assert found[["way", "metric", "n"]].to_numpy().tolist() == [
        ["b", "dsc", 3], ["b", "right", 3], ["a", "dsc", 1], ["a", "right", 2]
    ]  # fmt: skip
    assert found["value"].tolist() == pytest.approx([0.7, 1, 0.4, 0.5])
    assert found.loc[3, ["low", "high"]].tolist() == list(proportion_interval(1, 2)[1:])
    assert np.isnan(found.loc[2, "low"])


def test_the_interval_of_a_few_dice_values_ends_at_one_and_what_lies_within_stays():
    few = [0.99, 0.99, 0.98, 0.7]
    value, low, high = mean_interval(few)
    assert high > 1
    assert mean_interval(few, bounds=(0, 1)) == (value, low, 1)
    assert mean_interval(few, bounds=(0, 2)) == (value, low, high)
    table = pd.DataFrame({"way": "a", "dsc": few, "hd95": few})
    found = summary(table, "way", bounds={"dsc": (0, 1)})
    assert found["high"].tolist() == [1, high]


def test_the_interval_of_yes_and_no_of_films_lies_between_none_and_all():
    _, low, high = mean_interval([True, True, True, False, True], groups=[1, 1, 2, 2, 3])
    assert low >= 0
    assert high == 1


def test_a_value_beyond_its_bounds_is_refused_but_not_for_its_rounding():
    assert mean_interval([0.5, 1 + 1e-9], bounds=(0, 1))[2] == 1
    with pytest.raises(DataError, match=r"beyond what they can be(.|\n)*0 to 1(.|\n)*0\.5 to 98"):
        mean_interval([0.5, 98], bounds=(0, 1))


def test_a_resample_is_the_same_however_many_are_measured_at_a_time(monkeypatch):
    y = np.zeros(300, int)
    y[:2] = 1  # one resample in seven lacks them, and is drawn again
    whole = np.concatenate(list(resamples(300, classes=y, n_boot=60)))
    monkeypatch.setattr("nextaim_kit.learn.intervals._CELLS", 300 * 7)
    few = np.concatenate(list(resamples(300, classes=y, n_boot=60)))
    assert (few == whole).all()
    assert (whole[:, :2].sum(axis=1) > 0).all()
    drawn = np.random.default_rng(0).integers(0, 300, 300)  # the first draw, which has one
    assert (whole[1] == np.bincount(drawn, minlength=300)).all()
