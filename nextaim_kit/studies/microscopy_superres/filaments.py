"""Center lines of filaments: found in an image, and held against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

_EIGHT = np.ones((3, 3))
_BACKGROUND = 300.0  # nm: what is wider than this is no line
_EACH = 10.0  # nm between the points at which true lines are looked at


class Match(NamedTuple):
    """Lengths in nm: of true lines, found and missed, and of what was drawn beside them.

    Attributes
    ----------
    true, found, missed, invented : float
    per_mm : dict
        ``missed`` and ``invented``, µm per mm of true filament; NaN without any.
    """

    true: float
    found: float
    missed: float
    invented: float

    @property
    def per_mm(self) -> dict[str, float]:
        """Missed and invented length, µm per mm of true filament."""
        true = self.true or np.nan
        return {k: 1000 * getattr(self, k) / true for k in ("missed", "invented")}


def center_lines(
    image: NDArray, pixel: float, *, threshold: float = 0.15, smooth: float = 25.0,
    shortest: float = 200.0,
) -> NDArray[np.bool_]:  # fmt: skip
    """Skeleton of what is brighter in an image than its surroundings.

    Parameters
    ----------
    image : array of shape (rows, columns)
    pixel : float
        Its edge in nm.
    threshold : float
        Share of the 99.5th percentile of the smoothed image, less its mean over 300 nm.
    smooth : float
        Standard deviation of the Gaussian that joins single localizations to a line, nm.
    shortest : float
        Parts with a skeleton of less are left out, nm.
    """
    from skimage.morphology import skeletonize

    fine = np.asarray(image, np.float32)
    smoothed = ndimage.gaussian_filter(fine, smooth / pixel)
    smoothed -= ndimage.gaussian_filter(fine, _BACKGROUND / pixel, truncate=3.0)
    level = threshold * np.percentile(smoothed, 99.5)
    lines = skeletonize(smoothed > level) if level > 0 else np.zeros(image.shape, bool)
    labels, count = ndimage.label(lines, _EIGHT)
    long = ndimage.sum_labels(lengths(lines, pixel), labels, np.arange(count + 1)) >= shortest
    long[0] = False
    return long[labels]


def lengths(lines: NDArray[np.bool_], pixel: float) -> NDArray[np.float64]:
    """Length in nm that each pixel of a skeleton stands for: half the way to its neighbors."""
    kernel = np.sqrt(np.array([[2.0, 1, 2], [1, 0, 1], [2, 1, 2]]))
    near = ndimage.convolve(lines.astype(float), kernel, mode="constant")
    return np.where(lines, np.maximum(near / 2, 0.5), 0) * pixel


def segments(lines: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers from 1 for the pieces of a skeleton between its ends and branches; 0 elsewhere."""
    near = ndimage.convolve(lines.astype(int), _EIGHT.astype(int), mode="constant")
    return ndimage.label(lines & (near <= 3), _EIGHT)[0].astype(np.int64)


def match(
    lines: NDArray[np.bool_], truth: Sequence[NDArray], pixel: float, tolerance: float = 50.0
) -> Match:
    """Hold a skeleton against true center lines.

    A true point is found where the skeleton comes within `tolerance` of it, and a point of the
    skeleton is invented where no true line does.

    Parameters
    ----------
    lines : array of bool, shape (rows, columns)
    truth : sequence of arrays of shape (points, 2)
        x and y in nm from the outer corner of the first pixel.
    pixel, tolerance : float
        nm.
    """
    true = [resampled(line) for line in truth if len(line) > 1]
    points = np.concatenate(true) if true else np.empty((0, 2))
    steps = np.concatenate([np.full(len(p), _step(p)) for p in true]) if true else np.empty(0)
    drawn = (np.argwhere(lines)[:, ::-1] + 0.5) * pixel
    near = _distance(points, drawn) <= tolerance
    far = _distance(drawn, points) > tolerance
    found, whole = float(steps[near].sum()), float(steps.sum())
    invented = float(lengths(lines, pixel)[lines][far].sum())
    return Match(whole, found, whole - found, invented)


def invented_share(
    lines: NDArray[np.bool_], truth: Sequence[NDArray], pixel: float, tolerance: float = 50.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`segments` of a skeleton, and of each the share that lies beside all true lines."""
    labels = segments(lines)
    where = np.argwhere(labels)
    true = [resampled(line) for line in truth if len(line) > 1]
    points = np.concatenate(true) if true else np.empty((0, 2))
    far = _distance((where[:, ::-1] + 0.5) * pixel, points) > tolerance
    numbers = labels[tuple(where.T)]
    count = np.maximum(np.bincount(numbers, minlength=labels.max() + 1), 1)
    return labels, (np.bincount(numbers, far, labels.max() + 1) / count)[1:]


def resampled(line: NDArray) -> NDArray[np.float64]:
    """A line at points some 10 nm apart."""
    way = np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
    at = np.linspace(0, way[-1], max(2, int(way[-1] / _EACH) + 1))
    return np.column_stack([np.interp(at, way, line[:, k]) for k in (0, 1)])


def _step(points: NDArray) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum() / len(points))


def _distance(points: NDArray, to: NDArray) -> NDArray[np.float64]:
    if not len(to) or not len(points):
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(to).query(points)[0])
