"""Intensity features: statistics, histogram, intensity-volume histogram, local peak.

References
----------
Zwanenburg et al., arXiv:1612.07003, sections 3.2 to 3.5
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.grid import squared_distances
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import (
    PEAK_MM,
    Prepared,
    levels_of_number,
    levels_of_width,
)

_SHARED = (
    "mean", "var", "skew", "kurt", "median", "min", "p10", "p90", "max", "iqr", "range", "mad",
    "rmad", "medad", "cov", "qcod",
)  # fmt: skip
_ROUNDING = 1e-12  # of a share of voxels


def intensity_features(
    region: Prepared, setup: Configuration, levels: np.ndarray
) -> dict[str, float]:
    """Intensity features of a region under their IBSI tags: 2 + 18 + 23 + 6.

    Parameters
    ----------
    region : Prepared
    setup : Configuration
    levels : ndarray of int, shape (n,)
        Gray level of each voxel of the intensity mask.

    Returns
    -------
    dict of str to float
        ``loc_peak_*``, ``stat_*`` (HU), ``ih_*`` (gray levels), ``ivh_*``.
    """
    families = {
        "loc_peak": _local_peaks(region),
        "stat": _statistics(region.inside),
        "ih": _histogram(levels),
        "ivh": _volume_histogram(region.inside, setup),
    }
    return {f"{f}_{name}": float(v) for f, values in families.items() for name, v in values.items()}


def _distribution(x: np.ndarray) -> dict[str, float]:
    """What statistics of values and of gray levels share."""
    p10, p25, median, p75, p90 = np.percentile(x, (10, 25, 50, 75, 90))
    mean, low, high = x.mean(), x.min(), x.max()
    off = x - mean
    variance = (off**2).mean()
    middle = x[(x >= p10) & (x <= p90)]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            mean, variance, (off**3).mean() / variance**1.5, (off**4).mean() / variance**2 - 3,
            median, low, p10, p90, high, p75 - p25, high - low, np.abs(off).mean(),
            np.abs(middle - middle.mean()).mean(), np.abs(x - median).mean(),
            np.sqrt(variance) / mean, (p75 - p25) / (p75 + p25),
        )  # fmt: skip
    return dict(zip(_SHARED, found, strict=True))


def _statistics(x: np.ndarray) -> dict[str, float]:
    energy = (x**2).sum()
    return {**_distribution(x), "energy": energy, "rms": np.sqrt(energy / x.size)}


def _histogram(levels: np.ndarray) -> dict[str, float]:
    shared = _distribution(levels.astype(float))
    counts = np.bincount(levels)[1:].astype(float)
    share = counts[counts > 0] / levels.size
    common = np.flatnonzero(counts == counts.max()) + 1
    slope = np.gradient(counts) if counts.size > 1 else np.zeros(1)
    return {
        **shared,
        # Of several the one next to the mean, the lower one of two.
        "mode": common[np.abs(common - shared["mean"]).argmin()],
        "entropy": -(share * np.log2(share)).sum(),
        "uniformity": (share**2).sum(),
        "max_grad": slope.max(),
        "max_grad_g": slope.argmax() + 1,
        "min_grad": slope.min(),
        "min_grad_g": slope.argmin() + 1,
    }


def _volume_histogram(x: np.ndarray, setup: Configuration) -> dict[str, float]:
    """Volume with at least an intensity, and the least intensity of at most a volume."""
    at, levels = _volume_levels(x, setup)
    counts = np.bincount(levels, minlength=at.size + 1)[1:]
    # At an intensity above the highest there is no volume.
    volume = 1 - np.concatenate([[0], np.cumsum(counts)]) / x.size
    part = (at - at[0]) / (at[-1] - at[0])
    v10, v90 = (volume[:-1][part >= share].max() for share in (0.1, 0.9))
    at = np.append(at, 2 * at[-1] - at[-2])
    i10, i90 = (at[volume <= share + _ROUNDING].min() for share in (0.1, 0.9))
    return {
        "v10": v10, "v90": v90, "i10": i10, "i90": i90,
        "diff_v10_v90": v10 - v90, "diff_i10_i90": i10 - i90,
    }  # fmt: skip


def _volume_levels(x: np.ndarray, setup: Configuration) -> tuple[np.ndarray, np.ndarray]:
    """Intensity of each level of the histogram, over the whole range kept, and the voxels' levels.

    A fixed width tells the middle of each bin, a fixed count only its number.
    """
    width, count = setup.ivh_width, setup.ivh_count
    if count is not None:
        return np.arange(1.0, count + 1), levels_of_number(x, count)
    low, high = setup.lowest, setup.highest
    low, high = x.min() if low is None else low, x.max() if high is None else high
    if width is None:
        low = math.floor(low)
        return np.arange(low, math.floor(high) + 1.0), levels_of_width(x, 1, low)
    bins = max(math.ceil((high - low) / width), math.floor((x.max() - low) / width) + 1, 2)
    return low + (np.arange(bins) + 0.5) * width, levels_of_width(x, width, low)


def _local_peaks(region: Prepared) -> dict[str, float]:
    """Largest mean HU in a ball of 1 cm³ around the brightest voxel, and around any voxel."""
    reach = [math.ceil(PEAK_MM / s) for s in region.spacing]
    shape = region.around.shape
    size = [fft.next_fast_len(n + r, real=True) for n, r in zip(shape, reach, strict=True)]
    size = [max(n, 2 * r + 1) for n, r in zip(size, reach, strict=True)]
    ball = fft.rfftn((squared_distances(size, region.spacing) <= PEAK_MM**2).astype(float))

    def sums(x: np.ndarray) -> np.ndarray:
        whole = fft.irfftn(fft.rfftn(x, s=size) * ball, s=size)
        return np.asarray(whole[: shape[0], : shape[1], : shape[2]][region.box][region.kept])

    mean = sums(region.around) / np.rint(sums(np.ones(shape)))
    return {"loc": mean[region.inside == region.inside.max()].max(), "glob": mean.max()}
