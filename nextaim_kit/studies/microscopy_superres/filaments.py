"""Center lines of filaments: found in an image, and held against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from nextaim_kit.studies.microscopy_superres.localizations import counts

_EIGHT = np.ones((3, 3))
_BACKGROUND = 300.0  # nm: what is wider than this is no line
_EACH = 10.0  # nm between the points at which true lines are looked at
_NODE = 120.0  # nm within which branches of a skeleton are one crossing: thinning parts it in two


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


def crossings(lines: NDArray[np.bool_], pixel: float) -> int:
    """How many times lines of a skeleton cross: places from which four pieces or more go out.

    Thinning makes two forks of a flat crossing; those within 120 nm count as one place. Lines
    that meet at less than some 30 degrees have their forks farther apart, and are not counted.

    Parameters
    ----------
    lines : array of bool, shape (rows, columns)
    pixel : float
        nm.

    Examples
    --------
    >>> lines = np.zeros((41, 41), bool)
    >>> lines[20], lines[:, 20] = True, True
    >>> crossings(lines, 20.0)
    1
    """
    near = ndimage.convolve(lines.astype(int), _EIGHT.astype(int), mode="constant")
    away = ndimage.distance_transform_edt(~(lines & (near > 3))) * pixel
    nodes, count = ndimage.label((away <= _NODE / 2) & (near > 0), _EIGHT)
    pieces, _ = ndimage.label(lines & (nodes == 0), _EIGHT)
    around = ndimage.grey_dilation(nodes, (3, 3))
    ends = np.unique(np.stack([around, pieces])[:, (around > 0) & (pieces > 0)], axis=1)
    return int((np.bincount(ends[0], minlength=count + 1) >= 4).sum())


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
    points, steps = _points(truth)
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
    far = _distance((where[:, ::-1] + 0.5) * pixel, _points(truth)[0]) > tolerance
    numbers = labels[tuple(where.T)]
    count = np.maximum(np.bincount(numbers, minlength=labels.max() + 1), 1)
    return labels, (np.bincount(numbers, far, labels.max() + 1) / count)[1:]


def as_lines(lines: NDArray[np.bool_], pixel: float) -> list[NDArray[np.float64]]:
    """A skeleton in the form of true center lines: the steps between its neighboring pixels.

    So what is drawn in one image can be held against what another one shows.

    Examples
    --------
    >>> as_lines(np.array([[True, True]]), 10.0)[0].tolist()
    [[5.0, 5.0], [15.0, 5.0]]
    """
    grown, steps = np.pad(lines, 1), []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = np.argwhere(grown & np.roll(grown, (-down, -right), (0, 1))) - 1
        steps.append(np.stack([first, first + np.array([down, right])], 1))
    return list((np.concatenate(steps)[..., ::-1] + 0.5) * pixel)


def resampled(line: NDArray) -> NDArray[np.float64]:
    """A line at points some 10 nm apart."""
    way = np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
    at = np.linspace(0, way[-1], max(2, int(way[-1] / _EACH) + 1))
    return np.column_stack([np.interp(at, way, line[:, k]) for k in (0, 1)])


def drawn(lines: Sequence[NDArray], shape: tuple[int, int], pixel: float) -> NDArray[np.bool_]:
    """Lines, x and y in nm, as a mask of an image's pixels; what lies outside is left out."""
    points = np.concatenate([resampled(line) for line in lines] or [np.zeros((0, 2))])
    return counts(points, shape, pixel) > 0


def _points(truth: Sequence[NDArray]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of all lines some 10 nm apart, and the length that each stands for."""
    steps = np.array([line for line in truth if len(line) == 2]).reshape(-1, 2, 2)
    sizes = np.hypot(*(steps[:, 1] - steps[:, 0]).T)
    counts = np.maximum(2, (sizes / _EACH).astype(int) + 1)
    points, each = [np.empty((0, 2))], [np.empty(0)]
    for n in np.unique(counts):  # all that have so many at once: a skeleton has thousands
        some, part = steps[counts == n], np.linspace(0, 1, n)[:, None, None]
        points.append((some[:, 0] + part * (some[:, 1] - some[:, 0])).reshape(-1, 2))
        each.append(np.tile(sizes[counts == n] / n, n))
    for line in (line for line in truth if len(line) > 2):
        found = resampled(line)
        points.append(found)
        each.append(np.full(len(found), np.hypot(*np.diff(found, axis=0).T).sum() / len(found)))
    return np.concatenate(points), np.concatenate(each)


def _distance(points: NDArray, to: NDArray) -> NDArray[np.float64]:
    if not len(to) or not len(points):
        return np.full(len(points), np.inf)
    return np.asarray(KDTree(to).query(points)[0])
