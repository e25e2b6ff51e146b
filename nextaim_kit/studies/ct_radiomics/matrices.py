"""Texture counted: how often gray levels meet, run on, and form zones in a region.

All functions take gray levels as whole numbers from 1 up with 0 outside the region, shape
(z, y, x), and give counts, which may be of an unsigned type; no border and no voxel outside takes
part. A slice is counted by itself when it is given by itself. The loops are machine code (see
`compiled`); where there is none, NumPy counts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from nextaim_kit.studies.ct_radiomics import plain_counts
from nextaim_kit.studies.ct_radiomics.compiled import kernel
from nextaim_kit.studies.ct_radiomics.region import spans

_BLOCK = 1 << 16  # zones that are looked at together
_WORD = np.iinfo(np.uint16).max  # the highest level that machine code counts


def narrow(top: int) -> type[np.integer[Any]]:
    """The narrowest type for levels up to `top`."""
    kinds: tuple[type[np.integer[Any]], ...] = (np.uint8, np.uint16)
    return next((kind for kind in kinds if top <= np.iinfo(kind).max), np.int32)


@dataclass(frozen=True)
class Grid:
    """Levels laid out for counting: once for several counts of the same region.

    Parameters
    ----------
    padded : ndarray of int, shape (z, y, x)
        Levels from 1 up, of the type that `narrow` tells; 0 outside the region, and in a border
        around all.
    reach : int, optional
        Width of the border: largest distance of the neighbors that can be looked at.
    """

    padded: np.ndarray
    reach: int = 1

    @staticmethod
    def of(levels: np.ndarray, reach: int = 1) -> Grid:
        """Grid of levels without a border."""
        padded = np.zeros([n + 2 * reach for n in levels.shape], narrow(levels.max(initial=0)))
        grid = Grid(padded, reach)
        grid.levels[...] = levels
        return grid

    @property
    def levels(self) -> np.ndarray:
        """Levels without the border."""
        return self.padded[(slice(self.reach, -self.reach),) * 3]

    @cached_property
    def top(self) -> int:
        """Highest level."""
        return int(self.padded.max(initial=0))

    @property
    def size(self) -> np.ndarray:
        """Voxels along each axis, border included."""
        return np.array(self.padded.shape, np.int64)

    @property
    def row(self) -> np.ndarray:
        """Levels and border in one row."""
        return self.padded.reshape(-1)

    @cached_property
    def spans(self) -> np.ndarray:
        """Start and stop in `row` of voxels of the region side by side, shape (n, 2)."""
        return spans(self.row)

    @property
    def near(self) -> np.ndarray:
        """Room for a number for each voxel of a span; of its own for each thread that counts."""
        return np.empty(self._longest, np.uint16)

    @cached_property
    def _longest(self) -> int:
        return int(np.diff(self.spans).max(initial=0))

    def steps(self, offsets: np.ndarray) -> np.ndarray:
        """How far the neighbors at each offset are away in `row`; below 0: before."""
        return offsets @ np.array([self.size[1] * self.size[2], self.size[2], 1])

    def kernel(self, name: str) -> Callable[..., Any] | None:
        """Machine code for this row; None where plain counts do its work."""
        return kernel(name, self.row.dtype.name) if self.top <= _WORD else None


def _grid(levels: np.ndarray | Grid, offsets: np.ndarray) -> Grid:
    reach = int(np.abs(offsets).max(initial=1))
    if isinstance(levels, Grid) and levels.reach >= reach:
        return levels
    return Grid.of(levels.levels if isinstance(levels, Grid) else levels, reach)


def directions(distances: Sequence[int] = (1,), planar: int | None = None) -> np.ndarray:
    """Offsets to neighbors, one of each opposite pair.

    Parameters
    ----------
    distances : sequence of int, optional
        Distances in voxels by the largest component of the offset.
    planar : int, optional
        Axis along which no neighbor is looked for, so that slices across it stay apart.

    Returns
    -------
    ndarray of int, shape (directions, 3)
        13 for distance 1; 4 where `planar`.
    """
    found = []
    for distance in distances:
        cube = np.indices((2 * distance + 1,) * 3).reshape(3, -1).T - distance
        kept = np.abs(cube).max(axis=1) == distance
        if planar is not None:
            kept &= cube[:, planar] == 0
        kept[: len(kept) // 2] = False  # the first half mirrors the second
        found.append(cube[kept])
    return np.concatenate(found)


def cooccurrence(levels: np.ndarray | Grid, offsets: np.ndarray) -> np.ndarray:
    """Count the pairs of levels at each offset.

    Parameters
    ----------
    levels : ndarray of int, shape (z, y, x), or Grid
    offsets : ndarray of int, shape (directions, 3)
        See `directions`.

    Returns
    -------
    ndarray of int, shape (directions, levels, levels)
        ``[k, i - 1, j - 1]``: voxels of level i with one of level j at offset k. Not symmetric;
        add the transposed for both ways.
    """
    grid = _grid(levels, offsets)
    count = grid.kernel("cooccurrence")
    if count is None:
        return plain_counts.cooccurrence(grid.levels, offsets)
    counts = np.zeros((len(offsets), grid.top + 1, grid.top + 1), np.uint32)
    steps = grid.steps(offsets)
    count(grid.row, grid.spans, np.abs(steps), counts)
    counts[steps < 0] = counts[steps < 0].transpose(0, 2, 1)
    return counts[:, 1:, 1:]


def run_lengths(levels: np.ndarray | Grid, offsets: np.ndarray) -> np.ndarray:
    """Count the runs of one level along each direction.

    Parameters
    ----------
    levels : ndarray of int, shape (z, y, x), or Grid
    offsets : ndarray of int, shape (directions, 3)
        Of distance 1.

    Returns
    -------
    ndarray of int, shape (directions, levels, longest run)
        ``[k, i - 1, j - 1]``: runs of j voxels of level i along direction k.
    """
    grid = _grid(levels, offsets)
    count = grid.kernel("run_places")
    if count is None:
        return plain_counts.run_lengths(grid.levels, offsets)
    shape = (len(offsets), grid.top + 1, max(grid.levels.shape, default=0) + 1)
    reached = np.zeros(shape, np.uint32)
    count(grid.row, grid.spans, np.abs(grid.steps(offsets)), reached)
    # Of the runs that reach a place, those that do not reach the next one end there.
    reached = reached[:, 1:, : reached.any(axis=(0, 1)).sum() + 1]
    return reached[..., :-1] - reached[..., 1:]


def zones(levels: np.ndarray | Grid, planar: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Count the zones: sets of voxels of one level joined by faces, edges or corners.

    Parameters
    ----------
    levels : ndarray of int, shape (z, y, x), or Grid
    planar : int, optional
        Axis across which slices stay apart.

    Returns
    -------
    counts : ndarray of int, shape (levels, sizes that occur)
    sizes : ndarray of int
        In voxels, ascending.
    """
    grid = _grid(levels, np.zeros((1, 3), int))
    level, size = _zones(grid, planar)
    sizes = np.unique(size)
    counts = np.zeros((grid.top, sizes.size), np.int64)
    block = max(_BLOCK, counts.size)
    for start in range(0, size.size, block):
        some = slice(start, start + block)
        row, column = level[some].astype(np.int64) - 1, np.searchsorted(sizes, size[some])
        cell = row * sizes.size + column
        counts += np.bincount(cell, minlength=counts.size).reshape(counts.shape)
    return counts, sizes


