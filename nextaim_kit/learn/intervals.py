"""95 % intervals: of proportions, of any measure by resampled patients, and over folds.

A measure is a function of weights, shape (resamples, n), that gives a value for each resample (or
several, in columns). The value itself, all weights one, and its thousand resamples, the weights
being how often a patient was drawn, are so the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError

Interval = tuple[float, float, float]
Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)  # of shares, Dice coefficients and the like
_ANY: Bounds = (-np.inf, np.inf)
_ROUNDED = 1e-6  # by which a value may lie beyond its bounds
Weights = NDArray[np.float64]
Measure = Callable[[Weights], NDArray]
BOUNDS = ["value", "low", "high"]
Z95 = 1.959964
_LEVEL = (2.5, 97.5)
_CELLS = 2**17  # weights that are measured at a time: 1 MB, which a processor keeps at hand
_BLOCK = 2**20  # weights that are drawn before those without a class are drawn again


def resamples(
    n: int,
    *,
    groups: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Iterator[Weights]:
    """How often each of `n` rows is drawn, a few resamples at a time; the first one is all ones.

    Parameters
    ----------
    n : int
    groups : array-like of shape (n,), optional
        Patient of each row, where a patient has several: they are drawn together.
    classes : array-like of shape (n,), optional
        The shares of the classes vary as they would in another cohort, but each is there: a
        resample without one, of which no measure exists, is drawn again.
    n_boot : int
        Resamples.
    seed : int

    Yields
    ------
    array of shape (some, n)
        Together 1 + `n_boot` rows.
    """
    rng = np.random.default_rng(seed)
    names, member = np.unique(np.arange(n) if groups is None else groups, return_inverse=True)
    kinds = np.zeros(n) if classes is None else np.asarray(classes)
    held = np.zeros((len(names), len(np.unique(kinds))))
    np.add.at(held, (member, np.unique(kinds, return_inverse=True)[1]), 1)
    yield np.ones((1, n))
    for block in parts(n_boot, n, cells=_BLOCK):
        drawn = _drawn(rng, block.stop - block.start, n, held)
        for some in parts(len(drawn), n):
            yield drawn[some][:, member].astype(float)


def _drawn(rng: np.random.Generator, resamples: int, n: int, held: NDArray) -> NDArray:
    """How often each patient is drawn, in the smallest type; `held` are their rows by class."""
    drawn = np.empty((resamples, len(held)), np.min_scalar_type(len(held)))
    missing = np.arange(resamples)
    while len(missing):
        lacks = np.empty(len(missing), bool)
        for some in parts(len(missing), n):
            counts = _counts(rng, some.stop - some.start, len(held))
            drawn[missing[some]] = counts
            lacks[some] = (counts @ held == 0).any(axis=1)
        missing = missing[lacks]
    return drawn


def parts(count: int, size: int, *, cells: int = 0) -> Iterator[slice]:
    """Which of `count` things of `size` numbers each are worth holding in memory at a time."""
    some = max(1, (cells or _CELLS) // max(size, 1))
    for start in range(0, count, some):
        yield slice(start, min(start + some, count))


def _counts(rng: np.random.Generator, resamples: int, n: int) -> NDArray[np.int64]:
    drawn = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n)


def resampled(measure: Measure, n: int, **how: Any) -> NDArray:
    """A measure of `n` rows and of each of their `resamples`, shape (1 + n_boot, ...)."""
    return np.concatenate([measure(weights) for weights in resamples(n, **how)])


def interval(
    measure: Measure,
    n: int,
    *,
    paired: Measure | None = None,
    mean_of: int | None = None,
    **how: Any,
) -> Interval:
    """Any measure of `n` rows with its 95 % interval, patients resampled: value, low, high.

    Parameters
    ----------
    measure : callable
        Weights of shape (resamples, n) to values of shape (resamples,).
    n : int
    paired : callable, optional
        Another measure of the same rows: the interval is of what the first has more.
    mean_of : int, optional
        As for `with_interval`.
    **how
        ``groups``, ``classes``, ``n_boot`` and ``seed`` of `resamples`.

    Examples
    --------
    >>> ages = np.array([61.0, 70, 48, 55, 66])
    >>> value, low, high = interval(lambda w: w @ ages / w.sum(axis=1), len(ages))
    >>> value
    60.0
    """
    if paired is None:
        return with_interval(resampled(measure, n, **how), mean_of=mean_of)
    other = paired
    return with_interval(resampled(lambda w: measure(w) - other(w), n, **how), mean_of=mean_of)


def mean_interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    bounds: Bounds = _ANY,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """Mean of one value per row with its 95 % interval over patients: value, low, high.

    Patients are resampled, rows of one patient (`groups`) together, and the interval is widened
    as few of them need it (`with_interval`); one patient has none. Of yes and no (bool) it is a
    proportion's and exact, unless patients have several rows that differ.

    Parameters
    ----------
    values : array-like of shape (n,)
    groups : array-like of shape (n,), optional
        Patient of each row.
    bounds : (float, float)
        What a value can be: (0, 1) for a share or a Dice coefficient. Widened, the interval of few
        patients may reach beyond, where no mean can lie: it ends at the bound. Of yes and no it
        always does.
    n_boot, seed : int

    Raises
    ------
    DataError
        If there is no value, or one is missing or out of bounds.

    Examples
    --------
    >>> dice = [0.98, 0.99, 0.8, 0.95, 0.9]
    >>> [round(value, 2) for value in mean_interval(dice, n_boot=200, bounds=(0, 1))]
    [0.92, 0.81, 1.0]
    """
    asked, values = np.asarray(values).dtype == bool, np.asarray(values, float)
    if not len(values) or np.isnan(values).any():
        raise DataError("a mean needs at least one value, and none missing")
    least, most = SHARE if asked else bounds
    if values.min() < least - _ROUNDED or values.max() > most + _ROUNDED:
        raise DataError(
            "values lie beyond what they can be",
            expected=f"{least:g} to {most:g}",
            found=f"{values.min():g} to {values.max():g}",
            mend="correct them, or give other bounds",
        )
    patients = len(values) if groups is None else pd.Series(groups).nunique(dropna=False)
    mean = float(values.mean())
    if n_boot and asked and (patients == len(values) or mean in (0, 1)):
        return proportion_interval(mean * patients, patients)
    how: dict[str, Any] = {"groups": groups, "n_boot": n_boot, "seed": seed, "mean_of": patients}
    value, *ends = interval(lambda w: w @ values / w.sum(axis=1), len(values), **how)
    low, high = np.clip(ends, least, most)
    return value, float(low), float(high)


def summary(
    table: pd.DataFrame,
    by: str | Sequence[str],
    *,
    groups: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Means of a table's columns in each group of its rows, with their 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        A row per patient, or per film of one; numbers and yes or no in the columns that count.
    by : str or sequence of str
        What tells the groups apart; they stay in the order in which they come.
    groups : str, optional
        Column of the patient, where one has several rows.
    bounds : mapping of str to (float, float), optional
        What the values of a column can be, as for `mean_interval`.
    n_boot, seed : int

    Returns
    -------
    DataFrame
        The columns of `by`, ``metric``, ``value``, ``low``, ``high`` (`mean_interval`), and ``n``,
        the rows that have a value: a column without any in a group is left out there.
    """
    by = [by] if isinstance(by, str) else list(by)
    counted = table.drop(columns=[*by, *filter(None, [groups])]).select_dtypes(["number", "bool"])
    rows = []
    for names, part in table.groupby(by, sort=False):
        for metric in counted:
            known = part[part[metric].notna()]
            if len(known):
                who = known[groups] if groups else None
                how: dict[str, Any] = {"groups": who, "n_boot": n_boot, "seed": seed}
                found = mean_interval(
                    known[metric], bounds=(bounds or {}).get(str(metric), _ANY), **how
                )
                rows.append((*names, metric, *found, len(known)))
    return pd.DataFrame(rows, columns=[*by, "metric", *BOUNDS, "n"])


