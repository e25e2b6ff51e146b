"""Empirical Bayes of ComBat: a site's locations and spreads shrink towards those of all features.

It knows a site's rows by their mean and sum of squares alone, whatever their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import parts

_CONVERGED = 1e-4  # as in the reference implementation, whose numbers depend on it


@dataclass(frozen=True)
class Moments:
    """Of a site's standardized rows, by features.

    Attributes
    ----------
    n : int
        Rows.
    mean, squares : array of shape (p,)
        Sum of squares around the mean.
    varies : array of bool, shape (p,)
    """

    n: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    varies: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: NDArray) -> Self:
        """Of rows of shape (n, p), one at least; those that are alike have exactly no squares."""
        varies = np.ptp(rows, axis=0) > 0
        mean = np.where(varies, rows.mean(axis=0), rows[0])
        return cls(len(rows), mean, ((rows - mean) ** 2).sum(axis=0), varies)

    @classmethod
    def beside(cls, several: Sequence[Self]) -> Self:
        """Of the same rows' features, which were read some at a time."""
        columns = ("mean", "squares", "varies")
        return cls(
            several[0].n, *(np.concatenate([getattr(m, c) for m in several]) for c in columns)
        )

    def only(self, which: NDArray[np.bool_]) -> Moments:
        """Of some of the features."""
        return Moments(self.n, self.mean[which], self.squares[which], self.varies[which])

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of two rows or more."""
        return self.squares / (self.n - 1)

    def around(self, location: NDArray) -> NDArray[np.float64]:
        """Sum of squares around other locations."""
        return self.squares + self.n * (self.mean - location) ** 2


def posterior_mean(shift: NDArray, n: int, spread: NDArray) -> NDArray:
    """Posterior of the location under a normal prior with the moments over features."""
    mean, variance = shift.mean(), shift.var(ddof=1)
    return (n * variance * shift + spread * mean) / (n * variance + spread)


def parametric(site: Moments) -> tuple[NDArray, NDArray]:
    """Posterior location and variance, iterated to their fixed point together."""
    n, shift, spread = site.n, site.mean, site.variance
    mean, variance = spread.mean(), spread.var(ddof=1)
    if variance == 0:  # features of one spread: nothing to shrink
        return posterior_mean(shift, n, spread), spread
    a = (2 * variance + mean**2) / variance
    b = (mean * variance + mean**3) / variance
    old_shift, old_spread, change = shift, spread, np.inf
    while change > _CONVERGED:
        new_shift = posterior_mean(shift, n, old_spread)
        new_spread = (site.around(new_shift) / 2 + b) / (n / 2 + a - 1)
        # Relative to the signed location, as the reference does: it decides when to stop.
        with np.errstate(divide="ignore", invalid="ignore"):
            change = max(
                (np.abs(new_shift - old_shift) / old_shift).max(),
                (np.abs(new_spread - old_spread) / old_spread).max(),
            )
        old_shift, old_spread = new_shift, new_spread
    return old_shift, old_spread


def nonparametric(site: Moments, spread: NDArray) -> tuple[NDArray, NDArray]:
    """Mean of all other features' location and variance, weighted by their likelihood here."""
    n, shift, p = site.n, site.mean, len(site.mean)
    known = np.where(spread > 0, spread, 1.0)
    constant = n / 2 * np.log(2 * np.pi * known)
    found = np.empty((2, p))
    for some in parts(p, p):
        here = site.only(np.arange(some.start, some.stop))
        squares = here.squares[:, None] + n * (here.mean[:, None] - shift) ** 2
        log = -squares / (2 * known) - constant
        log[np.arange(len(log)), np.arange(some.start, some.stop)] = -np.inf
        log[:, spread <= 0] = -np.inf  # constant in this site: it tells nothing of the others
        weight = np.exp(log - log.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        found[:, some] = weight @ shift, weight @ spread
    return found[0], found[1]
