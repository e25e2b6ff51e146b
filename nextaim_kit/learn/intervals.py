"""95 % intervals: of proportions, of what was resampled, and over the folds of a validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float, float]
_LEVEL = (2.5, 97.5)
Z95 = 1.959964


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
