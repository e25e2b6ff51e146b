"""Shapes as a ray meets them: intervals of depth, and strokes for what is long and thin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

FIELD_MM = 350.0  # edge of the film, which is square

Film = NDArray[np.floating]
Mask = NDArray[np.bool_]
Interval = tuple[Film, Film]


@dataclass(frozen=True)
class Grid:
    """Where the pixels lie in the patient, in mm from the middle of the chest.

    Parameters
    ----------
    x : array of shape (1, size)
        To the film's right, which is the patient's left.
    z : array of shape (size, 1)
        To the feet.
    """

    x: Film
    z: Film

    @classmethod
    def of(cls, size: int, x: float = 0.0, z: float = 0.0, field: float = FIELD_MM) -> Grid:
        """Grid of a film of `size` pixels and `field` mm whose middle is at (x, z)."""
        axis = (((np.arange(size) + 0.5) / size - 0.5) * field).astype(np.float32)
        return cls(axis[None, :] + x, axis[:, None] + z)

    @property
    def size(self) -> int:
        return len(self.z)

    @property
    def pixel(self) -> float:
        """Edge of a pixel in mm."""
        return float(self.x[0, 1] - self.x[0, 0])

    def empty(self) -> Film:
        return np.zeros((self.size, self.size), np.float32)


def ellipsoid(
    grid: Grid,
    center: tuple[float, float],
    radii: tuple[float, float],
    along: tuple[float, float],
    degrees: float = 0.0,
) -> Interval:
    """Depths at which rays enter and leave an ellipsoid; they are equal beside it.

    Parameters
    ----------
    grid : Grid
    center, radii : (float, float)
        In the film's plane: x, z.
    along : (float, float)
        Center and half depth along the ray.
    degrees : float
        By which the first radius points to the feet on the film's right.
    """
    x, z, angle = grid.x - center[0], grid.z - center[1], np.deg2rad(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    u, v = (cos * x + sin * z, cos * z - sin * x) if sin else (x, z)
    t = along[1] * np.sqrt(np.maximum(1 - (u / radii[0]) ** 2 - (v / radii[1]) ** 2, 0))
    return along[0] - t, along[0] + t


def hull(one: Interval, other: Interval) -> Interval:
    """From where a ray enters the first of two shapes to where it leaves the last."""
    near, far = np.minimum(one[0], other[0]), np.maximum(one[1], other[1])
    first, second = length(one) > 0, length(other) > 0
    near = np.where(first & second, near, np.where(first, one[0], other[0]))
    far = np.where(first & second, far, np.where(first, one[1], other[1]))
    return near, far


def length(interval: Interval) -> Film:
    return np.maximum(interval[1] - interval[0], 0)


def meet(one: Interval, other: Interval) -> Interval:
    """Where a ray is in both of two shapes; it ends before it begins where it never is."""
    return np.maximum(one[0], other[0]), np.minimum(one[1], other[1])


def overlap(one: Interval, other: Interval) -> Film:
    return length(meet(one, other))


def beads(grid: Grid, points: NDArray, radii: NDArray | float) -> Film:
    """Squared half thickness of a tube, drawn as balls so near each other that they merge.

    Parameters
    ----------
    grid : Grid
    points : array of shape (..., 2)
        x, z of the balls.
    radii : float or array of shape (...)
        Half of the balls' distance at least.
    """
    places = (points.reshape(-1, 2) - (grid.x[0, 0], grid.z[0, 0])) / grid.pixel
    sizes = np.broadcast_to(radii, points.shape[:-1]).ravel() / grid.pixel
    # What is finer than a pixel is drawn as wide as one and as much thinner.
    drawn = np.maximum(sizes, 0.75)
    width = np.ceil(1.4 ** np.ceil(np.log(drawn) / np.log(1.4))).astype(int)
    # With a border twice as wide as any ball no window leaves the canvas.
    border = 2 * int(width.max())
    canvas = np.zeros((grid.size + 2 * border,) * 2, np.float32)
    near = ((places > -border / 2) & (places < grid.size + border / 2 - 1)).all(axis=1)
    for w in np.unique(width):
        mine = near & (width == w)
        thinner = (sizes[mine] / drawn[mine]) ** 4
        _splat(canvas, places[mine] + border, drawn[mine], thinner, int(w))
    inner = slice(border, border + grid.size)
    return canvas[inner, inner] * grid.pixel**2


def _splat(canvas: Film, places: NDArray, radii: NDArray, thinner: NDArray, width: int) -> None:
    """Enter balls of at most `width` pixels' radius; the thickest stays."""
    edge, window = len(canvas), np.arange(-width, width + 1, dtype=np.int32)
    middle = np.rint(places).astype(np.int32)
    apart = ((window - (places - middle)[:, :, None]) ** 2).astype(np.float32)
    rest = (radii**2).astype(np.float32)[:, None, None] - apart[:, 1, :, None]
    rest = (rest - apart[:, 0, None, :]) * thinner.astype(np.float32)[:, None, None]
    first = middle[:, 1] * edge + middle[:, 0]
    flat, seen = first[:, None, None] + (window[:, None] * edge + window), rest > 0
    np.maximum.at(canvas.reshape(-1), flat[seen], rest[seen])


