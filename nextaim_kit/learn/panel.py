"""Many readers of the same cases: how well they agree, and what holds for other readers too.

Intervals hold both: readers and cases are resampled, each on their own. A reader who is drawn twice
is not taken for two readers who agree.

References
----------
Kappa of many readers, Fleiss 1971, doi:10.1037/h0031619; readers and cases resampled together,
Owen 2007, doi:10.1214/07-AOAS122 (on average a little too wide, never much too narrow).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import Interval, Weights, parts, resamples, with_interval

Over = Literal["readers and cases", "readers", "cases"]
PanelMeasure = Callable[[Weights, Weights], NDArray]  # weights of cases, and of readers
FEWEST_READERS = 3  # below which readers cannot stand for others


def panel_interval(
    measure: PanelMeasure,
    cases: int,
    readers: int,
    *,
    over: Over = "readers and cases",
    n_boot: int = 1000,
    seed: int = 0,
    **how: Any,
) -> Interval:
    """A measure of a panel's ratings with its 95 % interval: value, low, high.

    Parameters
    ----------
    measure : callable
        Weights of the cases, shape (resamples, cases), and of the readers to a value for each
        resample: `fleiss_kappa`, `raw_agreement`, `mean_rating` or `difference`.
    cases, readers : int
        With fewer than three readers only cases are resampled: the interval is then of these very
        readers.
    over : {"readers and cases", "readers", "cases"}
    n_boot, seed : int
    **how
        ``groups`` (patient of each case) and ``classes`` of `intervals.resamples`.
    """
    by_case: Iterator[Weights] = (
        np.ones((s.stop - s.start, cases)) for s in parts(1 + n_boot, cases)
    )
    if "cases" in over:
        by_case = resamples(cases, n_boot=n_boot, seed=seed, **how)
    by_reader = np.ones((1 + n_boot, readers))
    if "readers" in over and readers >= FEWEST_READERS:
        by_reader = np.concatenate(list(resamples(readers, n_boot=n_boot, seed=seed + 1)))
    found, at = np.empty(1 + n_boot), 0
    for weights in by_case:
        some = slice(at, at := at + len(weights))
        found[some] = measure(weights, by_reader[some])
    return with_interval(found)


def fleiss_kappa(codes: ArrayLike) -> PanelMeasure:
    """Fleiss' kappa: 1 where all readers always agree, 0 where chance would do as well.

    It is NaN where all answers are alike.

    Parameters
    ----------
    codes : array-like of shape (cases, readers)
        Number of the category, from 0; NaN where not rated. A case counts where two have rated it.

    Examples
    --------
    >>> measure = fleiss_kappa([[0, 0, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]])
    >>> round(panel_interval(measure, 4, 3, n_boot=0)[0], 3)
    0.333
    """
    one_hot = _one_hot(codes)

    def measure(cases: Weights, readers: Weights) -> NDArray:
        same, counts = _agreed(one_hot, cases, readers)
        share = (counts / counts.sum(axis=1, keepdims=True)) ** 2
        by_chance = share.sum(axis=1)
        return np.where(by_chance < 1 - 1e-12, (same - by_chance) / (1 - by_chance), np.nan)

    return _quiet(measure)


def raw_agreement(codes: ArrayLike) -> PanelMeasure:
    """Share of the pairs of readers who gave a case the same answer; as for `fleiss_kappa`."""
    one_hot = _one_hot(codes)
    return _quiet(lambda cases, readers: _agreed(one_hot, cases, readers)[0])


def mean_rating(ratings: ArrayLike) -> PanelMeasure:
    """Mean of ratings of shape (cases, readers), NaN where not rated."""
    values = np.asarray(ratings, float)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0)

    def measure(cases: Weights, readers: Weights) -> NDArray:
        total, n = ((cases @ part * readers).sum(axis=1) for part in (filled, known))
        return total / n

    return _quiet(measure)


def difference(ratings: ArrayLike, first: ArrayLike) -> PanelMeasure:
    """Mean rating of the cases that are `first` (yes or no) less that of the others."""
    values, chosen = np.asarray(ratings, float), np.asarray(first, bool)[:, None]
    one, other = (mean_rating(np.where(part, values, np.nan)) for part in (chosen, ~chosen))
    return lambda cases, readers: one(cases, readers) - other(cases, readers)


def _one_hot(codes: ArrayLike) -> NDArray:
    """Whether a reader put a case into a category, shape (categories, cases, readers)."""
    codes = np.asarray(codes, float)
    known = codes[~np.isnan(codes)]
    if codes.ndim != 2 or not len(known) or (known < 0).any() or (known % 1).any():
        raise DataError(
            "these are no categories by case and reader",
            expected="whole numbers from 0, (cases, readers), NaN where not rated",
            found=f"shape {codes.shape}, values {np.unique(known)[:4].tolist()}",
        )
    return (codes == np.arange(known.max() + 1)[:, None, None]).astype(float)


def _agreed(one_hot: NDArray, cases: Weights, readers: Weights) -> tuple[NDArray, NDArray]:
    """Mean share of pairs of readers that agree, and ratings in each category, by resample."""
    counts = np.stack([readers @ category.T for category in one_hot], axis=2)  # by case, category
    alone = readers**2 @ one_hot.sum(axis=0).T  # a reader with themselves is no pair
    pairs = counts.sum(axis=2) ** 2 - alone
    rated = pairs > 0.5
    share = np.where(rated, (counts**2).sum(axis=2) - alone, 0) / np.where(rated, pairs, 1)
    weights = cases * rated
    same = (weights * share).sum(axis=1) / weights.sum(axis=1)
    return same, (weights[:, :, None] * counts).sum(axis=1)


def _quiet(measure: PanelMeasure) -> PanelMeasure:
    """A measure that is NaN, without a warning, where a resample has nothing to measure."""

    def quiet(cases: Weights, readers: Weights) -> NDArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return measure(cases, readers)

    return quiet
