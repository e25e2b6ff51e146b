"""First-order statistics from the distinct values of a region and how often each occurs.

A CT has a few thousand distinct values and a lung millions of voxels: sums over values with
their counts equal sums over voxels. Formulas are those of pyradiomics 3.0.1, whose names are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_BLOCK = 1 << 14  # values that are looked at together: as many as stay near the processor


def first_order(
    values: np.ndarray,
    counts: np.ndarray | None,
    level_counts: np.ndarray,
    voxel_volume: float,
    shift: float = 0.0,
) -> dict[str, float]:
    """Compute pyradiomics' 18 first-order features.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Values of the region, ascending.
    counts : ndarray of int, shape (n,), or None
        Voxels with each value; None: one.
    level_counts : ndarray of int, shape (m,)
        Voxels in each gray level.
    voxel_volume : float
        In mm³.
    shift : float
        Added to the values in the energies and the root mean square.
    """
    total = int(level_counts.sum())
    mean = float(_sums(values, counts, lambda x: [x])[0] / total)
    energy, off, m2, m3, m4 = _sums(values, counts, lambda x: _powers(x, mean, shift)).tolist()
    m2, m3, m4 = m2 / total, m3 / total, m4 / total
    p10, p25, median, p75, p90 = percentiles(values, counts, (10, 25, 50, 75, 90))
    share = level_counts / total
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": float(-(share @ np.log2(share + np.spacing(1)))),
        "InterquartileRange": p75 - p25,
        "Kurtosis": m4 / m2**2 if m2 else 0.0,
        "Maximum": float(values[-1]),
        "MeanAbsoluteDeviation": off / total,
        "Mean": mean,
        "Median": median,
        "Minimum": float(values[0]),
        "Range": float(values[-1]) - float(values[0]),
        "RobustMeanAbsoluteDeviation": _robust_deviation(values, counts, p10, p90),
        "RootMeanSquared": float(np.sqrt(energy / total)),
        "Skewness": m3 / m2**1.5 if m2 else 0.0,
        "TotalEnergy": energy * voxel_volume,
        "Uniformity": float(share @ share),
        "Variance": m2,
    }


def _powers(x: np.ndarray, mean: float, shift: float) -> list[np.ndarray]:
    shifted, centered = x + shift, x - mean
    square = centered * centered
    return [shifted * shifted, np.abs(centered), square, square * centered, square * square]


def _sums(
    values: np.ndarray,
    counts: np.ndarray | None,
    terms: Callable[[np.ndarray], Sequence[np.ndarray]],
) -> np.ndarray:
    """Sum over the voxels of each of some functions of their values, a part of them at a time."""
    found = []
    for start in range(0, values.size, _BLOCK):
        some = slice(start, start + _BLOCK)
        made = np.stack(terms(values[some].astype(float, copy=False)))
        found.append(made.sum(axis=1) if counts is None else made @ counts[some].astype(float))
    return np.sum(found, axis=0)


def percentiles(
    values: np.ndarray, counts: np.ndarray | None, wanted: tuple[float, ...]
) -> tuple[float, ...]:
    """Percentiles by linear interpolation between neighboring voxels, as numpy has them."""
    ends = None if counts is None else np.cumsum(counts)
    place = ((values.size if ends is None else int(ends[-1])) - 1) * (np.asarray(wanted) / 100)
    low, high = (edge(place).astype(np.int64) for edge in (np.floor, np.ceil))
    part = place - low
    if ends is not None:
        low, high = (np.searchsorted(ends, which, side="right") for which in (low, high))
    below, above = values[low].astype(float), values[high].astype(float)
    # As numpy rounds it: a percentile decides which voxels the robust deviation keeps.
    step = above - below
    found = np.where(part < 0.5, below + step * part, above - step * (1 - part))
    return tuple(float(v) for v in found)


def _robust_deviation(
    values: np.ndarray, counts: np.ndarray | None, low: float, high: float
) -> float:
    kept = slice(np.searchsorted(values, low), np.searchsorted(values, high, side="right"))
    inner, times = values[kept], None if counts is None else counts[kept]
    if not inner.size:  # two voxels: neither lies between the percentiles
        return float("nan")
    total = inner.size if times is None else times.sum()
    mean = _sums(inner, times, lambda x: [x])[0] / total
    return float(_sums(inner, times, lambda x: [np.abs(x - mean)])[0] / total)
