"""Features of counts by gray level and size: runs, zones, dependence; and of neighborhood tone.

Runs, zones and dependence are one set of formulas, on matrices of levels and of lengths, areas or
dependent neighbors; only their names differ. IBSI's are the same (`ibsi.formulas`). Names and
values are those of pyradiomics 3.0.1: van Griethuysen et al., Cancer Research 2017,
doi:10.1158/0008-5472.CAN-17-0339.
"""

from __future__ import annotations

import numpy as np

from nextaim_kit.studies.ct_radiomics.cooccurrence import EPS

# What pyradiomics calls a size, a small and a large one, and an element, by class.
_RUN = ("RunLength", "ShortRun", "LongRun", "Run")
_ZONE = ("SizeZone", "SmallArea", "LargeArea", "Zone")
_DEPENDENCE = ("Dependence", "SmallDependence", "LargeDependence", "Dependence")


def run_features(counts: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Compute 16 features of runs: the mean over directions of each.

    Parameters
    ----------
    counts : ndarray, shape (directions, n, lengths)
        Runs by level and length, from 1; directions without any do not count.
    levels : ndarray of int, shape (n,)
        The gray levels of the rows.
    """
    lengths = np.arange(1, counts.shape[2] + 1)
    found = size_features(counts[counts.any(axis=(1, 2))], levels, lengths, _RUN)
    found["RunPercentage"] = found.pop("Percentage")
    values = np.stack(list(found.values()))
    means = values.mean(axis=1) if values.size else np.full(len(values), np.nan)
    return dict(zip(found, means.tolist(), strict=True))


def zone_features(counts: np.ndarray, levels: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    """Compute 16 features of zones, by level and size: counts of shape (n, sizes)."""
    found = size_features(counts[None], levels, sizes, _ZONE)
    found["ZonePercentage"] = found.pop("Percentage")
    return {name: float(value[0]) for name, value in found.items()}


def dependence_features(counts: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Compute 14 features of dependence, by level and neighbors from 0: counts (n, neighbors)."""
    sizes = np.arange(1, counts.shape[1] + 1)  # a voxel depends on itself
    found = size_features(counts[None], levels, sizes, _DEPENDENCE)
    # Always 1, and the uniformity of the first order.
    left_out = ("Percentage", "GrayLevelNonUniformityNormalized")
    return {name: float(value[0]) for name, value in found.items() if name not in left_out}


def size_features(
    counts: np.ndarray,
    levels: np.ndarray,
    sizes: np.ndarray,
    words: tuple[str, str, str, str],
    eps: float = EPS,
) -> dict[str, np.ndarray]:
    """Compute the 16 features that all such matrices have, one value of each per matrix.

    Parameters
    ----------
    counts : ndarray, shape (matrices, n, sizes)
    levels, sizes : ndarray of int
        Of rows and columns.
    words : tuple of str
        What the names call a size, a small and a large one, and an element.
    eps : float, optional
        Added below logarithms, as pyradiomics does; 0 for IBSI.
    """
    size, small, large, element = words
    there = counts.any(axis=(0, 1))
    counts, j = counts[..., there].astype(float), sizes[there].astype(float)
    i = levels.astype(float)
    by_level, by_size = counts.sum(axis=2), counts.sum(axis=1)
    n = by_level.sum(axis=1)
    emphasis = {"Low": 1 / i**2, "High": i**2}
    sized = {small: counts @ (1 / j**2), large: counts @ j**2}
    p = counts / n[:, None, None]
    level = "GrayLevel" if element == "Dependence" else f"GrayLevel{element}"
    return {
        **{f"{name}Emphasis": part.sum(axis=1) / n for name, part in sized.items()},
        "GrayLevelNonUniformity": (by_level**2).sum(axis=1) / n,
        "GrayLevelNonUniformityNormalized": (by_level**2).sum(axis=1) / n**2,
        f"{size}NonUniformity": (by_size**2).sum(axis=1) / n,
        f"{size}NonUniformityNormalized": (by_size**2).sum(axis=1) / n**2,
        "Percentage": n / (by_size @ j),
        "GrayLevelVariance": _variance(by_level / n[:, None], i),
        f"{element}Variance": _variance(by_size / n[:, None], j),
        f"{element}Entropy": -(p * np.log2(np.where(p > 0, p, 1) + eps)).sum(axis=(1, 2)),
        **{f"{side}{level}Emphasis": by_level @ weight / n for side, weight in emphasis.items()},
        **{
            f"{name}{side}GrayLevelEmphasis": part @ weight / n
            for name, part in sized.items()
            for side, weight in emphasis.items()
        },
    }


def _variance(p: np.ndarray, values: np.ndarray) -> np.ndarray:
    centered = values - (p @ values)[:, None]
    return (p * centered**2).sum(axis=1)


def tone_features(
    counts: np.ndarray, differences: np.ndarray, levels: np.ndarray
) -> dict[str, float]:
    """Compute 5 features of neighborhood tone.

    Parameters
    ----------
    counts : ndarray of int, shape (n,)
        Voxels of each level, those without a neighbor included.
    differences : ndarray of float, shape (n,)
        See `matrices.neighborhood_tone`.
    levels : ndarray of int, shape (n,)

    References
    ----------
    Amadasun and King, IEEE Trans. SMC 1989, doi:10.1109/21.44046
    """
    n, total, weighted = counts.sum(), differences.sum(), counts * differences / counts.sum()
    i, p = levels.astype(float), counts / n
    apart = np.abs(i[:, None] - i)
    both = p[:, None] + p
    changes = np.abs((i * p)[:, None] - i * p).sum()
    pairs = i.size * (i.size - 1)
    contrast = p @ apart**2 @ p * total / n
    complexity = apart * (weighted[:, None] + weighted) / both
    return {
        "Busyness": float(weighted.sum() / changes) if changes else 0.0,
        "Coarseness": float(1 / weighted.sum()) if weighted.any() else 1e6,
        "Complexity": float(complexity.sum() / n),
        "Contrast": float(contrast / pairs) if pairs else 0.0,
        "Strength": float((both * apart**2).sum() / total) if total else 0.0,
    }
