"""Shape of a region of interest: pyradiomics' 14 features, without its quadratic search.

The mesh is pyradiomics' own: marching cubes at half height, so every cell of 2 x 2 x 2 voxels is
one of 256 configurations. Area and volume of a mesh are sums over its cells, hence a look-up per
configuration; the look-up is filled by asking pyradiomics' C code about single cells. The largest
distance between two points is attained on their convex hull, so the diameters need a few hundred
of the many thousand mesh vertices.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from radiomics import cShape
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

# Corner (z, y, x) of a cell for each bit of its configuration, as in pyradiomics' cshape.c.
_CORNERS = ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))
_FEW = 64  # points for which comparing all pairs is cheaper than a hull
_DIRECTIONS = 16
_ROUNDING = 1 + 1e-12  # keeps a bound a bound when its last digits are rounded away


def shape_features(mask: np.ndarray, spacing: tuple[float, float, float]) -> dict[str, float]:
    """Shape features of a mask, named and valued as pyradiomics' ``shape`` class has them.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
        Region of interest, cropped to its bounding box.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.

    Returns
    -------
    dict of str to float
        14 features: lengths in mm, area in mm², volumes in mm³.
    """
    step = np.asarray(spacing, dtype=float)
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    area, volume = mesh_area_volume(padded, step)
    axes = _principal_variances(padded, step)
    least, minor, major = axes
    return {
        "Elongation": float(np.sqrt(minor / major)) if minor >= 0 else float("nan"),
        "Flatness": float(np.sqrt(least / major)) if least >= 0 else float("nan"),
        "LeastAxisLength": 4 * float(np.sqrt(least)) if least >= 0 else float("nan"),
        "MajorAxisLength": 4 * float(np.sqrt(major)),
        **diameters(padded, step),
        "MeshVolume": volume,
        "MinorAxisLength": 4 * float(np.sqrt(minor)) if minor >= 0 else float("nan"),
        "Sphericity": (36 * np.pi * volume**2) ** (1 / 3) / area,
        "SurfaceArea": area,
        # Voxels that touch by corners alone can have a mesh whose signed volume is 0.
        "SurfaceVolumeRatio": area / volume if volume else float("nan"),
        "VoxelVolume": float(np.count_nonzero(padded) * step.prod()),
    }


def mesh_area_volume(padded: np.ndarray, spacing: np.ndarray) -> tuple[float, float]:
    """Area (mm²) and volume (mm³) of the surface mesh of a mask with a border of zeros."""
    areas = _cell_areas(tuple(map(float, spacing)))
    volumes, slopes = _cell_volumes()
    plane = _plane_codes(padded)
    counts = np.zeros(256, dtype=np.int64)
    volume = 0.0
    for z in range(plane.shape[0] - 1):
        code = plane[z] | plane[z + 1] << 4
        y, x = np.nonzero((code != 0) & (code != 255))
        code = code[y, x]
        counts += np.bincount(code, minlength=256)
        slope = slopes[code]
        volume += float((volumes[code] + z * slope[:, 0] + y * slope[:, 1] + x * slope[:, 2]).sum())
    return float(counts @ areas), volume * float(spacing.prod())


def _plane_codes(padded: np.ndarray) -> np.ndarray:
    """Return the corners of each cell that lie in one plane as the low bits of its code."""
    m = padded.view(np.uint8)
    return m[:, :-1, :-1] | m[:, :-1, 1:] << 1 | m[:, 1:, 1:] << 2 | m[:, 1:, :-1] << 3


def _cell(code: int) -> np.ndarray:
    cell = np.zeros((2, 2, 2), dtype=bool)
    for bit, corner in enumerate(_CORNERS):
        cell[corner] = code >> bit & 1
    return cell


def _code(cell: np.ndarray) -> int:
    return sum(int(cell[corner]) << bit for bit, corner in enumerate(_CORNERS))


@lru_cache(maxsize=16)
def _cell_areas(spacing: tuple[float, float, float]) -> np.ndarray:
    """Mesh area (mm²) inside one cell for each of the 256 configurations."""
    return np.array(
        [cShape.calculate_coefficients(_cell(code), np.array(spacing))[0] for code in range(256)]
    )


@lru_cache(maxsize=1)
def _cell_volumes() -> tuple[np.ndarray, np.ndarray]:
    """Signed volume of a cell at the origin, and its growth per step along z, y and x.

    pyradiomics sums the tetrahedra between each triangle and the origin. Its mesh is not closed
    where two corners touch diagonally, so that the origin matters and is kept.
    """
    unit = np.ones(3)
    volumes = np.array([cShape.calculate_coefficients(_cell(c), unit)[1] for c in range(256)])
    slopes = np.zeros((256, 3))
    for code in range(256):
        cell = _cell(code)
        for axis in range(3):
            first = np.take(cell, [0], axis=axis)
            before = np.concatenate([np.zeros_like(first), first], axis=axis)
            pair = np.concatenate([np.zeros_like(first), cell], axis=axis)
            both = cShape.calculate_coefficients(pair, unit)[1]
            slopes[code, axis] = both - volumes[_code(before)] - volumes[code]
    return volumes, slopes


def diameters(padded: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """Largest distance (mm) between mesh vertices: anywhere, and within one plane of each axis."""
    ends = _line_ends(padded)
    # Lines along x do not lie in the planes of constant x: these need the ends of lines along y.
    turned = _line_ends(np.ascontiguousarray(padded.transpose(2, 0, 1)))[:, [1, 2, 0]]
    return {
        "Maximum2DDiameterColumn": _planar_diameter(ends, spacing, axis=1),
        "Maximum2DDiameterRow": _planar_diameter(turned, spacing, axis=2),
        "Maximum2DDiameterSlice": _planar_diameter(ends, spacing, axis=0),
        "Maximum3DDiameter": _largest_distance(ends, spacing),
    }


def _line_ends(padded: np.ndarray) -> np.ndarray:
    """First and last mesh vertex on each line along the last axis, in half voxels, shape (n, 3).

    Vertices lie midway between neighbors of which one is inside. Whatever lies between two others
    on a line is not a corner of the hull.
    """
    found = []
    for axis in range(3):
        edge = np.diff(padded, axis=axis)
        lines = np.argwhere(edge.any(axis=-1))
        edge = edge[lines[:, 0], lines[:, 1]]
        last = edge.shape[1] - 1 - edge[:, ::-1].argmax(axis=1)
        for end in (edge.argmax(axis=1), last):
            points = 2 * np.column_stack([lines, end])
            points[:, axis] += 1
            found.append(points)
    return np.concatenate(found)


def _planar_diameter(points: np.ndarray, spacing: np.ndarray, axis: int) -> float:
    """Largest distance between two points of the same plane across `axis`.

    The width of a plane's points along 16 directions bounds their diameter to half a percent, so
    that few planes are looked at.
    """
    points = points[np.argsort(points[:, axis], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(points[:, axis]) != 0])
    angles = np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS
    flat = np.delete(points * 0.5 * spacing, axis, axis=1) @ [np.cos(angles), np.sin(angles)]
    widths = np.maximum.reduceat(flat, starts) - np.minimum.reduceat(flat, starts)
    bounds = widths.max(axis=1) / np.cos(np.pi / _DIRECTIONS / 2) * _ROUNDING
    planes = np.split(points, starts[1:])
    best = 0.0
    for plane in np.argsort(-bounds):
        if bounds[plane] <= best:
            break
        best = max(best, _largest_distance(planes[plane], spacing))
    return best


def _largest_distance(points: np.ndarray, spacing: np.ndarray) -> float:
    points = _hull_corners(points)
    return float(pdist(points * 0.5 * spacing).max()) if len(points) > 1 else 0.0


def _hull_corners(points: np.ndarray) -> np.ndarray:
    free = np.ptp(points, axis=0) > 0
    if len(points) <= _FEW or np.count_nonzero(free) < 2:
        return points
    try:
        return points[ConvexHull(points[:, free]).vertices]
    except QhullError:  # all on one slanted line or plane: compare every pair
        return points


def _principal_variances(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Variances (mm²) of the voxel centers along the principal axes, ascending.

    From the marginal sums of the mask in whole numbers, so that no array of coordinates is made.
    """
    sums = [mask.sum(axis=axis, dtype=np.int64) for axis in range(3)]
    index = [np.arange(n, dtype=np.int64) for n in mask.shape]
    count = int(sums[0].sum())
    single = [sums[2].sum(axis=1), sums[2].sum(axis=0), sums[0].sum(axis=0)]
    first = [int(i @ s) for i, s in zip(index, single, strict=True)]
    second = np.zeros((3, 3))
    for a in range(3):
        for b in range(a, 3):
            if a == b:
                product = int((index[a] ** 2) @ single[a])
            else:
                product = int(index[a] @ sums[3 - a - b] @ index[b])
            # Python integers: the difference of two large numbers stays exact.
            centered = (product * count - first[a] * first[b]) / count**2
            second[a, b] = second[b, a] = centered * spacing[a] * spacing[b]
    values = np.linalg.eigvalsh(second)
    values[(values < 0) & (values > -1e-10)] = 0
    return values
