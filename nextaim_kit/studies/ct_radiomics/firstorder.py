"""First-order statistics from the distinct values of a region and how often each occurs.

A CT has a few thousand distinct values and a lung millions of voxels: sums over values with
their counts equal sums over voxels. Formulas are those of pyradiomics 3.0.1, whose names are kept.
"""

from __future__ import annotations

import numpy as np


def first_order(
    values: np.ndarray,
    counts: np.ndarray,
    level_counts: np.ndarray,
    voxel_volume: float,
    shift: float = 0.0,
) -> dict[str, float]:
    """Compute pyradiomics' 18 first-order features.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Distinct values of the region, ascending.
    counts : ndarray of int, shape (n,)
        Voxels with each value.
    level_counts : ndarray of int, shape (m,)
        Voxels in each gray level that occurs.
    voxel_volume : float
        In mm³.
    shift : float
        Added to the values in the energies and the root mean square.
    """
    total = int(counts.sum())
    times = counts.astype(float)
    mean = float(values @ times / total)
    centered = values - mean
    square = centered * centered
    m2, m4 = float(square @ times / total), float(square * square @ times / total)
    m3 = float(np.multiply(square, centered, out=square) @ times / total)
    p10, p25, median, p75, p90 = percentiles(values, counts, (10, 25, 50, 75, 90))
    energy = float((values + shift) ** 2 @ times)
    share = level_counts / total
    return {
        "10Percentile": p10,
        "90Percentile": p90,
        "Energy": energy,
        "Entropy": float(-(share @ np.log2(share + np.spacing(1)))),
        "InterquartileRange": p75 - p25,
        "Kurtosis": m4 / m2**2 if m2 else 0.0,
        "Maximum": float(values[-1]),
        "MeanAbsoluteDeviation": float(np.abs(centered) @ times / total),
        "Mean": mean,
        "Median": median,
        "Minimum": float(values[0]),
        "Range": float(values[-1] - values[0]),
        "RobustMeanAbsoluteDeviation": _robust_deviation(values, times, p10, p90),
        "RootMeanSquared": float(np.sqrt(energy / total)),
        "Skewness": m3 / m2**1.5 if m2 else 0.0,
        "TotalEnergy": energy * voxel_volume,
        "Uniformity": float(share @ share),
        "Variance": m2,
    }


def percentiles(
    values: np.ndarray, counts: np.ndarray, wanted: tuple[float, ...]
) -> tuple[float, ...]:
    """Percentiles by linear interpolation between neighboring voxels, as numpy has them."""
    ends = np.cumsum(counts)
    place = (int(ends[-1]) - 1) * (np.asarray(wanted) / 100)
    low = np.floor(place).astype(np.int64)
    below = values[np.searchsorted(ends, low, side="right")]
    above = values[np.searchsorted(ends, np.ceil(place).astype(np.int64), side="right")]
    # As numpy rounds it: a percentile decides which voxels the robust deviation keeps.
    step, part = above - below, place - low
    found = np.where(part < 0.5, below + step * part, above - step * (1 - part))
    return tuple(float(v) for v in found)


def _robust_deviation(values: np.ndarray, times: np.ndarray, low: float, high: float) -> float:
    kept = slice(np.searchsorted(values, low), np.searchsorted(values, high, side="right"))
    inner, times = values[kept], times[kept]
    mean = inner @ times / times.sum()
    return float(np.abs(inner - mean) @ times / times.sum())
