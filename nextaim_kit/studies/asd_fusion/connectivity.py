"""From the time series of regions to a vector of edges, and back to what else a matrix can say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from nextaim_kit.errors import DataError
from nextaim_kit.studies.asd_fusion.brains import square, upper

Measure = Literal["correlation", "partial"]
Kind = Literal["correlation", "log", "tangent", "partial"]
_ONE = np.float32(0.9999999)  # of correlations, so that Fisher's z stays finite
_MOST, _BEYOND = float(np.arctanh(_ONE)), 1.001  # the highest z; more than a correlation rounded
_NEGATIVE = -0.1  # eigenvalues that rounding and clipping do not make
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
        regions without shrinkage, or of regions one of which follows from others; if fewer than
        two regions have signal.
    """
    values = np.asarray(series, float)
    alive = _with_signal(values)
    correlation = _correlation(values[:, alive], shrink)
    if measure == "partial":
        _require_partial(correlation, volumes=np.inf if shrink else len(values))
        correlation = _partial(correlation[None])[0]
    matrix = np.full((len(alive), len(alive)), np.nan, np.float32)
    matrix[np.ix_(alive, alive)] = np.arctanh(np.clip(correlation, -_ONE, _ONE))
    return upper(matrix)


def _require_partial(correlation: NDArray, *, volumes: float) -> None:
    """Refuse what has no partial correlations; shrunk, they may have fewer volumes."""
    if volumes <= len(correlation):
        raise DataError(
            f"partial correlations of {len(correlation)} regions are not defined by "
            f"{volumes} volumes",
            expected="more volumes than regions",
            mend="shrink the covariance, knowing that it follows the series' length",
        )
    if np.linalg.eigvalsh(correlation)[0] < 1e-8:
        raise DataError(
            "partial correlations are not defined: the series of some regions give another's",
            mend="shrink the covariance, or leave out a region that is there twice",
        )


def _with_signal(values: NDArray) -> NDArray[np.bool_]:
    """Which regions vary, by more than what rounding leaves of a constant."""
    alive = ~np.isnan(values).all(axis=0)
    broken = np.flatnonzero(~np.isfinite(values[:, alive]).all(axis=1))
    if len(broken):
        raise DataError(
            f"{len(broken)} volumes are not finite, the first is volume {broken[0] + 1}",
            expected=f"{len(values)} volumes of numbers",
            mend="leave those volumes out of the series, or the subject",
        )
    alive[alive] = np.ptp(values[:, alive], axis=0) > 1e-6 * np.abs(values[:, alive]).max(axis=0)
    if alive.sum() < 2:
        raise DataError(f"{alive.sum()} of {len(alive)} regions have signal", expected="2 or more")
    return alive


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


def regions_in(edges: int) -> int:
    """How many regions have so many edges.

    Raises
    ------
    DataError
        If no number of regions has.
    """
    n = round((1 + (1 + 8 * edges) ** 0.5) / 2)
    if n * (n - 1) // 2 != edges:
        raise DataError(
            f"{edges} is no number of edges", expected="n (n - 1) / 2 of n regions, as 5253 of 103"
        )
    return n


def raw_edges(matrix: NDArray) -> tuple[NDArray[np.float32], str]:
    """Edges of a matrix as it has them, and what they are: "r", "z", or "" if it cannot be told.

    Raises
    ------
    DataError
        If it is not symmetric, or none of correlations or Fisher's z.
    """
    if matrix.shape[0] != matrix.shape[1] or not np.allclose(
        matrix, matrix.T, atol=1e-5, equal_nan=True
    ):
        raise DataError("the matrix is not symmetric", expected="one of correlations")
    edges, diagonal = upper(matrix.astype(np.float32)), np.diag(matrix)
    known = diagonal[np.isfinite(diagonal)]
    ones = np.isclose(known, 1, atol=1e-3)
    beyond = float(np.nanmax(np.abs(edges), initial=0))
    of_z = np.isinf(diagonal).any() or bool(len(known) and known.min() > 3.5 and np.ptp(known) == 0)
    if (ones.any() and beyond > _BEYOND) or not (of_z or (ones | np.isclose(known, 0)).all()):
        raise DataError(
            "the matrix is none of correlations",
            expected="ones on the diagonal and values from -1 to 1, or Fisher's z",
            found=f"a diagonal up to {known.max():.3g} and values up to {beyond:.3g}",
        )
    return edges, "z" if of_z else "r" if ones.any() else ""


