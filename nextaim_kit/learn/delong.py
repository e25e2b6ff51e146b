"""DeLong's interval of an AUC and of the difference of two: by a formula, without resamples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.learn.intervals import Z95
from nextaim_kit.learn.outcomes import checked

_NONE = 1e-12  # a standard error that is no more than rounding


class DeLong(NamedTuple):
    """An AUC or a difference of two, its 95 % interval, and how likely chance goes as far.

    Attributes
    ----------
    value, low, high : float
        The ends are NaN where there is no error to tell them from: an AUC of 0 or 1, two models
        that order the patients alike, or an outcome of one patient.
    p_value : float
        Two-sided, of an AUC of 0.5 or of no difference.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def words(self) -> str:
        """The interval, said to be DeLong's; empty where there is none."""
        return f"DeLong [{self.low:.3f}, {self.high:.3f}]" if self.low == self.low else ""


def delong(
    y: ArrayLike,
    score: ArrayLike,
    *,
    other: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> DeLong:
    """AUC of any score, or what another's is less by, with DeLong's normal 95 % interval.

    It stands beside the bootstrap's (`auc_interval`): the two agree where patients are many.
    Near 0 and 1 and with few patients of an outcome the normal interval ends at the bound, and the
    bootstrap's is the better one. As there, the models are held fixed.

    Parameters
    ----------
    y : array-like of shape (n,)
        Outcomes 0/1.
    score : array-like of shape (n,) or (n, repeats)
        The mean AUC of the repeats counts.
    other : array-like of shape (n,) or (n, repeats), optional
        Scores of another model for the same rows: the paired difference is given.
    groups : array-like of shape (n,), optional
        Patient of each row, where a patient has several: what their rows add is summed first.

    Raises
    ------
    DataError
        As `auc_interval`.

    References
    ----------
    DeLong et al. 1988, doi:10.2307/2531595; by ranks, in n log n: Sun and Xu 2014,
    doi:10.1109/LSP.2014.2337313; several rows of a patient: Obuchowski 1997, doi:10.2307/2533958.

    Examples
    --------
    >>> found = delong([0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.4, 0.6, 0.2, 0.5, 0.8, 0.9, 0.7])
    >>> [round(value, 3) for value in found]
    [0.938, 0.764, 1.0, 0.0]
    """
    y, one = checked(y, score)
    value, placed = _placed(y, one)
    null, least = 0.5, 0.0
    if other is not None:
        less, beside = _placed(*checked(y, other))
        value, placed, null, least = value - less, placed - beside, 0.0, -1.0
    error = _standard_error(y, placed, np.arange(len(y)) if groups is None else groups)
    if not error > _NONE:
        return DeLong(value, np.nan, np.nan, np.nan)
    from scipy.special import ndtr

    low, high = np.clip([value - Z95 * error, value + Z95 * error], least, 1.0)
    return DeLong(value, float(low), float(high), float(2 * ndtr(-abs(value - null) / error)))


def _placed(y: NDArray, scores: NDArray) -> tuple[float, NDArray]:
    """Mean AUC, and of each row the share of the other outcome that it is in order with, less it.

    A row's rank among all less that among its own outcome counts those of the other below it.
    """
    from scipy.stats import rankdata

    shares = np.empty_like(scores)
    for rows in (y == 1, y == 0):
        below = rankdata(scores, axis=0)[rows] - rankdata(scores[rows], axis=0)
        shares[rows] = below / (~rows).sum()
    shares[y == 0] = 1 - shares[y == 0]
    mean = shares.mean(axis=1)
    value = float(mean[y == 1].mean())
    return value, mean - value


def _standard_error(y: NDArray, placed: NDArray, groups: ArrayLike) -> float:
    """Of both outcomes' means together; rows of one patient vary together."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    off = np.zeros(len(names))
    for rows in (y == 1, y == 0):
        patients = len(np.unique(member[rows]))
        if patients < 2:
            return float("nan")
        share = np.sqrt(patients / (patients - 1)) / rows.sum()
        off += share * np.bincount(member[rows], placed[rows], len(names))
    return float(np.sqrt((off**2).sum()))
