"""IBSI's formulas of texture: what is computed of a matrix, wherever it was counted.

References
----------
Zwanenburg et al., arXiv:1612.07003, sections 3.6 to 3.11
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
_COARSEST = 1e6  # coarseness of a region without any difference between neighbors


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
    i, j, n = (x.astype(float) for x in matrix[:3])
    total = n.sum()
    p = n / total
    by_level = np.bincount(matrix.level, weights=n)
    by_size = np.bincount(np.unique(j, return_inverse=True)[1], weights=n)
    found = [float((p * x).sum()) for x in (
        j**-2.0, j**2, i**-2.0, i**2, (i * j) ** -2.0, (i / j) ** 2, (j / i) ** 2, (i * j) ** 2,
    )]  # fmt: skip
    for counts in (by_level, by_size):
        squares = float((counts**2).sum())
        found += [squares / total, squares / total**2]
    found.append(total / matrix.voxels)
    found += [float((p * (x - (p * x).sum()) ** 2).sum()) for x in (i, j)]
    found += [_entropy(p), float((p**2).sum())]
    names = EMPHASES[family].split()
    return dict(zip(names, found, strict=False))


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
    if not counts[0].any():
        return dict.fromkeys(
            ("coarseness", "contrast", "busyness", "complexity", "strength"), np.nan
        )
    i = np.flatnonzero(counts[0]) + 1.0
    n, s = counts[:, counts[0] > 0]
    total, levels = n.sum(), i.size
    p = n / total
    weighted, apart, both = p @ s, (i[:, None] - i) ** 2, p[:, None] + p
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = (p @ apart @ p) * s.sum() / (levels * (levels - 1) * total)
        busyness = weighted / np.abs((i * p)[:, None] - i * p).sum()
    found = (
        1 / weighted if weighted else _COARSEST,
        contrast if levels > 1 else 0.0,
        busyness if levels > 1 else 0.0,
        (np.sqrt(apart) * ((p * s)[:, None] + p * s) / both).sum() / total,
        (both * apart).sum() / s.sum() if s.sum() else 0.0,
    )
    return dict(zip(_TONE, found, strict=True))


def _entropy(p: np.ndarray) -> float:
    p = p[p != 0]
    return float(-(p * np.log2(p)).sum())
