"""How well readers agree with each other, and a method with them: kappa, ICC, limits.

References
----------
Kappa with quadratic weights, Fleiss & Cohen 1973, doi:10.1177/001316447303300309; intraclass
correlation, Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420; limits of agreement, Bland &
Altman 1999, doi:10.1177/096228029900800204.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import (
    BOUNDS,
    Interval,
    Measure,
    Weights,
    interval,
    resampled,
    with_interval,
)

_LEAST = 3  # pairs of values, below which a spread is no spread


def weighted_kappa(one: ArrayLike, other: ArrayLike) -> float:
    """Cohen's kappa with quadratic weights, over what both have read (not NaN); NaN if constant."""
    codes = np.stack([np.asarray(one, float), np.asarray(other, float)], axis=1)
    return float(_kappas(np.ones((1, len(codes))), codes, [(0, 1)])[0, 0])


def kappa_matrix(codes: pd.DataFrame) -> pd.DataFrame:
    """Weighted kappa of every pair of readers.

    Parameters
    ----------
    codes : DataFrame
        A row per subject, a column per reader: numbers of ordered classes, NaN where not read.

    Returns
    -------
    DataFrame
        Readers by readers; NaN on the diagonal and where a pair's kappa does not exist.
    """
    pairs = _pairs(codes)
    found = _kappas(np.ones((1, len(codes))), codes.to_numpy(float), pairs)[0]
    matrix = np.full((codes.shape[1], codes.shape[1]), np.nan)
    for (i, j), kappa in zip(pairs, found, strict=True):
        matrix[i, j] = matrix[j, i] = kappa
    return pd.DataFrame(matrix, index=codes.columns, columns=codes.columns)