def verdict(found: Interval, mark: float = 0.0) -> str:
    """A value, its interval, and what this says of a mark, as the end of a sentence.

    Parameters
    ----------
    found : (value, low, high)
    mark : float

    Examples
    --------
    >>> "The AUC is " + verdict((0.71, 0.63, 0.79), 0.5)
    'The AUC is 0.710 [0.630, 0.790], above 0.5'
    >>> verdict((0.02, -0.01, 0.05))
    '0.020 [-0.010, 0.050], not shown to differ from 0'
    >>> verdict((float("nan"),) * 3)
    'nan [nan, nan], not to be compared with 0'
    """
    value, low, high = found
    if not np.isfinite(found).all():
        return f"{value:.3f} [{low:.3f}, {high:.3f}], not to be compared with {mark:g}"
    said = "above" if low > mark else "below" if high < mark else "not shown to differ from"
    return f"{value:.3f} [{low:.3f}, {high:.3f}], {said} {mark:g}"


def proportion_interval(hits: float, n: int) -> Interval:
    """Proportion with its exact 95 % interval: value, low, high; NaN of nothing.

    References
    ----------
    Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> [round(v, 2) for v in proportion_interval(11, 11)]
    [1.0, 0.72, 1.0]
    """
    from scipy.stats import binomtest

    if not n or np.isnan(hits):
        return (float("nan"),) * 3
    found = binomtest(round(hits), n).proportion_ci(0.95, "exact")
    return hits / n, float(found.low), float(found.high)


