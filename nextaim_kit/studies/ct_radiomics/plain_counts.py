"""The counts of `matrices` by NumPy alone: what is used where nothing can be compiled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


def cooccurrence(levels: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """See `matrices.cooccurrence`."""
    n = int(levels.max(initial=0)) + 1
    counts = []
    for near, far in _pairs(levels, offsets):
        flat = np.bincount((near * np.int64(n) + far).ravel(), minlength=n * n)
        counts.append(flat.reshape(n, n)[1:, 1:])
    return np.array(counts).reshape(len(offsets), n - 1, n - 1)


def run_lengths(levels: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """See `matrices.run_lengths`."""
    n, longest = int(levels.max(initial=0)), max(levels.shape, default=0)
    place = np.argwhere(levels)
    level = levels[tuple(place.T)].astype(np.int64)
    counts = np.zeros((len(offsets), n, longest), np.int64)
    for matrix, offset in zip(counts, offsets, strict=True):
        order, begins = _runs(place, level, offset)
        starts = np.flatnonzero(begins)
        length = np.diff(np.r_[starts, len(level)])
        np.add.at(matrix, (level[order][starts] - 1, length - 1), 1)
    return counts[..., : np.flatnonzero(counts.any(axis=(0, 1))).max(initial=-1) + 1]


def _runs(place: np.ndarray, level: np.ndarray, offset: np.ndarray) -> Pair:
    """Order of the voxels along the lines of one direction, and where a run begins in it."""
    line, step = lines(place, offset)
    order = np.lexsort((step, line))
    line, step, sorted_level = line[order], step[order], level[order]
    begins = np.ones(len(level), bool)
    begins[1:] = (np.diff(line) != 0) | (np.diff(step) != 1) | (np.diff(sorted_level) != 0)
    return order, begins


def lines(place: np.ndarray, offset: np.ndarray) -> Pair:
    """Number of the line along `offset` through each voxel, and the voxel's place on it."""
    axis = int(np.flatnonzero(offset)[0])
    step = place[:, axis] * np.sign(offset[axis])
    foot = place - step[:, None] * offset
    foot = foot - foot.min(axis=0, initial=0)
    extent = foot.max(axis=0, initial=0) + 1
    return (foot[:, 0] * extent[1] + foot[:, 1]) * extent[2] + foot[:, 2], step


def zones(levels: np.ndarray, planar: int | None) -> Pair:
    """Level and size in voxels of each zone; see `matrices.zones`."""
    from skimage.measure import label

    if planar is not None:
        slices = np.moveaxis(levels, planar, 0)
        levels = np.zeros((2 * len(slices), *slices.shape[1:]), levels.dtype)
        levels[::2] = slices  # planes of zeros between them
    zone = label(levels, background=0, connectivity=3)[levels > 0]
    size = np.bincount(zone)[1:]
    level = np.empty(size.size, np.int64)
    level[zone - 1] = levels[levels > 0]
    return level, size


def dependence(levels: np.ndarray, offsets: np.ndarray, alpha: int) -> np.ndarray:
    """See `matrices.dependence`."""
    n, width = int(levels.max(initial=0)), 2 * len(offsets) + 1
    near = np.zeros(levels.shape, np.int64)
    for view, (a, b) in zip(_views(near, offsets), _pairs(levels, offsets), strict=True):
        alike = (a > 0) & (b > 0) & (np.abs(a.astype(np.int64) - b) <= alpha)
        for part in view:
            part += alike
    inside = levels > 0
    flat = (levels[inside].astype(np.int64) - 1) * width + near[inside]
    return np.bincount(flat, minlength=n * width).reshape(n, width)


def neighborhood_tone(
    levels: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `matrices.neighborhood_tone`."""
    n = int(levels.max(initial=0))
    total, near = np.zeros((2, *levels.shape), np.int64)
    views = zip(_views(total, offsets), _views(near, offsets), strict=True)
    for ((here, there), (mine, its)), (a, b) in zip(views, _pairs(levels, offsets), strict=True):
        here += b
        there += a
        mine += b > 0
        its += a > 0
    inside = levels > 0
    level, near, total = levels[inside].astype(np.int64), near[inside], total[inside]
    apart = np.where(near > 0, np.abs(level - total / np.maximum(near, 1)), 0.0)
    counts = np.bincount(level, minlength=n + 1)[1:]
    alone = np.bincount(level[near == 0], minlength=n + 1)[1:]
    return counts, alone, np.bincount(level, apart, minlength=n + 1)[1:]


def _pairs(levels: np.ndarray, offsets: np.ndarray) -> Iterator[Pair]:
    """Per direction the voxels that have another one there, and these others."""
    return _views(levels, offsets)


def _views(array: np.ndarray, offsets: np.ndarray) -> Iterator[Pair]:
    for offset in offsets:
        spans = [
            (slice(max(0, -d), max(0, n - max(0, d))), slice(max(0, d), max(0, n + min(0, d))))
            for d, n in zip(offset, array.shape, strict=True)
        ]
        yield array[tuple(a for a, _ in spans)], array[tuple(b for _, b in spans)]