def tubes(
    grid: Grid,
    lines: Sequence[NDArray],
    radii: Sequence[NDArray | float],
    *,
    hollow: float = 0.0,
) -> Film:
    """Thickness of round tubes along lines; where they cross, that of the thicker one.

    Parameters
    ----------
    grid : Grid
    lines : sequence of array of shape (n, 2)
        x, z.
    radii : sequence of float or array of n
    hollow : float
        Share of the inner part that is missing: bones have a dense cortex.
    """
    strings = [_strung(line, wide, grid.pixel) for line, wide in zip(lines, radii, strict=True)]
    points, wide = (np.concatenate(part) for part in zip(*strings, strict=True))
    return hollowed(beads(grid, points, wide), float(wide.mean()), hollow)


def _strung(line: NDArray, radii: NDArray | float, pixel: float) -> tuple[NDArray, NDArray]:
    """Balls along a line: their middles and radii."""
    sizes = np.broadcast_to(np.asarray(radii, float), len(line))
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(line, axis=0).T))]
    count = 2 + int(along[-1] / max(0.4 * float(sizes.min()), 0.5 * pixel))
    at = np.linspace(0, along[-1], count)
    points = np.stack([np.interp(at, along, line[:, k]) for k in (0, 1)], axis=1)
    return points, np.interp(at, along, sizes)


def hollowed(squared: Film, radius: float, hollow: float) -> Film:
    """Thickness of a tube from what `beads` gives."""
    chord = 2 * np.sqrt(squared)
    if hollow:
        chord -= 2 * hollow * np.sqrt(np.maximum(squared - 0.44 * radius**2, 0))
    return chord


def enlarged(coarse: Film, size: int) -> Film:
    """A coarse square field at `size` pixels, linear between its nodes."""
    place = np.linspace(0, len(coarse) - 1, size, dtype=np.float32)
    before = np.minimum(place.astype(int), len(coarse) - 2)
    share = place - before.astype(np.float32)
    rows = coarse[before] * (1 - share)[:, None] + coarse[before + 1] * share[:, None]
    return rows[:, before] * (1 - share) + rows[:, before + 1] * share


def blurred(image: Film, sigma: float) -> Film:
    """Gaussian blur over many pixels, which needs few of them."""
    size = len(image)
    at = np.rint(np.linspace(0, size - 1, min(size, round(4 * size / sigma)))).astype(int)
    coarse = gaussian_filter(image[np.ix_(at, at)], sigma * (len(at) - 1) / (size - 1))
    return enlarged(coarse, size)


def curve(*points: tuple[float, float], count: int = 12) -> NDArray:
    """A Bezier curve of these control points, as an array of shape (count, 2)."""
    t = np.linspace(0, 1, count)[:, None]
    level = [np.broadcast_to(np.asarray(p, float), (count, 2)) for p in points]
    while len(level) > 1:
        level = [(1 - t) * a + t * b for a, b in pairwise(level)]
    return level[0]
