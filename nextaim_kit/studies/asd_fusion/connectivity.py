"""From the time series of regions to a vector of edges, and back to what else a matrix can say."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import square, upper

Measure = Literal["correlation", "partial"]
Kind = Literal["correlation", "log", "tangent", "partial"]
_ONE = np.float32(0.9999999)  # of correlations, so that Fisher's z stays finite
_BLOCK = 64  # matrices that are in memory at once


def edges_of(series: NDArray, *, measure: Measure = "correlation", shrink: bool = False) -> NDArray:
    """Fisher z of how each two regions go together, shape (edges,), float32.

    Parameters
    ----------
    series : array of shape (volumes, regions)
        A region that does not vary, or is all NaN, has no signal: its edges are NaN.
    measure : {"correlation", "partial"}
        Pearson's correlation, or what is left of it given all other regions.
    shrink : bool
        By Ledoit and Wolf's estimate of the covariance, doi:10.1016/S0047-259X(03)00096-4. How
        much it shrinks depends on the series' length, and so on the site.

    Raises
    ------
    DataError
        If a volume is NaN or infinite, or partial correlations are asked of fewer volumes than
        regions without shrinkage.
    """
    values = np.asarray(series, float)
    lost = np.isnan(values).all(axis=0)
    broken = np.flatnonzero(~np.isfinite(values[:, ~lost]).all(axis=1))
    if len(broken):
        raise DataError(
            f"{len(broken)} volumes are not finite, the first is volume {broken[0] + 1}",
            expected=f"{len(values)} volumes of numbers",
            mend="leave those volumes out of the series, or the subject",
        )
    alive = ~lost
    alive[alive] = np.ptp(values[:, alive], axis=0) > 0
    n, regions = len(values), int(alive.sum())
    if measure == "partial" and not shrink and n <= regions:
        raise DataError(
            f"partial correlations of {regions} regions are not defined by {n} volumes",
            expected="more volumes than regions",
            mend="shrink the covariance, knowing that it follows the series' length",
        )
    correlation = _correlation(values[:, alive], shrink)
    if measure == "partial":
        correlation = _partial(correlation[None])[0]
    matrix = np.full((len(alive), len(alive)), np.nan, np.float32)
    matrix[np.ix_(alive, alive)] = np.arctanh(np.clip(correlation, -_ONE, _ONE))
    return upper(matrix)


def _correlation(values: NDArray, shrink: bool) -> NDArray:
    if not shrink:
        return np.corrcoef(values.T).reshape(values.shape[1], -1)
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf((values - values.mean(0)) / values.std(0))
    spread = np.sqrt(np.diag(covariance))
    return covariance / np.outer(spread, spread)


def _partial(matrices: NDArray) -> NDArray:
    precision = np.linalg.inv(matrices)
    spread = np.sqrt(np.einsum("kii->ki", precision))
    return -precision / (spread[:, :, None] * spread[:, None, :])


def dead_regions(connectivity: NDArray, n: int) -> NDArray[np.bool_]:
    """Regions without signal, shape (subjects, n); none where a subject has no function at all."""
    lost = np.zeros((len(connectivity), n), np.int64)
    i, j = np.triu_indices(n, 1)
    for row, missing in enumerate(np.isnan(connectivity)):
        if missing.any() and not missing.all():
            lost[row] = np.bincount(i[missing], minlength=n) + np.bincount(j[missing], minlength=n)
    return lost == n - 1


class Filled(TransformerMixin, BaseEstimator):
    """Missing values become the training subjects' mean, without a copy in double precision.

    A column that no training subject has becomes 0.
    """

    def fit(self, X: NDArray, y: Any = None) -> Self:
        """Means of the columns of `X`, shape (n, p)."""
        there = ~np.isnan(X)
        total = np.where(there, X, 0).sum(axis=0, dtype=float)
        self.mean_ = (total / np.maximum(there.sum(axis=0), 1)).astype(X.dtype)
        return self

    def transform(self, X: NDArray) -> NDArray:
        """`X` without NaN."""
        return np.where(np.isnan(X), self.mean_, X)


class Represented(TransformerMixin, BaseEstimator):
    """Edges as another function of the same correlation matrix; what is fitted, in the fold.

    Parameters
    ----------
    kind : {"correlation", "log", "tangent", "partial"}
        Fisher z as it is; the matrix logarithm; the logarithm seen from the training subjects' mean
        (Varoquaux et al. 2010, doi:10.1007/978-3-642-15705-9_25); partial correlation.
    shrinkage : float
        Share of the identity in the matrix before it is inverted or its logarithm taken. It is
        the same for all subjects, unlike one that follows the length of their series.
    """

    def __init__(self, kind: Kind = "correlation", shrinkage: float = 0.5) -> None:
        self.kind = kind
        self.shrinkage = shrinkage

    def fit(self, X: NDArray, y: Any = None) -> Self:
        """Find the training subjects' mean; `X` of shape (n, edges), Fisher z without NaN."""
        self.n_regions_ = round((1 + (1 + 8 * X.shape[1]) ** 0.5) / 2)
        if self.kind == "tangent":
            total = sum(self._matrices(part).sum(axis=0, dtype=float) for part in _parts(X))
            values, vectors = np.linalg.eigh(total / len(X))
            self.whitening_ = ((vectors / np.sqrt(values)) @ vectors.T).astype(np.float32)
        return self

    def transform(self, X: NDArray) -> NDArray[np.float32]:
        """Edges of shape (n, edges)."""
        if self.kind == "correlation":
            return X
        return np.concatenate([self._transformed(self._matrices(part)) for part in _parts(X)])

    def _matrices(self, X: NDArray) -> NDArray:
        matrices = (1 - self.shrinkage) * square(np.tanh(X), self.n_regions_)
        diagonal = np.arange(self.n_regions_)
        matrices[:, diagonal, diagonal] = 1.0
        return matrices

    def _transformed(self, matrices: NDArray) -> NDArray:
        if self.kind == "partial":
            return upper(np.arctanh(np.clip(_partial(matrices), -_ONE, _ONE)))
        if self.kind == "tangent":
            matrices = self.whitening_ @ matrices @ self.whitening_
        values, vectors = np.linalg.eigh(matrices)
        # What rounding left below zero is no direction of the series.
        logs = np.log(np.maximum(values, 1e-4))[:, None, :]
        return upper((vectors * logs) @ vectors.transpose(0, 2, 1))


def _parts(X: NDArray) -> list[NDArray]:
    return [X[start : start + _BLOCK] for start in range(0, len(X), _BLOCK)]
