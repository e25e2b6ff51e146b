"""Curves: what was planted is fitted, and errors are of patients that were not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.curves import (
    compare_curves,
    curve_band,
    draw_curve,
    fit_curve,
    logit,
    out_of_fold,
)

X = np.random.default_rng(0).uniform(1, 90, 120)


def planted(form, parameters, noise=1.0, seed=1):
    return draw_curve(form, parameters, X) + np.random.default_rng(seed).normal(0, noise, len(X))


@pytest.mark.parametrize(
    ("form", "parameters"),
    [("straight line", (4.0, 0.7)), ("power law", (0.4, 1.2)), ("logistic", (-0.5, 1.3))],
)
def test_planted_parameters_are_found(form, parameters):
    y = planted(form, parameters, noise=0.5)
    np.testing.assert_allclose(fit_curve(form, X, y), parameters, atol=0.06 * 4)
    np.testing.assert_allclose(
        draw_curve(form, fit_curve(form, X, y), X), draw_curve(form, parameters, X), atol=0.5
    )


def test_the_form_that_was_planted_has_the_smallest_error_and_aic():
    table = compare_curves(X, planted("logistic", (-0.8, 1.5)), n_boot=200).set_index("form")
    assert table["value"].idxmin() == "logistic"
    assert table["aic"].idxmin() == "logistic"
    assert table["gain_low"]["logistic"] > 0
    assert table["less_than_line"]["straight line"] == 0


def test_the_straight_line_is_statsmodels_line():
    y = planted("straight line", (4, 0.7), noise=5)
    line = sm.OLS(y, sm.add_constant(X)).fit()
    flat = sm.OLS(y, np.ones_like(X)).fit()
    table = compare_curves(X, y, n_boot=0).set_index("form")
    np.testing.assert_allclose(table.loc["straight line", ["a", "b"]].astype(float), line.params)
    ours = table["aic"]["straight line"] - table["aic"]["constant"]
    assert ours == pytest.approx(line.aic - flat.aic)


def test_a_patient_s_own_value_does_not_enter_its_prediction():
    y = planted("straight line", (4, 0.7))
    before = out_of_fold("straight line", X, y)
    y[7] += 1000
    assert out_of_fold("straight line", X, y)[7] == pytest.approx(before[7])


def test_the_constant_s_error_is_the_spread():
    y = planted("straight line", (4, 0.7))
    table = compare_curves(X, y, n_boot=100).set_index("form")
    assert table["value"]["constant"] == pytest.approx(y.std(), rel=0.05)


def test_the_band_holds_the_curve_and_narrows_where_points_are():
    height, low, high = curve_band("logistic", X, planted("logistic", (0, 1)), [2.0, 45.0], seed=3)
    assert (low <= height).all()
    assert (height <= high).all()
    assert (high - low).max() < 3


def test_the_logistic_keeps_its_ends_nearly():
    ends = draw_curve("logistic", (0, 1), [0, 0.1, 50, 99.9, 100])
    np.testing.assert_allclose(ends, [0.1, 0.1, 50, 99.9, 99.9])
    assert draw_curve("power law", (0.5, 1.2), [0.0])[0] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(logit([0, 100])).all()


def test_four_patients_have_a_curve_and_three_have_none():
    a, b = fit_curve("straight line", [1, 2, 3, 4], [3, 5, 7, 9])
    assert (a, b) == pytest.approx((1, 2), abs=1e-6)
    with pytest.raises(DataError, match="four pairs of values or more"):
        fit_curve("straight line", [1, 2, 3], [3, 5, 7])


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(RequestError, match="no form 'spline'"):
        fit_curve("spline", X, X)
    with pytest.raises(DataError, match="a curve cannot be fitted"):
        fit_curve("logistic", [1, 2, 3, np.nan], [1, 2, 3, 4])
