"""Made-up tables by methods that were fitted to patients, and whether they give these away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata

Generator = Callable[[NDArray, int, np.random.Generator], NDArray]
_NEIGHBORS = 5


def standardized(train: NDArray, *others: NDArray) -> list[NDArray[np.float64]]:
    """All brought to mean 0 and spread 1 over the first."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return [(one - mean) / np.where(spread > 1e-12, spread, 1) for one in (train, *others)]


def copies(train: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rows of patients with a hundredth of the spread as noise: made up by name only."""
    rows = train[rng.integers(0, len(train), n)]
    return rows + 0.01 * train.std(axis=0) * rng.normal(size=rows.shape)


def smote(train: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points between a patient and one of the five nearest others.

    Chawla et al. 2002, doi:10.1613/jair.953.
    """
    apart = cdist(train, train)
    np.fill_diagonal(apart, np.inf)
    near = np.argsort(apart, axis=1)[:, : min(_NEIGHBORS, len(train) - 1)]
    base = rng.integers(0, len(train), n)
    other = near[base, rng.integers(0, near.shape[1], n)]
    return train[base] + rng.random((n, 1)) * (train[other] - train[base])


def kernel_density(train: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A patient's row with noise of Scott's width (Scott 1992, doi:10.1002/9780470316849)."""
    count, features = train.shape
    width = count ** (-1 / (features + 4))
    rows = train[rng.integers(0, count, n)]
    return rows + width * train.std(axis=0) * rng.normal(size=rows.shape)


def copula(train: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A Gaussian copula: each feature's own quantiles, joined by the correlation of the ranks.

    Patki et al. 2016, doi:10.1109/DSAA.2016.49.
    """
    count, features = train.shape
    z = norm.ppf((rankdata(train, axis=0) - 0.5) / count)
    together = np.atleast_2d(np.corrcoef(z, rowvar=False))
    drawn = norm.cdf(rng.multivariate_normal(np.zeros(features), together, n, method="eigh"))
    return np.column_stack([np.quantile(train[:, k], drawn[:, k]) for k in range(features)])


def tuned_twin(fresh: NDArray) -> Generator:
    """A twin whose draws are looked through for those that resemble the patients most.

    Parameters
    ----------
    fresh : array of shape (draws, features)
        What the twin gives by itself.
    """

    def chosen(train: NDArray, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        near = cdist(train, fresh).argmin(axis=1)
        return fresh[near[rng.integers(0, len(train), n)]]

    return chosen


def nearness(rows: NDArray, made: NDArray) -> NDArray[np.float64]:
    """Minus the distance of each row to the nearest made one: the attack on a generator.

    Chen et al. 2020, arXiv:1909.03935.
    """
    return -cdist(rows, made).min(axis=1)


def nearer_to_patients(made: NDArray, train: NDArray, others: NDArray) -> NDArray[np.float64]:
    """1 where a made row's nearest patient trained the generator, 0 where it is another, 1/2 a tie.

    Parameters
    ----------
    made : array of shape (n, features)
    train, others : arrays of one shape
        Those it was fitted to, and as many of the same population.
    """
    inside, outside = cdist(made, train).min(axis=1), cdist(made, others).min(axis=1)
    return np.where(inside == outside, 0.5, inside < outside).astype(float)


def distance_ratio(made: NDArray, train: NDArray) -> NDArray[np.float64]:
    """Distance of each made row to its nearest patient over that to the second: near 0, a copy."""
    two = np.sort(cdist(made, train), axis=1)[:, :2]
    return two[:, 0] / np.maximum(two[:, 1], 1e-12)
