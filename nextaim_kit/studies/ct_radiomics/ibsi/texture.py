"""Texture matrices of a region and the ways in which IBSI averages or merges them.

References
----------
Zwanenburg et al., arXiv:1612.07003, sections 3.6 to 3.11
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_cdt

from nextaim_kit.studies.ct_radiomics import matrices
from nextaim_kit.studies.ct_radiomics.ibsi import formulas
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration, Extent
from nextaim_kit.studies.ct_radiomics.ibsi.formulas import Counts

Groups = Sequence[Sequence[Any]]


class _Family(NamedTuple):
    """One matrix: its features, how several become one, and whether each direction has its own."""

    features: Callable[[Any], dict[str, float]]
    merge: Callable[[Sequence[Any]], Any]
    directed: bool


def _added(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.sum(parts, axis=0)


FAMILIES = {
    "cm": _Family(formulas.cooccurrence, _added, True),
    "rlm": _Family(partial(formulas.emphases, "rlm"), formulas.merged, True),
    "szm": _Family(partial(formulas.emphases, "szm"), formulas.merged, False),
    "dzm": _Family(partial(formulas.emphases, "dzm"), formulas.merged, False),
    "ngt": _Family(formulas.tone, _added, False),
    "ngl": _Family(partial(formulas.emphases, "ngl"), formulas.merged, False),
}


def texture_features(
    levels: np.ndarray, outline: np.ndarray, setup: Configuration
) -> dict[str, float]:
    """Texture features under their IBSI tags, for each way that the configuration asks for.

    Parameters
    ----------
    levels : ndarray of int32, shape (z, y, x)
        Gray levels from 1 up, 0 outside the intensity mask.
    outline : ndarray of bool, shape (z, y, x)
        Morphological mask, from whose edge the distances of zones are taken.
    setup : Configuration

    Returns
    -------
    dict of str to float
        ``cm_*``, ``rlm_*``, ``szm_*``, ``dzm_*``, ``ngt_*``, ``ngl_*``, each ending in how it was
        aggregated: ``_2D_avg`` and so on. A mean is over the slices and directions in which a
        feature is defined (one gray level has no correlation).
    """
    found: dict[str, float] = {}
    flat: list[Extent] = [extent for extent in setup.texture if extent != "3D"]
    space: list[Extent] = [extent for extent in setup.texture if extent == "3D"]
    for extents in filter(None, (flat, space)):
        blocks = _blocks(levels, outline, planar=extents is flat)
        for family in FAMILIES:
            per_block = [block[family] for block in blocks]
            for extent in extents:
                found |= _aggregated(family, per_block, extent)
    return found


def _aggregated(family: str, blocks: Groups, extent: Extent) -> dict[str, float]:
    """Features of one family: of the mean over groups of matrices, each merged into one."""
    features, merge, directed = FAMILIES[family]
    result = {}
    for suffix, groups in _groups(blocks, extent, directed).items():
        each = [features(merge(group) if len(group) > 1 else group[0]) for group in groups]
        for name in each[0]:
            values = np.array([found[name] for found in each])
            known = values[np.isfinite(values)]
            result[f"{family}_{name}_{suffix}"] = float(known.mean()) if known.size else np.nan
    return result


def _groups(blocks: Groups, extent: Extent, directed: bool) -> dict[str, Groups]:
    """Which matrices become one before features are taken, by the end of the tag.

    `blocks` has one list of matrices for each plane, or one for the whole volume.
    """
    every = [[matrix for block in blocks for matrix in block]]
    if not directed:
        return {extent: every if extent == "2_5D" else blocks}
    if extent == "2_5D":
        return {"2_5D_avg": list(zip(*blocks, strict=True)), "2_5D_comb": every}
    return {f"{extent}_avg": [[matrix] for matrix in every[0]], f"{extent}_comb": blocks}


def _blocks(levels: np.ndarray, outline: np.ndarray, planar: bool) -> list[dict[str, list[Any]]]:
    """All matrices of the whole, or of each plane that holds a voxel."""
    highest = int(levels.max())
    if not planar:
        return [_matrices(levels, outline, highest)]
    planes = np.flatnonzero(levels.any(axis=(1, 2)))
    return [_matrices(levels[z : z + 1], outline[z : z + 1], highest) for z in planes]


def _matrices(levels: np.ndarray, outline: np.ndarray, highest: int) -> dict[str, list[Any]]:
    """Matrices of each family for one plane or volume; `highest` level of the whole region."""
    offsets = matrices.directions(planar=0 if levels.shape[0] == 1 else None)
    grid = matrices.Grid.of(levels)
    voxels = int(np.count_nonzero(levels))
    rest = highest - grid.top
    pairs = np.pad(matrices.cooccurrence(grid, offsets), ((0, 0), (0, rest), (0, rest)))
    counts, alone, differences = matrices.neighborhood_tone(grid, offsets)
    runs = [_entries(matrix, voxels) for matrix in matrices.run_lengths(grid, offsets)]
    by_size, by_distance = zones(levels, outline)
    return {
        "cm": [m + m.T for m in pairs],
        "rlm": runs,
        "szm": [by_size],
        "dzm": [by_distance],
        "ngt": [np.pad([counts - alone, differences], ((0, 0), (0, rest)))],
        # A voxel is one of those that depend on it.
        "ngl": [_entries(matrices.dependence(grid, offsets), voxels)],
    }


def _entries(matrix: np.ndarray, voxels: int) -> Counts:
    """Entries of a matrix whose rows are levels and whose columns are sizes, both from 1 up."""
    i, j = np.nonzero(matrix)
    return Counts(i + 1, j + 1, matrix[i, j], voxels)


def zones(levels: np.ndarray, outline: np.ndarray) -> tuple[Counts, Counts]:
    """Zones of one level by their voxels, and by their distance from the outline's edge."""
    from skimage.measure import label

    zone = label(levels, background=0, connectivity=3)
    deep = levels.shape[0] > 1
    edge = np.pad(outline, ((int(deep),) * 2, (1, 1), (1, 1)))
    far = distance_transform_cdt(edge if deep else edge[0], metric="taxicab")
    far = far[1:-1, 1:-1, 1:-1] if deep else far[None, 1:-1, 1:-1]
    inside = zone > 0
    number, level = zone[inside] - 1, levels[inside]
    size = np.bincount(number)
    of, nearest = np.empty(size.size, dtype=np.int64), np.full(size.size, np.iinfo(far.dtype).max)
    of[number] = level
    np.minimum.at(nearest, number, far[inside])
    one = np.ones(size.size)
    pair = (formulas.merged([Counts(of, x, one, number.size)]) for x in (size, nearest))
    by_size, by_distance = pair
    return by_size, by_distance
