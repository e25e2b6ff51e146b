"""Curves of one percentage over another: fitted, compared out of fold, with a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.intervals import Measure, Weights, interval, resampled

_CLIP = 0.1  # %, the nearest to 0 and 100 that a logit is taken of: a curve keeps both nearly


def logit(percent: ArrayLike, *, nearest: float = _CLIP) -> NDArray[np.float64]:
    """Log odds of percentages; those nearer to 0 or 100 than `nearest` are taken as that near."""
    share = np.clip(np.asarray(percent, float), nearest, 100 - nearest) / 100
    return np.log(share / (1 - share))


@dataclass(frozen=True)
class Form:
    """A family of curves: its function of x and parameters, where to begin, what is allowed."""

    curve: Callable[..., NDArray]
    start: tuple[float, ...]
    lowest: tuple[float, ...]
    text: str


_ANY = -np.inf
FORMS = {
    "constant": Form(lambda x, a: a + 0 * x, (20.0,), (_ANY,), "y = a"),
    "straight line": Form(lambda x, a, b: a + b * x, (0.0, 1.0), (_ANY, _ANY), "y = a + b x"),
    "power law": Form(
        lambda x, a, b: a * np.clip(x, 1e-9, None) ** b, (1.0, 1.0), (0.0, 0.05), "y = a x^b"
    ),
    "logistic": Form(
        lambda x, a, b: 100 / (1 + np.exp(-np.clip(a + b * logit(x), -30, 30))),
        (0.0, 1.0), (_ANY, 0.0), "logit y = a + b logit x",
    ),
}  # fmt: skip


def fit_curve(form: str, x: ArrayLike, y: ArrayLike) -> tuple[float, ...]:
    """Parameters of a form's curve by least squares in y.

    Parameters
    ----------
    form : str
        One of `FORMS`.
    x, y : array-like of shape (n,)
        In %.

    Raises
    ------
    RequestError
        If there is no such form.
    DataError
        If a value is missing, there are fewer than four, or no optimum is found.
    """
    from scipy.optimize import curve_fit

    if form not in FORMS:
        raise RequestError(f"no form {form!r}", expected=f"one of {', '.join(FORMS)}")
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 4 or x.shape != y.shape or not np.isfinite([x, y]).all():
        raise DataError(
            "a curve cannot be fitted",
            expected="four pairs of values or more, none missing",
            found=f"shapes {x.shape} and {y.shape}",
            mend="keep the patients that have both values",
        )
    chosen = FORMS[form]
    bounds = (chosen.lowest, [np.inf] * len(chosen.start))
    try:
        found, _ = curve_fit(chosen.curve, x, y, p0=chosen.start, bounds=bounds, method="trf")
    except RuntimeError as error:  # SciPy's word for an optimum that was not reached
        raise DataError(f"no {form} fits these values", found=str(error)) from error
    return tuple(map(float, found))


def draw_curve(form: str, parameters: ArrayLike, at: ArrayLike) -> NDArray:
    """Heights of a form's curve at the places `at`."""
    return FORMS[form].curve(np.asarray(at, float), *np.asarray(parameters, float))


def out_of_fold(
    form: str, x: ArrayLike, y: ArrayLike, *, folds: int = 5, seed: int = 0
) -> NDArray[np.float64]:
    """For each patient the height of the curve that was fitted to the other folds, shape (n,)."""
    from sklearn.model_selection import KFold

    x, y = np.asarray(x, float), np.asarray(y, float)
    told = np.empty(len(x))
    for train, test in KFold(folds, shuffle=True, random_state=seed).split(x):
        told[test] = draw_curve(form, fit_curve(form, x[train], y[train]), x[test])
    return told


def compare_curves(
    x: ArrayLike, y: ArrayLike, *, folds: int = 5, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Fit every form and measure its error on patients that it was not fitted to.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        In %.
    folds, n_boot, seed : int

    Returns
    -------
    DataFrame
        By ``form``: ``formula``, ``a``, ``b``, and the root mean square error out of fold in
        points, ``value`` with ``low``, ``high`` (95 %, patients resampled); ``less_than_line``,
        what the straight line's is larger by, with ``gain_low``, ``gain_high`` (paired); ``aic``
        of the fit to all (normal errors of one spread, as in `statsmodels`' OLS up to a constant).
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    told = {f: out_of_fold(f, x, y, folds=folds, seed=seed) for f in FORMS}

    def error(form: str) -> Measure:
        squares = (y - told[form]) ** 2
        return lambda w: np.sqrt(w @ squares / w.sum(axis=1))

    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    rows = []
    for name, form in FORMS.items():
        a, *rest = fit_curve(name, x, y)
        residual = y - draw_curve(name, (a, *rest), x)
        aic = len(x) * np.log((residual**2).mean()) + 2 * (len(form.start) + 1)
        found = interval(error(name), len(x), **how)
        gain = interval(error("straight line"), len(x), paired=error(name), **how)
        rows.append((name, form.text, a, rest[0] if rest else np.nan, *found, *gain, float(aic)))
    columns = ["form", "formula", "a", "b", "value", "low", "high",
               "less_than_line", "gain_low", "gain_high", "aic"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def curve_band(
    form: str, x: ArrayLike, y: ArrayLike, at: ArrayLike, *, n_boot: int = 200, seed: int = 0
) -> tuple[NDArray, NDArray, NDArray]:
    """Height of the fitted curve at the places `at` and its 95 % band, patients resampled."""
    x, y = np.asarray(x, float), np.asarray(y, float)

    def drawn(weights: Weights) -> NDArray:
        rows = [np.repeat(np.arange(len(x)), w.astype(int)) for w in weights]
        return np.stack([draw_curve(form, fit_curve(form, x[k], y[k]), at) for k in rows])

    curve, *others = resampled(drawn, len(x), n_boot=n_boot, seed=seed)
    low, high = np.percentile(others, [2.5, 97.5], axis=0)
    return curve, low, high
