"""DeLong's formula gives published numbers, and agrees with the bootstrap beside it."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.delong import delong
from nextaim_kit.learn.metrics import auc, auc_interval, evaluate

# The 49 patients of DeLong et al. 1988: albumin, total protein, Krebs-Goplerud score, outcome.
OVARIAN = np.array([
    [3.0, 5.8, 10, 0], [3.2, 6.3, 5, 1], [3.9, 6.8, 3, 1], [2.8, 4.8, 6, 0], [3.2, 5.8, 3, 1],
    [0.9, 4.0, 5, 0], [2.5, 5.7, 8, 0], [1.6, 5.6, 5, 1], [3.8, 5.7, 5, 1], [3.7, 6.7, 6, 1],
    [3.2, 5.4, 4, 1], [3.8, 6.6, 6, 1], [4.1, 6.6, 5, 1], [3.6, 5.7, 5, 1], [4.3, 7.0, 4, 1],
    [3.6, 6.7, 4, 0], [2.3, 4.4, 6, 1], [4.2, 7.6, 4, 0], [4.0, 6.6, 6, 0], [3.5, 5.8, 6, 1],
    [3.8, 6.8, 7, 1], [3.0, 4.7, 8, 0], [4.5, 7.4, 5, 1], [3.7, 7.4, 5, 1], [3.1, 6.6, 6, 1],
    [4.1, 8.2, 6, 1], [4.3, 7.0, 5, 1], [4.3, 6.5, 4, 1], [3.2, 5.1, 5, 1], [2.6, 4.7, 6, 1],
    [3.3, 6.8, 6, 0], [1.7, 4.0, 7, 0], [3.7, 6.1, 5, 1], [3.3, 6.3, 7, 1], [4.2, 7.7, 6, 1],
    [3.5, 6.2, 5, 1], [2.9, 5.7, 9, 0], [2.1, 4.8, 7, 1], [2.8, 6.2, 8, 0], [4.0, 7.0, 7, 1],
    [3.3, 5.7, 6, 1], [3.7, 6.9, 5, 1], [3.6, 6.6, 5, 1],
])  # fmt: skip


def patients(n=300, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    return y, y + rng.normal(0, 1.2, n), y + rng.normal(0, 1.8, n)


def by_definition(y, score):
    """DeLong's variance with every pair of patients written out."""
    one, two = score[y == 1][:, None], score[y == 0][None, :]
    order = (one > two) + (one == two) / 2
    parts = (order.mean(axis=1 - k).var(ddof=1) / order.shape[k] for k in (0, 1))
    return order.mean(), np.sqrt(sum(parts))


@pytest.mark.parametrize(
    ("column", "area", "error", "against"),
    # As SAS gives them for these patients; the score, of which less is better, is the reference.
    [(0, 0.7366, 0.0927, (0.0108, -0.1761, 0.1976, 0.9102)),
     (1, 0.6478, 0.1000, (-0.0780, -0.2830, 0.1271, 0.4562))],
)  # fmt: skip
def test_areas_and_their_differences_are_those_that_were_published(column, area, error, against):
    y, score = OVARIAN[:, 3], 10 - OVARIAN[:, 2]
    found = delong(y, OVARIAN[:, column])
    assert found.value == pytest.approx(area, abs=5e-5)
    assert (found.high - found.low) / 2 / 1.959964 == pytest.approx(error, abs=5e-5)
    assert delong(y, OVARIAN[:, column], other=score) == pytest.approx(against, abs=1e-4)


@pytest.mark.parametrize("digits", [12, 0])  # without ties and with many
def test_the_fast_way_is_the_definition(digits):
    y, one, _ = patients()
    found, (area, error) = delong(y, one.round(digits)), by_definition(y, one.round(digits))
    assert found.value == pytest.approx(area, abs=1e-12)
    assert found.value == pytest.approx(auc(y, one.round(digits)), abs=1e-12)
    assert found.high - found.value == pytest.approx(1.959964 * error, abs=1e-12)


def test_of_many_patients_formula_and_bootstrap_agree_alone_and_paired():
    y, one, two = patients(2000)
    for how in ({}, {"other": two}):
        assert delong(y, one, **how)[:3] == pytest.approx(auc_interval(y, one, **how), abs=0.004)


def test_films_of_a_patient_count_as_their_patient():
    y, one, two = patients(400)
    who = np.repeat(range(400), 3)
    films = [np.repeat(values, 3) for values in (y, one, two)]
    assert delong(films[0], films[1], other=films[2], groups=who) == pytest.approx(
        delong(y, one, other=two), abs=1e-12
    )
    noise = np.random.default_rng(1).normal(0, 1, 1200)
    found = delong(films[0], films[1] + noise, groups=who)[:3]
    assert found == pytest.approx(auc_interval(films[0], films[1] + noise, groups=who), abs=0.01)


def test_patients_with_films_of_both_outcomes_vary_with_their_films():
    rng = np.random.default_rng(2)
    who, y = np.repeat(range(300), 4), np.tile([0, 0, 1, 1], 300)
    score = y + np.repeat(rng.normal(0, 2, 300), 4) + rng.normal(0, 0.5, 1200)
    ours = delong(y, score, groups=who)[:3]
    assert ours == pytest.approx(auc_interval(y, score, groups=who), abs=0.006)
    assert delong(y, score).high - delong(y, score).low > 1.5 * (ours[2] - ours[1])


def test_repeats_are_averaged_before_their_error_is_told():
    y, one, _ = patients()
    twice = delong(y, np.c_[one, one])
    assert twice == pytest.approx(delong(y, one), abs=1e-12)


@pytest.mark.parametrize(
    ("y", "score", "other"),
    [([0, 0, 1, 1], [1, 2, 3, 4], None), ([0, 1, 0, 1], [1, 3, 2, 4], [1, 9, 2, 16]),
     ([0, 0, 0, 1], [1, 3, 2, 2.5], None)],
)  # fmt: skip
def test_where_no_error_can_be_told_there_is_no_interval(y, score, other):
    found = delong(y, score, other=other)
    assert np.isnan(found[1:]).all()
    assert np.isfinite(found.value)
    assert found.words == ""


def test_it_stands_beside_the_bootstrap_and_says_so():
    y, one, _ = patients()
    p = 1 / (1 + np.exp(-one))
    row = evaluate(y, p, n_boot=50).iloc[0]
    assert (row["metric"], row["interval"]) == ("auc", "bootstrap")
    assert row["note"] == "DeLong [{:.3f}, {:.3f}]".format(*delong(y, p)[1:3])


def test_what_is_no_score_is_refused():
    with pytest.raises(DataError, match="both outcomes"):
        delong([1, 1], [0.2, 0.3])
