"""Agreement is what the literature's formulas give, and what is planted is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from nextaim_kit.errors import DataError
from nextaim_kit.learn.agreement import (
    icc,
    icc_interval,
    kappa_as_reader,
    kappa_matrix,
    limits_of_agreement,
    mean_kappa,
    weighted_kappa,
)

# Shrout and Fleiss 1979, table 2.
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def panel(readers=4, error=0.8, n=150, seed=0):
    """Classes 0 to 4 of a common truth, each reader with an own error."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 4, n)
    seen = truth[:, None] + rng.normal(0, error, (n, readers))
    names = [f"R{k}" for k in range(readers)]
    return pd.DataFrame(np.clip(seen.round(), 0, 4), columns=names), truth


def test_weighted_kappa_is_scikit_learn_s():
    codes, _ = panel()
    expected = cohen_kappa_score(codes["R0"], codes["R1"], weights="quadratic")
    assert weighted_kappa(codes["R0"], codes["R1"]) == pytest.approx(expected)


def test_weighted_kappa_looks_at_what_both_have_read():
    codes, _ = panel()
    gaps = codes.copy()
    gaps.loc[:9, "R0"], gaps.loc[10:19, "R1"] = np.nan, np.nan
    expected = weighted_kappa(codes["R0"][20:], codes["R1"][20:])
    assert weighted_kappa(gaps["R0"], gaps["R1"]) == pytest.approx(expected)


def test_the_kappa_matrix_is_symmetric_and_holds_the_kappas_of_pairs():
    codes, _ = panel()
    matrix = kappa_matrix(codes)
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.isnan(np.diag(matrix)).all()
    expected = weighted_kappa(codes["R1"], codes["R3"])
    assert matrix.loc["R1", "R3"] == pytest.approx(expected)


def test_the_mean_kappa_lies_in_its_interval_which_narrows_with_patients():
    widths = []
    for n in (40, 400):
        codes, _ = panel(n=n)
        value, low, high = mean_kappa(codes, n_boot=300)
        assert low < value < high
        assert value == pytest.approx(np.nanmean(kappa_matrix(codes)))
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_a_method_without_errors_agrees_better_with_readers_than_they_do():
    codes, truth = panel()
    found = kappa_as_reader(codes.assign(method=truth.round()), "method", n_boot=300)
    assert found["difference"][1] > 0
    assert found["difference"][0] == pytest.approx(found["one"][0] - found["readers"][0])
    assert found["readers"][0] == pytest.approx(mean_kappa(codes, n_boot=0)[0])


def test_icc_and_its_interval_are_those_of_shrout_and_fleiss():
    value, low, high = icc_interval(JUDGES)
    assert value == pytest.approx(0.29, abs=0.005)
    assert (low, high) == pytest.approx((0.019, 0.761), abs=0.001)


def test_icc_knows_a_reader_s_bias_but_not_a_common_one():
    biased = JUDGES - np.array([0, 5, 0, 0])
    assert icc(biased) < icc(JUDGES)
    assert icc(JUDGES + 7) == pytest.approx(icc(JUDGES))


def test_agreement_cannot_be_told_of_one_reader_or_one_value():
    assert np.isnan(icc(np.ones((5, 1))))
    assert np.isnan(icc(np.ones((5, 3))))
    assert np.isnan(weighted_kappa(np.ones(4), np.ones(4)))
    assert np.isnan(weighted_kappa(np.array([1.0, np.nan]), np.array([np.nan, 2.0])))
    assert np.isnan(mean_kappa(panel(readers=1)[0], n_boot=10)[0])


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_readers_that_differ_by_a_constant_have_an_icc_without_interval(unit):
    value, *interval = icc_interval(unit * (np.arange(5.0)[:, None] / 3 + [0.0, 0.1]))
    assert value == pytest.approx(500 / 509)
    assert np.isnan(interval).all()


def test_limits_of_agreement_are_bland_and_altman_s():
    rng = np.random.default_rng(1)
    other = rng.normal(50, 10, 200)
    off = rng.normal(3, 2, 200)
    found = limits_of_agreement(other + off, other, n_boot=1000).set_index("metric")
    assert found["value"]["bias"] == pytest.approx(off.mean())
    assert found["value"]["limit_high"] == pytest.approx(off.mean() + 1.96 * off.std(ddof=1))
    # Their interval of a limit: 1.96 times sqrt(3 s^2 / n) to either side.
    width = found["high"]["limit_high"] - found["low"]["limit_high"]
    assert width == pytest.approx(2 * 1.96 * off.std(ddof=1) * np.sqrt(3 / 200), rel=0.2)
    assert found["low"]["widening"] < 0 < found["high"]["widening"]


def test_limits_of_few_patients_are_wider_than_their_resamples():
    one, other = np.array([3.0, 5, 4, 8, 6]), np.array([2.0, 5, 3, 6, 7])
    found = limits_of_agreement(one, other).set_index("metric").loc["bias"]
    off = one - other
    margin = 2.776445 * off.std(ddof=1) / np.sqrt(5)  # Student's t of 4 degrees of freedom
    assert found["high"] - found["low"] == pytest.approx(2 * margin, rel=0.1)


def test_differences_that_fan_out_are_found():
    rng = np.random.default_rng(2)
    other = rng.uniform(1, 50, 200)
    found = limits_of_agreement(other * np.exp(rng.normal(0, 0.2, 200)), other).set_index("metric")
    assert found["low"]["widening"] > 0.3


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [1.0, 2.0, np.nan], [1.0, 2.0, 3.0, 4.0]])
def test_measurements_that_do_not_pair_are_refused(wrong):
    with pytest.raises(DataError, match="two measurements cannot be compared"):
        limits_of_agreement(wrong, np.arange(3.0))
