"""Largest distances between the vertices of a region's mesh, without comparing all of them.

A vertex lies half a voxel beside a voxel of the region, along an axis. The hull of all vertices is
that of the region's voxels with a vertex on either side along each axis, since a line of voxels
ends in one. So the voxels at the ends of lines tell all, and of these the corners of their hull.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from nextaim_kit.studies.ct_radiomics.region import spans

_FEW = 300  # points for which comparing all pairs is cheaper than a hull
_DIRECTIONS = 8
_BLOCK = 1 << 14  # numbers of all directions, or pairs of points, that are looked at together
_ROUNDING = 1 + 1e-12  # keeps a bound a bound when its last digits are rounded away


def runs(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """z, y, first x and length of the runs of voxels along x; `padded` has a border of zeros."""
    start, stop = spans(padded.reshape(-1)).T
    row, x = np.divmod(start, padded.shape[2])
    return *np.divmod(row, padded.shape[1]), x, stop - start


def diameters(padded: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """Largest distance (mm) between mesh vertices: anywhere, and within one plane of each axis.

    Parameters
    ----------
    padded : ndarray of bool, shape (z, y, x)
        Region with a border of zeros.
    spacing : ndarray of float, shape (3,)
        Voxel size (z, y, x) in mm.
    """
    z, y, x = spacing
    along_x, along_z = _ends_along_x(padded), _ends_along_z(padded)
    corners = _corners(along_x) & _corners(along_x.transpose(0, 2, 1)).transpose(0, 2, 1)
    return {
        "Maximum2DDiameterColumn": _planar_diameter(
            padded.transpose(1, 0, 2), along_x.transpose(0, 2, 1), np.array([z, x])
        ),
        "Maximum2DDiameterRow": _planar_diameter(
            padded.transpose(2, 1, 0), along_z.transpose(0, 2, 1), np.array([y, z])
        ),
        "Maximum2DDiameterSlice": _planar_diameter(padded, along_x, np.array([y, x])),
        "Maximum3DDiameter": _largest_distance(
            _points(along_x, corners), np.asarray(spacing, float), half=True
        ),
    }


def _ends_along_x(padded: np.ndarray) -> np.ndarray:
    """First and last voxel of each line, shape (2, z, y); see `_no_ends`."""
    z, y, x, length = runs(padded)
    new_row = (np.diff(z, prepend=-1) != 0) | (np.diff(y, prepend=-1) != 0)
    ends = _no_ends(padded.shape[:2], padded.shape[2])
    ends[0, z[new_row], y[new_row]] = x[new_row]
    last = np.roll(new_row, -1)
    ends[1, z[last], y[last]] = (x + length - 1)[last]
    return ends


def _ends_along_z(padded: np.ndarray) -> np.ndarray:
    """First and last voxel of each line, shape (2, y, x); see `_no_ends`."""
    n = len(padded)
    ends = _no_ends(padded.shape[1:], n)
    for z in range(n):
        np.copyto(ends[1], z, where=padded[z])
        np.copyto(ends[0], n - 1 - z, where=padded[n - 1 - z])
    return ends


def _no_ends(shape: tuple[int, ...], length: int) -> np.ndarray:
    """Ends of empty lines: so far after all voxels, and before all, that no line seems bent in."""
    return np.stack([np.full(shape, 3 * length, np.int32), np.full(shape, -3 * length, np.int32)])


def _corners(ends: np.ndarray) -> np.ndarray:
    """Which ends (2, planes, lines) stand out from between those of the lines beside theirs.

    The others are no corners of the hull.
    """
    found = np.zeros(ends.shape, bool)
    twice, beside = 2 * ends[..., 1:-1], ends[..., :-2] + ends[..., 2:]
    found[0, :, 1:-1] = twice[0] < beside[0]
    found[1, :, 1:-1] = twice[1] > beside[1]
    return found & (ends[1] >= 0)


def _points(ends: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Ends that are chosen, with the places of their lines, shape (n, axes)."""
    where = np.nonzero(chosen)
    return np.column_stack([*where[1:], ends[where]])