def _zones(grid: Grid, planar: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Level and size of each zone."""
    find, links = grid.kernel("zones"), _zone_links(planar is not None)
    if find is None or links is None:
        return plain_counts.zones(grid.levels, planar)
    if planar:
        grid = Grid.of(np.moveaxis(grid.levels, planar, 0))
    offsets = directions(planar=None if planar is None else 0)
    plane = int(grid.size[1] * grid.size[2])
    steps = grid.steps(offsets)
    size, level = find(grid.row, grid.spans, steps, grid.near, offsets[:, 0] > 0, plane, links)
    return level[size > 0], size[size > 0]


@cache
def _zone_links(planar: bool) -> np.ndarray | None:
    make, offsets = kernel("zone_links"), directions(planar=0 if planar else None)
    touching = np.abs(offsets[:, None] - offsets).max(axis=2) <= 1
    return make and make(touching @ (1 << np.arange(len(offsets))))


def dependence(levels: np.ndarray | Grid, offsets: np.ndarray, alpha: int = 0) -> np.ndarray:
    """Count the voxels by the number of their neighbors that depend on them.

    Parameters
    ----------
    levels : ndarray of int, shape (z, y, x), or Grid
    offsets : ndarray of int, shape (directions, 3)
        Both ways along each are looked.
    alpha : int, optional
        Largest difference of levels between a voxel and a neighbor that depends on it.

    Returns
    -------
    ndarray of int, shape (levels, 2 * directions + 1)
        ``[i - 1, j]``: voxels of level i with j dependent neighbors, themselves not counted.
    """
    grid = _grid(levels, offsets)
    count = grid.kernel("dependence")
    if count is None:
        return plain_counts.dependence(grid.levels, offsets, alpha)
    counts = np.zeros((grid.top + 1, 2 * len(offsets) + 1), np.uint32)
    steps, most = np.abs(grid.steps(offsets)), min(alpha, grid.top)
    count(grid.row, grid.spans, steps, grid.near, grid.row.dtype.type(most), counts)
    return counts[1:]


def neighborhood_tone(
    levels: np.ndarray | Grid, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum up how far voxels are from the mean level of their neighbors.

    Parameters
    ----------
    levels : ndarray of int, shape (z, y, x), or Grid
    offsets : ndarray of int, shape (directions, 3)
        Both ways along each are looked.

    Returns
    -------
    counts : ndarray of int, shape (levels,)
        Voxels of each level.
    alone : ndarray of int, shape (levels,)
        Those of them without a neighbor in the region.
    differences : ndarray of float, shape (levels,)
        Sum of the absolute differences from the mean of the neighbors in the region.
    """
    grid = _grid(levels, offsets)
    add = grid.kernel("tone")
    if add is None:
        return plain_counts.neighborhood_tone(grid.levels, offsets)
    sums, apart = np.zeros((2, grid.top + 1), np.int64), np.zeros(grid.top + 1)
    add(grid.row, grid.spans, np.abs(grid.steps(offsets)), grid.near, sums, apart)
    return sums[0, 1:], sums[1, 1:], apart[1:]


def crosses(levels: np.ndarray, offset: np.ndarray) -> bool:
    """Whether a line along `offset` holds two voxels of the region, be they neighbors or not."""
    if any(step and size == 1 for step, size in zip(offset, levels.shape, strict=True)):
        return False
    line, _ = plain_counts.lines(np.argwhere(levels), offset)
    return np.unique(line).size < line.size
