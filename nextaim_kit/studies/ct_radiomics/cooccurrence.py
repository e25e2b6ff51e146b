"""Features of gray levels that meet: pyradiomics' formulas on the counts of `matrices`.

pyradiomics 3.0.1 defines names and values: van Griethuysen et al., Cancer Research 2017,
doi:10.1158/0008-5472.CAN-17-0339, after Haralick et al., IEEE Trans. SMC 1973,
doi:10.1109/TSMC.1973.4309314.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np

EPS = np.spacing(1)  # keeps logarithms and quotients finite, as in pyradiomics
_BLOCK = 1 << 18  # numbers of all directions that are looked at together


def cooccurrence_features(
    counts: np.ndarray, levels: np.ndarray, without: Collection[str] = ()
) -> dict[str, float]:
    """Compute 24 features: the mean over directions of each.

    Parameters
    ----------
    counts : ndarray, shape (directions, n, n)
        How often (or with what weight) two levels meet; directions without a pair do not count.
    levels : ndarray of int, shape (n,)
        The gray levels of rows and columns, ascending.
    without : collection of str, optional
        Features that are not wanted.

    Returns
    -------
    dict of str to float
        By pyradiomics' names; NaN where no two voxels meet.
    """
    met = counts[counts.any(axis=(1, 2))]
    if not len(met):
        return dict.fromkeys(set(_NAMES) - set(without), float("nan"))
    # Directions last and pairs by column, as pyradiomics has them in memory: sums are added in its
    # order. Where levels are independent, the last bit decides whether Imc2 and MCC are numbers.
    met = np.ascontiguousarray(met.transpose(2, 1, 0))
    block = max(1, _BLOCK // levels.size**2)
    parts = [
        _features(_Joint(met[..., start : start + block], levels))
        for start in range(0, met.shape[2], block)
    ]
    values = np.concatenate([np.stack(list(part.values())) for part in parts], axis=1)
    result = dict(zip(parts[0], _mean(values).tolist(), strict=True))
    if "MCC" not in without:
        result["MCC"] = _maximal_correlation(_Joint(met, levels))
    return {name: value for name, value in result.items() if name not in without}


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is a number; NaN where nothing is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1)


class _Joint:
    """Probabilities of pairs (second level, first level, direction), and their margins."""

    def __init__(self, counts: np.ndarray, levels: np.ndarray) -> None:
        self.p = counts / counts.sum(axis=(0, 1), dtype=float)
        self.levels, self.i = levels, levels.astype(float)
        self.px, self.py = self.p.sum(axis=0), self.p.sum(axis=1)
        self.ux, self.uy = self.i @ self.px, self.i @ self.py

    @cached_property
    def apart(self) -> np.ndarray:
        """Probabilities of pairs if levels were independent."""
        return self.px * self.py[:, None]

    def by(self, group: np.ndarray, size: int) -> np.ndarray:
        """Probability of each difference or sum of levels, from 0; shape (size, directions)."""
        n = self.p.shape[2]
        cell = group.reshape(-1, 1) * n + np.arange(n)
        return np.bincount(cell.reshape(-1), self.p.reshape(-1), size * n).reshape(size, n)


def _features(joint: _Joint) -> dict[str, np.ndarray]:
    """All features but MCC, one value per direction."""
    p, i = joint.p, joint.i
    return {
        "Autocorrelation": (p * np.outer(i, i)[..., None]).sum(axis=(0, 1)),
        **_of_sums(joint),
        **_of_differences(joint),
        **_correlations(joint),
        "JointAverage": joint.ux,
        "JointEnergy": (p**2).sum(axis=(0, 1)),
        "MaximumProbability": p.max(axis=(0, 1)),
        "SumSquares": (joint.px * (i[:, None] - joint.ux) ** 2).sum(axis=0),
    }


def _of_sums(joint: _Joint) -> dict[str, np.ndarray]:
    size = 2 * int(joint.levels[-1]) + 1
    p, values = joint.by(joint.levels[:, None] + joint.levels, size), np.arange(float(size))
    centered = values[:, None] - (joint.ux + joint.uy)
    return {
        "ClusterProminence": (p * centered**4).sum(axis=0),
        "ClusterShade": (p * centered**3).sum(axis=0),
        "ClusterTendency": (p * centered**2).sum(axis=0),
        "SumAverage": values @ p,
        "SumEntropy": _entropy(p),
    }


def _of_differences(joint: _Joint) -> dict[str, np.ndarray]:
    top = int(joint.levels[-1])
    p = joint.by(np.abs(joint.levels[:, None] - joint.levels), top)
    values = np.arange(float(top))
    mean = values @ p
    return {
        "Contrast": values**2 @ p,
        "DifferenceAverage": mean,
        "DifferenceEntropy": _entropy(p),
        "DifferenceVariance": (p * (values[:, None] - mean) ** 2).sum(axis=0),
        "Id": 1 / (1 + values) @ p,
        "Idm": 1 / (1 + values**2) @ p,
        "Idmn": 1 / (1 + values**2 / top**2) @ p,
        "Idn": 1 / (1 + values / top) @ p,
        "InverseVariance": 1 / values[1:] ** 2 @ p[1:],
    }


def _correlations(joint: _Joint) -> dict[str, np.ndarray]:
    p, px, py = joint.p, joint.px, joint.py
    x, y = joint.i[:, None] - joint.ux, joint.i[:, None] - joint.uy
    spread = np.sqrt((px * x**2).sum(axis=0)) * np.sqrt((py * y**2).sum(axis=0))
    covariance = ((p * x).sum(axis=1) * y).sum(axis=0)
    of_apart = np.log2(joint.apart + EPS)
    entropy = _entropy(p)
    cross, independent = (-(q * of_apart).sum(axis=(0, 1)) for q in (p, joint.apart))
    larger = np.maximum(_entropy(px), _entropy(py))
    with np.errstate(invalid="ignore"):  # below 0 by rounding alone: not a number, as there
        second = np.sqrt(1 - np.e ** (-2 * (independent - entropy)))
    return {
        "Correlation": np.where(spread == 0, 1, covariance / (spread + EPS)),
        "JointEntropy": entropy,
        "Imc1": np.where(larger == 0, 0, (entropy - cross) / np.where(larger, larger, 1)),
        "Imc2": np.where(independent == entropy, 0, second),
    }


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log2(p + EPS)).sum(axis=tuple(range(p.ndim - 1)))


def _maximal_correlation(joint: _Joint) -> float:
    """Root of the second largest eigenvalue of Q per direction; the mean."""
    if joint.levels.size < 2:
        return 1.0
    p = joint.p
    q = np.zeros_like(p)
    for k in range(len(p)):
        q += p[k][:, None] * p[k] / (joint.px[:, None] * joint.py[k] + EPS)
    values = np.sort(np.linalg.eigvals(q.transpose(2, 0, 1)), axis=1)
    with np.errstate(invalid="ignore"):
        return float(np.real(_mean(np.sqrt(values[:, -2]))))


_NAMES = (*_features(_Joint(np.ones((1, 1, 1)), np.ones(1, int))), "MCC")