def with_interval(values: ArrayLike, *, mean_of: int | None = None) -> Interval:
    """First value with the 95 % interval of the others, which are those of the resamples.

    A resample in which a measure does not exist (nobody called positive) says nothing of it.

    Parameters
    ----------
    values : array-like of shape (1 + resamples,)
    mean_of : int, optional
        Number of patients of whom the value is a mean. Resamples of few are too alike (of ten
        patients the interval holds the truth 88 times in 100), and their ends are moved away from
        the mean by t / 1.96 times sqrt(n / (n - 1)). One patient has no interval.

    References
    ----------
    The narrowness of a small sample's bootstrap: Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789.
    """
    from scipy.stats import t

    values = np.asarray(values, float)
    if len(values) == 1 or np.isnan(values[1:]).all() or mean_of == 1:
        return float(values[0]), float("nan"), float("nan")
    value, ends = values[0], np.nanpercentile(values[1:], _LEVEL)
    if mean_of:
        wider = t.ppf(0.975, mean_of - 1) / Z95 * np.sqrt(mean_of / (mean_of - 1))
        ends = value + (ends - value) * wider
    return float(value), float(ends[0]), float(ends[1])


def over_folds(values: ArrayLike, test_share: float) -> Interval:
    """Mean over folds with an interval that holds training and splits: value, low, high.

    Folds share training patients, so their spread alone would be too small: the variance of their
    mean is taken as (1 / folds + test / training patients) times that of one fold, with
    Student's t.

    Parameters
    ----------
    values : array-like of shape (folds,)
        One per fold (and repeat); NaN where a fold has none.
    test_share : float
        Patients tested in a fold over those that trained it: 1 / 4 in five folds.

    References
    ----------
    Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; for repeated folds Bouckaert and Frank
    2004, doi:10.1007/978-3-540-24775-3_3.
    """
    from scipy.stats import t

    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return (float(known.mean()) if len(known) else float("nan"), float("nan"), float("nan"))
    error = np.sqrt((1 / len(known) + test_share) * known.var(ddof=1))
    margin = t.ppf(0.975, len(known) - 1) * error
    return float(known.mean()), float(known.mean() - margin), float(known.mean() + margin)
