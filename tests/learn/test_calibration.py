"""One temperature makes probabilities honest, and never changes who comes before whom."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nextaim_kit.errors import DataError
from nextaim_kit.learn.calibration import scaled, temperature


def patients(n=2000, seed=0, spread=2.0):
    """Outcomes and the logits of their true probabilities."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, spread, n)
    return (rng.random(n) < scaled(logit, 1)).astype(int), logit


def loss(y, logit, by):
    return np.logaddexp(0, -(2 * y - 1) * logit / by).mean()


@pytest.mark.parametrize("factor", [0.5, 3.0, 10.0])
def test_a_network_that_exaggerates_by_a_known_factor_has_it_as_its_temperature(factor):
    y, logit = patients(20_000)
    found = temperature(y, factor * logit)
    assert found == pytest.approx(factor, rel=0.03)
    assert found == pytest.approx(factor * temperature(y, logit), rel=1e-4)


def test_the_temperature_is_that_of_a_logistic_regression_through_zero():
    y, logit = patients(300, spread=4)
    known = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    slope = known.fit(logit[:, None] - 1, y).coef_[0, 0]
    assert temperature(y, logit - 1) == pytest.approx(1 / slope, rel=1e-3)


@pytest.mark.parametrize("seed", range(10))
def test_no_other_temperature_fits_better_not_even_none(seed):
    rng = np.random.default_rng(seed)
    y, logit = np.r_[0, 1, rng.integers(0, 2, 10)], rng.normal(seed / 5, 3, 12)
    others = [loss(y, logit, by) for by in [1.0, *np.geomspace(0.05, 20, 200)]]
    assert loss(y, logit, temperature(y, logit)) <= min(others) + 1e-6


@pytest.mark.parametrize("by", [0.05, 2.5, 20.0])
def test_the_order_of_the_patients_stays(by):
    _, logit = patients(200, spread=0.5)
    assert np.array_equal(np.argsort(scaled(logit, by)), np.argsort(logit))


def test_temperature_one_is_the_sigmoid_and_a_higher_one_is_less_sure():
    logit = np.array([-1000.0, -2.0, 0.0, 1.0, 1000.0])
    assert scaled(logit[1:4], 1) == pytest.approx(1 / (1 + np.exp(-logit[1:4])), abs=1e-15)
    assert scaled(logit, 1)[[0, 2, 4]].tolist() == [0.0, 0.5, 1.0]
    assert (np.abs(scaled(logit, 3) - 0.5) <= np.abs(scaled(logit, 1) - 0.5)).all()
    assert scaled([2.0], 4)[0] == pytest.approx(scaled([0.5], 1)[0])


def test_outcomes_that_are_told_without_error_or_never_lead_to_the_ends_of_the_range():
    y, logit = np.array([0, 0, 1, 1]), np.array([-2.0, -1.0, 1.0, 2.0])
    assert temperature(y, logit) == pytest.approx(0.05, rel=1e-3)
    assert temperature(y, -logit) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize(
    ("y", "logit", "said"),
    [
        ([1, 1], [0.3, 2.0], r"both outcomes(.|\n)*outcomes \[1.0\], 2 logits"),
        ([0, 1, 1], [0.3, 2.0], "a finite logit for each patient"),
        ([0, 1], [0.3, np.nan], "a finite logit"),
        ([0, 2], [0.3, 1.0], r"outcomes \[0.0, 2.0\]"),
    ],
)
def test_what_has_no_temperature_is_refused(y, logit, said):
    with pytest.raises(DataError, match=said):
        temperature(y, logit)
