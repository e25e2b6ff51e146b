"""IBSI's formulas of texture: what is computed of a matrix, wherever it was counted.

References
----------
Zwanenburg et al., arXiv:1612.07003, sections 3.6 to 3.11
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nextaim_kit.studies.ct_radiomics.level_sizes import size_features, tone_features

# The 16 (17) features that runs, zones, distances and dependences have in common, in one order.
EMPHASES = {
    "rlm": "sre lre lgre hgre srlge srhge lrlge lrhge glnu glnu_norm rlnu rlnu_norm r_perc gl_var "
    "rl_var rl_entr",
    "szm": "sze lze lgze hgze szlge szhge lzlge lzhge glnu glnu_norm zsnu zsnu_norm z_perc gl_var "
    "zs_var zs_entr",
    "dzm": "sde lde lgze hgze sdlge sdhge ldlge ldhge glnu glnu_norm zdnu zdnu_norm z_perc gl_var "
    "zd_var zd_entr",
    "ngl": "lde hde lgce hgce ldlge ldhge hdlge hdhge glnu glnu_norm dcnu dcnu_norm dc_perc gl_var "
    "dc_var dc_entr dc_energy",
}
_TONE = ("coarseness", "contrast", "busyness", "complexity", "strength")
# The same features as `level_sizes` calls them, and the words that make these names.
_WORDS = ("Size", "Small", "Large", "Element")
_NAMES = (
    "SmallEmphasis", "LargeEmphasis", "LowGrayLevelElementEmphasis", "HighGrayLevelElementEmphasis",
    "SmallLowGrayLevelEmphasis", "SmallHighGrayLevelEmphasis", "LargeLowGrayLevelEmphasis",
    "LargeHighGrayLevelEmphasis", "GrayLevelNonUniformity", "GrayLevelNonUniformityNormalized",
    "SizeNonUniformity", "SizeNonUniformityNormalized", "Percentage", "GrayLevelVariance",
    "ElementVariance", "ElementEntropy", "Energy",
)  # fmt: skip


class Counts(NamedTuple):
    """A matrix by its entries that are not 0.

    Parameters
    ----------
    level, size, often : ndarray, shape (n,)
        Gray level (1 and up), size (of a run, zone, distance or dependence), how often it occurs.
    voxels : int
        Voxels that were looked at, once for each matrix that was merged.
    """

    level: np.ndarray
    size: np.ndarray
    often: np.ndarray
    voxels: int


def merged(parts: Sequence[Counts]) -> Counts:
    """One matrix from several: the entries of the same level and size added up."""
    level, size, often = (np.concatenate([part[k] for part in parts]) for k in range(3))
    width = int(size.max()) + 1
    keys, where = np.unique(level.astype(np.int64) * width + size, return_inverse=True)
    total = np.bincount(where, weights=often)
    return Counts(keys // width, keys % width, total, sum(part.voxels for part in parts))


def emphases(family: str, matrix: Counts) -> dict[str, float]:
    """Features of a matrix of runs, zones, distances or dependences, by IBSI's short names."""
    levels, row = np.unique(matrix.level, return_inverse=True)
    sizes, column = np.unique(matrix.size, return_inverse=True)
    counts = np.zeros((1, levels.size, sizes.size))
    counts[0, row, column] = matrix.often
    found = size_features(counts, levels, sizes, _WORDS, eps=0.0)
    total = counts.sum()
    values = {name: float(value[0]) for name, value in found.items()}
    values |= {"Percentage": total / matrix.voxels, "Energy": float(((counts / total) ** 2).sum())}
    return dict(zip(EMPHASES[family].split(), (values[name] for name in _NAMES), strict=False))


def cooccurrence(counts: np.ndarray) -> dict[str, float]:
    """Features of a symmetric co-occurrence matrix, by IBSI's short names.

    Parameters
    ----------
    counts : ndarray, shape (levels, levels)
        How often level i + 1 is the neighbor of level j + 1.

    Returns
    -------
    dict of str to float
        25 features; those that a single level, or no pair at all, leaves undefined are NaN.
    """
    size = len(counts)
    with np.errstate(invalid="ignore"):
        p = counts / counts.sum()
    i = np.arange(1, size + 1, dtype=float)
    p_i = p.sum(axis=1)
    mean = i @ p_i
    variance = (i - mean) ** 2 @ p_i
    row, column = np.nonzero(p)
    minus = np.bincount(np.abs(row - column), weights=p[row, column], minlength=size)
    plus = np.bincount(row + column, weights=p[row, column], minlength=2 * size - 1)
    k, s = np.arange(size, dtype=float), np.arange(2, 2 * size + 1, dtype=float)
    difference, product = k @ minus, i @ p @ i
    joint, single = _entropy(p), _entropy(p_i)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "joint_max": p.max(), "joint_avg": mean, "joint_var": variance, "joint_entr": joint,
            "diff_avg": difference, "diff_var": (k - difference) ** 2 @ minus,
            "diff_entr": _entropy(minus),
            "sum_avg": s @ plus, "sum_var": (s - 2 * mean) ** 2 @ plus, "sum_entr": _entropy(plus),
            "energy": (p**2).sum(), "contrast": k**2 @ minus, "dissimilarity": difference,
            "inv_diff": (minus / (1 + k)).sum(), "inv_diff_norm": (minus / (1 + k / size)).sum(),
            "inv_diff_mom": (minus / (1 + k**2)).sum(),
            "inv_diff_mom_norm": (minus / (1 + (k / size) ** 2)).sum(),
            "inv_var": (minus[1:] / k[1:] ** 2).sum(),
            "corr": (product - mean**2) / variance, "auto_corr": product,
            "clust_tend": (s - 2 * mean) ** 2 @ plus, "clust_shade": (s - 2 * mean) ** 3 @ plus,
            "clust_prom": (s - 2 * mean) ** 4 @ plus,
            # Of a symmetric matrix both entropies of the product of the margins are 2 x single.
            "info_corr1": np.divide(joint - 2 * single, single),
            "info_corr2": np.sqrt(np.maximum(0, 1 - np.exp(-2 * (2 * single - joint)))),
        }  # fmt: skip


def tone(counts: np.ndarray) -> dict[str, float]:
    """Features of a neighborhood tone difference matrix, by IBSI's short names.

    Parameters
    ----------
    counts : ndarray, shape (2, levels)
        Voxels of each level that have a neighbor, and the sum of their differences from their
        neighbors' mean.

    Returns
    -------
    dict of str to float
        5 features; NaN where no voxel has a neighbor.
    """
    there = np.flatnonzero(counts[0])
    if not there.size:
        return dict.fromkeys(_TONE, np.nan)
    found = tone_features(counts[0, there], counts[1, there], there + 1)
    p = (there + 1) * counts[0, there]
    if there.size > 1 and np.ptp(p) == 0:
        found["Busyness"] = np.nan  # where pyradiomics has 0
    return {name: found[name.title()] for name in _TONE}


def _entropy(p: np.ndarray) -> float:
    p = p[p != 0]
    return float(-(p * np.log2(p)).sum())