def fisher_z(edges: NDArray, kinds: Sequence[str]) -> tuple[NDArray[np.float32], list[str]]:
    """Fisher z of edges by subject, and for each of them what is wrong with it, or nothing.

    Parameters
    ----------
    edges : array of shape (subjects, edges)
    kinds : sequence of str
        ``r`` where they are correlations, ``z`` where they are Fisher's z, ``series`` where they
        are that of series. Where nothing is said, all are z if one goes beyond 1, or is known to
        be; else correlations.
    """
    z = np.where(np.isinf(edges), np.copysign(_MOST, edges), edges).astype(np.float32)
    tops = np.nanmax(np.abs(z), axis=1, initial=0)
    told = [
        kind or ("z" if _BEYOND < top <= _MOST + 1 else "")
        for kind, top in zip(kinds, tops, strict=True)
    ]
    known = {*told} & {"r", "z"}
    if "" in told:
        rest = "z" if known == {"z"} else "r"
        if rest == "r":
            print("no value is beyond 1: taken as correlations")
        told = [kind or ("unknown" if len(known) == 2 else rest) for kind in told]
    of_r = np.flatnonzero(np.array(told) == "r")
    z[of_r] = np.arctanh(np.clip(z[of_r], -_ONE, _ONE))
    wrong = [
        "correlations or Fisher's z? Others here have either" if kind == "unknown"
        else f"values up to {top:.4g}, which no Fisher z has" if top > _MOST + 1 else ""
        for kind, top in zip(told, tops, strict=True)
    ]  # fmt: skip
    return z, wrong


def without_signal(edges: NDArray) -> NDArray[np.float32]:
    """Edges of shape (subjects, edges), those missing of a region that goes with nothing at all."""
    n = regions_in(edges.shape[1])
    edges = np.array(edges, np.float32)
    dead = dead_regions(np.where(edges == 0, np.nan, edges), n)
    i, j = np.triu_indices(n, 1)
    for row in np.flatnonzero(dead.any(axis=1)):
        edges[row, dead[row][i] | dead[row][j]] = np.nan
    return edges


def in_order(edges: NDArray) -> NDArray:
    """Fisher z of shape (subjects, edges) in this study's order, whichever triangle they are of.

    In the wrong order the mean of correlation matrices is none: it has negative eigenvalues.

    Raises
    ------
    DataError
        If they are in neither order.
    """
    n = regions_in(edges.shape[1])
    mean = np.tanh(np.nan_to_num(edges)).mean(axis=0)
    i, j = np.triu_indices(n, 1)
    of_lower = j * (j - 1) // 2 + i
    least = [np.linalg.eigvalsh(square(m, n) + np.eye(n))[0] for m in (mean, mean[of_lower])]
    if max(least) < _NEGATIVE:
        raise DataError(
            f"edges that make no correlation matrix of {n} regions",
            expected="the upper triangle row by row, without the diagonal, or the lower one",
            found=f"eigenvalues of their mean down to {max(least):.2g}",
            mend="save the matrices themselves, as an array of (subjects, regions, regions)",
        )
    if least[0] >= _NEGATIVE:
        return edges
    print("edges of the lower triangle row by row, as nilearn has them: put in order")
    return edges[:, of_lower]


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

    @classmethod
    def of(cls, mean: NDArray) -> Self:
        """One that is fitted, of known means."""
        made = cls()
        made.mean_ = mean
        return made

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
        self.n_regions_ = regions_in(X.shape[1])
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
