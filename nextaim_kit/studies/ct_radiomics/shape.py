"""Shape of a region of interest: pyradiomics' 14 features, without its quadratic search.

The mesh is pyradiomics' own: marching cubes at half height, so every cell of 2 x 2 x 2 voxels is
one of 256 configurations. Area and volume of a mesh are sums over its cells, hence a look-up per
configuration; the look-up is filled by asking pyradiomics' C code about single cells. Diameters
are in `diameters`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from radiomics import cShape

from nextaim_kit.studies.ct_radiomics.diameters import diameters, runs

# Corner (z, y, x) of a cell for each bit of its configuration, as in pyradiomics' cshape.c.
_CORNERS = ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0))
_BLOCK = 1 << 17  # cells that are looked at together


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
    counts = np.zeros(256, dtype=np.int64)
    volume = 0.0
    block = max(1, _BLOCK // padded[0].size)
    for start in range(0, len(padded) - 1, block):
        plane = _plane_codes(padded[start : start + block + 1])
        codes = plane[:-1] | plane[1:] << 4
        cell = np.flatnonzero(codes - np.uint8(1) < 254)  # neither all out nor all in
        code, (z, y, x) = codes.reshape(-1)[cell], np.unravel_index(cell, codes.shape)
        counts += np.bincount(code, minlength=256)
        slope = slopes[code]
        volume += float(
            (volumes[code] + (z + start) * slope[:, 0] + y * slope[:, 1] + x * slope[:, 2]).sum()
        )
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


def _principal_variances(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Variances (mm²) of the voxel centers along the principal axes, ascending.

    From sums in whole numbers over the runs of voxels along x; `mask` has a border of zeros.
    """
    z, y, x, n = runs(mask)
    of_x = n * x + n * (n - 1) // 2
    of_x_squared = n * x * x + n * (n - 1) * x + (n - 1) * n * (2 * n - 1) // 6
    count = int(n.sum())
    first = [int(z @ n), int(y @ n), int(of_x.sum())]
    products = {
        (0, 0): z * z @ n, (0, 1): z * y @ n, (0, 2): z @ of_x,
        (1, 1): y * y @ n, (1, 2): y @ of_x, (2, 2): of_x_squared.sum(),
    }  # fmt: skip
    second = np.zeros((3, 3))
    for (a, b), product in products.items():
        # Python integers: the difference of two large numbers stays exact.
        centered = (int(product) * count - first[a] * first[b]) / count**2
        second[a, b] = second[b, a] = centered * spacing[a] * spacing[b]
    values = np.linalg.eigvalsh(second)
    values[(values < 0) & (values > -1e-10)] = 0
    return values
