"""Morphological features, with spatial autocorrelation in n log n instead of n².

References
----------
Zwanenburg et al., arXiv:1612.07003, section 3.1
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial.legendre import legval
from scipy import fft
from scipy.spatial import ConvexHull

from nextaim_kit.errors import DataError
from nextaim_kit.machine.limits import memory_available
from nextaim_kit.studies.ct_radiomics.ibsi.grid import squared_distances
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import Prepared
from nextaim_kit.studies.ct_radiomics.shape import shape_features

_TRANSFORMS = 24  # bytes per displacement: weights, two spectra and one array on its way
_SMALL = 1 << 28  # bytes for which free memory, slow to ask for, need not suffice


def morphology(region: Prepared) -> dict[str, float]:
    """Morphological features under their IBSI tags: 25 that have a consensus.

    Parameters
    ----------
    region : Prepared

    Returns
    -------
    dict of str to float
        ``morph_*``: lengths in mm, areas in mm², volumes in mm³, integrated intensity in HU mm³.
    """
    step = np.array(region.spacing)
    shape = shape_features(region.outline, region.spacing)
    volume, area = shape["MeshVolume"], shape["SurfaceArea"]
    found = {
        "volume": volume, "vol_approx": shape["VoxelVolume"], "area_mesh": area,
        "diam": shape["Maximum3DDiameter"], "com": _shift(region, step),
        "integ_int": region.inside.mean() * volume,
        **_ratios(area, volume), **_axes(shape, region), **autocorrelation(region),
    }  # fmt: skip
    corners = _mesh_ends(region.outline) * step
    hull = ConvexHull(corners)
    x, y, z = np.ptp(corners, axis=0)
    a, b, c = (found[f"pca_{axis}_axis"] / 2 for axis in ("maj", "min", "least"))
    bodies = {
        "aabb": (x * y * z, 2 * (x * y + y * z + z * x)),
        "aee": (4 / 3 * np.pi * a * b * c, ellipsoid_area(a, b, c)),
        "conv_hull": (hull.volume, hull.area),
    }
    for name, (body, surface) in bodies.items():
        # The ellipsoid of a region of one slice is flat.
        found[f"vol_dens_{name}"] = volume / body if body else np.nan
        found[f"area_dens_{name}"] = area / surface if surface else np.nan
    return {f"morph_{name}": float(value) for name, value in found.items()}


def _mesh_ends(mask: np.ndarray) -> np.ndarray:
    """Vertices of the surface mesh that its hull and box need, in voxels, shape (n, 3).

    They lie half a voxel beside voxel centers; what lies between two others is no corner.
    """
    lines = np.argwhere(mask.any(axis=2))
    row = mask[lines[:, 0], lines[:, 1]]
    last = row.shape[1] - 1 - row[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.column_stack([lines, x]) for x in (row.argmax(axis=1), last)])
    beside = 0.5 * np.concatenate([np.eye(3), -np.eye(3)])
    return np.asarray((ends[:, None] + beside).reshape(-1, 3))


def _ratios(area: float, volume: float) -> dict[str, float]:
    """Forms of area³ / volume², which is 36 π for a ball."""
    ball = np.divide(area**3, 36 * np.pi * volume**2)
    return {
        "av": np.divide(area, volume), "comp_1": volume / (np.sqrt(np.pi) * area**1.5),
        "comp_2": 1 / ball, "sph_dispr": ball ** (1 / 3), "sphericity": ball ** (-1 / 3),
        "asphericity": ball ** (1 / 3) - 1,
    }  # fmt: skip


def _axes(shape: dict[str, float], region: Prepared) -> dict[str, float]:
    """Principal axes: the consensus divides the covariance of n voxel centers by n - 1."""
    count = np.count_nonzero(region.outline)
    longer = np.sqrt(np.divide(count, count - 1))
    return {
        "pca_maj_axis": shape["MajorAxisLength"] * longer,
        "pca_min_axis": shape["MinorAxisLength"] * longer,
        "pca_least_axis": shape["LeastAxisLength"] * longer,
        "pca_elongation": shape["Elongation"], "pca_flatness": shape["Flatness"],
    }  # fmt: skip


def ellipsoid_area(a: float, b: float, c: float) -> float:
    """Surface of an ellipsoid by its semi-axes, the longest first, as the consensus takes it.

    The manual's series of Legendre polynomials up to degree 20. It is exact for a ball and a few
    percent below the true surface of others.

    Examples
    --------
    >>> round(ellipsoid_area(1, 1, 1) / np.pi, 9)
    4.0
    """
    # Where two axes are equal the polynomials' argument is infinite, but not their sum.
    first, second = (np.sqrt(max(1 - (x / a) ** 2, 1e-12)) for x in (b, c))
    degree = np.arange(21)
    terms = (first * second) ** degree / (1 - 4.0 * degree**2)
    ratio = (first**2 + second**2) / (2 * first * second)
    return float(4 * np.pi * a * b * legval(ratio, terms))


def _shift(region: Prepared, step: np.ndarray) -> float:
    """Distance (mm) of the HU's center of mass from the outline's; NaN where the HU sum to 0."""
    middle = np.argwhere(region.outline).mean(axis=0)
    total = region.inside.sum()
    heavy = region.inside @ np.argwhere(region.kept) / (total or np.nan)
    return float(np.linalg.norm((heavy - middle) * step))


def autocorrelation(region: Prepared) -> dict[str, float]:
    """Moran's I and Geary's C over all pairs of voxels, weighted by 1 / distance.

    A sum over pairs is a sum over displacements of a correlation, which is a product of Fourier
    transforms; by Parseval's theorem not even the way back is needed.

    Raises
    ------
    DataError
        If the free memory has no room for the transforms.
    """
    off = np.where(region.kept, region.values - region.inside.mean(), 0.0)
    size = [fft.next_fast_len(2 * n - 1, real=True) for n in off.shape]
    _check_room(size)
    weight = _weights(size, region.spacing)
    values = fft.rfftn(off, s=size)
    products = _sum(weight, values, values)
    del values
    marked = fft.rfftn(region.kept.astype(float), s=size)
    pairs = _sum(weight, marked, marked)
    ends = _sum(weight, marked, fft.rfftn(off**2, s=size))
    count, spread = region.inside.size, (off**2).sum()
    geary = (count - 1) * (ends - products) / (pairs * spread)
    return {"moran_i": count * products / (pairs * spread), "geary_c": geary}


def _check_room(size: list[int]) -> None:
    needed, free = _TRANSFORMS * math.prod(size), memory_available()
    if needed > max(free, _SMALL):
        raise DataError(
            "the region is too large for its spatial autocorrelation",
            expected=f"a region whose transforms fit the {free / 1e9:.1f} GB that are free",
            found=f"a box of about {math.prod(size) // 8:,} voxels, {needed / 1e9:.1f} GB",
            mend="interpolate to larger voxels (configurations C, D and E), or run fewer workers",
        )


def _weights(size: list[int], step: tuple[float, float, float]) -> np.ndarray:
    """Transform of 1 / distance, real since it is the same in both directions.

    Divided by the number of displacements; half of the frequencies stand for two.
    """
    squared = squared_distances(size, step)
    squared[0, 0, 0] = np.inf  # no voxel is a neighbor of itself
    weight = fft.rfftn(1 / np.sqrt(squared), overwrite_x=True).real * (2 / math.prod(size))
    weight[..., 0] /= 2
    if size[-1] % 2 == 0:
        weight[..., -1] /= 2
    return weight


def _sum(weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Weighted sum over all displacements of the correlation of two transformed arrays."""
    total = 0.0
    for w, x, y in zip(weight, a, b, strict=True):  # plane by plane: no array as large as they
        total += float((w * (x.real * y.real + x.imag * y.imag)).sum())
    return total