def _planar_diameter(planes: np.ndarray, ends: np.ndarray, step: np.ndarray) -> float:
    """Largest distance (mm) between two vertices of the same plane.

    Vertices lie in the planes of voxels, and midway between two planes, beside the voxels that
    only one of these has. How wide a plane is in a few directions bounds its diameter, so that
    few planes are looked at.

    Parameters
    ----------
    planes : ndarray of bool, shape (planes, lines, places)
    ends : ndarray of int, shape (2, planes, lines)
        First and last place of the region on each line; the first and the last line are empty.
    step : ndarray of float, shape (2,)
        From line to line and from place to place, in mm.
    """
    best = 0.0
    corners, bounds = _corners(ends), _bounds(ends, step, half=True)
    for plane in np.argsort(-bounds):
        if bounds[plane] <= best:
            break
        points = _points(ends[:, plane], corners[:, plane])
        best = max(best, _largest_distance(points, step, half=True))
    either = np.stack([np.minimum(*_pairs(ends[0])), np.maximum(*_pairs(ends[1]))])
    for plane in np.flatnonzero(_bounds(either, step, half=False) > best):
        beside = np.argwhere(planes[plane] ^ planes[plane + 1])
        best = max(best, _largest_distance(beside, step, half=False))
    return best


def _pairs(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return planes[:-1], planes[1:]


def _bounds(ends: np.ndarray, step: np.ndarray, *, half: bool) -> np.ndarray:
    """Length (mm) that no distance within a plane exceeds; `half` a voxel beside its voxels."""
    filled = ends[1] >= 0
    first, last = ends * step[1]
    line = np.arange(ends.shape[2]) * step[0]
    width = np.full(ends.shape[1], -np.inf)
    angles = np.arange(_DIRECTIONS)[:, None, None] * np.pi / _DIRECTIONS
    block = max(1, _BLOCK // max(1, first.size))
    for start in range(0, _DIRECTIONS, block):
        across, along = np.cos(angles[start : start + block]), np.sin(angles[start : start + block])
        top = np.where(filled, across * line + along * last, -np.inf).max(axis=2)
        low = np.where(filled, across * line + along * first, np.inf).min(axis=2)
        beside = half * np.maximum(np.abs(across) * step[0], along * step[1])[..., 0]
        width = np.maximum(width, (top - low + beside).max(axis=0))
    return width / np.cos(np.pi / _DIRECTIONS / 2) * _ROUNDING


def _largest_distance(points: np.ndarray, step: np.ndarray, *, half: bool) -> float:
    """Largest distance (mm) of two points, or of points `half` a step beside them on an axis."""
    room = float(step.max()) if half else 0.0  # by which the latter can be farther apart
    places = points * step
    if len(places) > _FEW:
        places = _far_out(places, room)
    if len(places) > _FEW:
        places = _hull_corners(places)
    best, rows = 0.0, max(1, _BLOCK // max(1, len(places)))
    for start in range(0, len(places), rows):
        some = places[start : start + rows]
        apart = np.stack(
            [np.abs(np.subtract.outer(*axis)) for axis in zip(some.T, places.T, strict=True)]
        )
        square = (apart**2).sum(axis=0)
        if half:
            least = max(best, float(np.sqrt(square.max()))) - room
            near = square * _ROUNDING >= max(least, 0.0) ** 2
            square = square[near] + _gain(apart[:, near], step)
        best = max(best, float(np.sqrt(square.max(initial=0.0))))
    return best


def _gain(apart: np.ndarray, step: np.ndarray) -> np.ndarray:
    """What the square of a distance gains from one point half a step farther at either end."""
    found = []
    for a in range(step.size):
        found.append(2 * apart[a] * step[a] + step[a] ** 2)
        for b in range(a):
            both = apart[a] * step[a] + apart[b] * step[b]
            found.append(both + (step[a] ** 2 + step[b] ** 2) / 4)
    return np.max(found, axis=0)


def _far_out(places: np.ndarray, room: float) -> np.ndarray:
    """Points that can be an end of the largest distance, give or take `room`.

    It is at least the distance of two points that are far apart, and at most a point's distance
    from their middle and the largest such distance.
    """
    one = places[_distance(places, places[0]).argmax()]
    other = places[_distance(places, one).argmax()]
    away = _distance(places, (one + other) / 2)
    least = np.linalg.norm(one - other) - room - away.max()
    return places[away * _ROUNDING >= least]


def _distance(places: np.ndarray, point: np.ndarray) -> np.ndarray:
    apart = places - point
    return np.sqrt(np.einsum("ij,ij->i", apart, apart))


def _hull_corners(places: np.ndarray) -> np.ndarray:
    free = np.ptp(places, axis=0) > 0
    if np.count_nonzero(free) < 2:
        return places
    try:
        return places[ConvexHull(places[:, free]).vertices]
    except QhullError:  # all on one slanted line or plane: compare every pair
        return places