def mean_kappa(codes: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> Interval:
    """Mean weighted kappa over all pairs of readers with its 95 % interval over patients."""
    kappas = partial(_kappas, codes=codes.to_numpy(float), pairs=_pairs(codes))
    return interval(lambda w: _mean_of_known(kappas(w)), len(codes), n_boot=n_boot, seed=seed)


def kappa_as_reader(
    codes: pd.DataFrame, one: str, *, n_boot: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """How well one column agrees with the others, beside how well these agree among themselves.

    Parameters
    ----------
    codes : DataFrame
        As for `kappa_matrix`.
    one : str
        The column that is compared, such as software's classes.

    Returns
    -------
    dict
        Mean weighted kappas, each as value, low, high (95 %, patients resampled): ``readers``
        (all pairs without `one`), ``one`` (all pairs with it) and ``difference`` (the second
        less the first, paired).
    """
    pairs, measure = _pairs(codes), partial(_kappas, codes=codes.to_numpy(float))
    kappas = resampled(partial(measure, pairs=pairs), len(codes), n_boot=n_boot, seed=seed)
    with_one = np.array([one in (codes.columns[i], codes.columns[j]) for i, j in pairs])
    readers, own = (_mean_of_known(kappas[:, chosen]) for chosen in (~with_one, with_one))
    parts = {"readers": readers, "one": own, "difference": own - readers}
    return {name: with_interval(values) for name, values in parts.items()}


def icc(ratings: ArrayLike) -> float:
    """ICC(2,1) of an array of shape (subjects, readers) without gaps: both drawn at random."""
    return icc_interval(ratings)[0]


def icc_interval(ratings: ArrayLike) -> Interval:
    """ICC(2,1), absolute agreement of single readers, with its 95 % interval by F distributions.

    Parameters
    ----------
    ratings : array-like of shape (subjects, readers)
        Without gaps. NaN is returned for fewer than two of either, or where nothing varies.
    """
    from scipy.stats import f

    ratings = np.asarray(ratings, float)
    n, k = ratings.shape
    if n < 2 or k < 2:
        return (float("nan"),) * 3
    between, readers, rest = _mean_squares(ratings)
    below = between + (k - 1) * rest + k * (readers - rest) / n
    if below <= 0:
        return (float("nan"),) * 3
    rho = (between - rest) / below
    if rest <= 1e-12 * between:  # wholly additive: the F ratios do not exist
        return float(rho), float("nan"), float("nan")
    ratio, common = readers / rest, n * (1 + (k - 1) * rho) - k * rho
    above = (k - 1) * (n - 1) * (k * rho * ratio + common) ** 2
    freedom = above / ((n - 1) * (k * rho * ratio) ** 2 + common**2)
    first, second = f.ppf(0.975, n - 1, freedom), f.ppf(0.975, freedom, n - 1)
    others = k * readers + (k * n - k - n) * rest
    low = n * (between - first * rest) / (first * others + n * between)
    high = n * (second * between - rest) / (others + n * second * between)
    return float(rho), float(low), float(high)


def limits_of_agreement(
    one: ArrayLike, other: ArrayLike, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Limits within which `one` less `other` lies for 95 of 100 patients, and if they fan out.

    Parameters
    ----------
    one, other : array-like of shape (n,)
        Two measurements of the same patients, in the same unit.
    n_boot : int
        Resamples of the patients.
    seed : int

    Returns
    -------
    DataFrame
        ``metric``, ``value``, ``low``, ``high`` (95 %) of ``bias`` (the mean difference),
        ``limit_low`` and ``limit_high`` (1.96 standard deviations from it), and ``widening``, the
        rank correlation of the difference's size with the mean of both: where it is not 0, one
        pair of limits is too wide here and too narrow there.

    Raises
    ------
    DataError
        If there are fewer than three patients, lengths differ or a value is missing.
    """
    a, b = np.asarray(one, float), np.asarray(other, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < _LEAST or np.isnan([a, b]).any():
        raise DataError(
            "two measurements cannot be compared",
            expected=f"two values of each of {_LEAST} patients or more, none missing",
            found=f"shapes {a.shape} and {b.shape}, {int(np.isnan(np.r_[a, b]).sum())} missing",
            mend="keep the patients that both have measured",
        )
    rows: list[tuple[Any, ...]] = []
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    for name, side in (("bias", 0.0), ("limit_low", -1.96), ("limit_high", 1.96)):
        measure = partial(_limit, off=a - b, side=side)
        rows.append((name, *interval(measure, len(a), mean_of=len(a), **how)))
    rows.append(("widening", *interval(rank_correlation(np.abs(a - b), a + b), len(a), **how)))
    return pd.DataFrame(rows, columns=["metric", *BOUNDS])


def _limit(w: Weights, off: NDArray, side: float) -> NDArray:
    """Mean difference and so many standard deviations from it."""
    middle = off.mean()
    n, away = w.sum(axis=1), w @ (off - middle) / w.sum(axis=1)
    variance = (w @ (off - middle) ** 2 - n * away**2) / (n - 1)
    return middle + away + side * np.sqrt(variance.clip(0))


def rank_correlation(one: ArrayLike, other: ArrayLike) -> Measure:
    """Spearman's rank correlation as a measure of `learn.intervals`; NaN where one is constant."""
    ranks = [_ranks(np.asarray(values, float)) for values in (one, other)]

    def measure(w: Weights) -> NDArray:
        n = w.sum(axis=1, keepdims=True)
        a, b = (rank(w) - (n + 1) / 2 for rank in ranks)
        spread = (w * a**2).sum(axis=1) * (w * b**2).sum(axis=1)
        product = (w * a * b).sum(axis=1)
        return np.divide(product, np.sqrt(spread), out=np.full(len(w), np.nan), where=spread > 0)

    return measure


def _ranks(values: NDArray) -> Measure:
    """Ranks among the rows as often as they are drawn, equal ones with their middle rank."""
    _, member = np.unique(values, return_inverse=True)
    order = np.argsort(member, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(member[order]) > 0])

    def rank(w: Weights) -> NDArray:
        alike = np.add.reduceat(w[:, order], starts, axis=1)
        return (np.cumsum(alike, axis=1) - (alike - 1) / 2)[:, member]

    return rank


def _mean_squares(ratings: NDArray) -> tuple[float, float, float]:
    """Mean squares between subjects, between readers, and of what is left."""
    n, k = ratings.shape
    whole, rows, columns = ratings.mean(), ratings.mean(axis=1), ratings.mean(axis=0)
    between = k * ((rows - whole) ** 2).sum() / (n - 1)
    readers = n * ((columns - whole) ** 2).sum() / (k - 1)
    rest = ((ratings - rows[:, None] - columns + whole) ** 2).sum() / ((n - 1) * (k - 1))
    return float(between), float(readers), float(rest)


def _pairs(codes: pd.DataFrame) -> list[tuple[int, int]]:
    return list(combinations(range(codes.shape[1]), 2))


def _kappas(weights: Weights, codes: NDArray, pairs: list[tuple[int, int]]) -> NDArray:
    """Weighted kappa by weights of the subjects, shape (weights, pairs)."""
    one, other = (codes[:, [pair[k] for pair in pairs]] for k in (0, 1))
    both = ~(np.isnan(one) | np.isnan(other))
    a, b = np.where(both, one, 0), np.where(both, other, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        n = weights @ both
        mean_a, mean_b = weights @ a / n, weights @ b / n
        variances = weights @ a**2 / n - mean_a**2 + weights @ b**2 / n - mean_b**2
        by_chance = variances + (mean_a - mean_b) ** 2
        kappas = 1 - (weights @ (a - b) ** 2 / n) / by_chance
    return np.where(by_chance > 1e-12, kappas, np.nan)


def _mean_of_known(values: NDArray) -> NDArray:
    """Mean of each row over what is not NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
