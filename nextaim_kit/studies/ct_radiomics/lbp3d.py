"""Local binary patterns on spheres around the voxels of a region, as pyradiomics defines them.

pyradiomics 3.0.1's own filter needs names that SciPy has removed since, and memory for all
spheres at once. Here the voxels go through in blocks.

References
----------
Banerjee et al., ACCV Workshops 2012, doi:10.1007/978-3-642-37410-4_3
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import sph_harm_y

_BLOCK = 1 << 17  # samples on spheres at a time, each with some complex numbers
_MARGIN = 40  # voxels: the spline's prefilter decays by 0.27 a voxel


def lbp_3d(
    image: np.ndarray, mask: np.ndarray, corner: tuple[int, int, int], settings: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Rotation-invariant patterns of a region's voxels.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
        The whole image, or so much that nothing that `margin` asks for is missing; finite.
    mask : ndarray of bool, shape (z, y, x)
        The region, cropped.
    corner : tuple of int
        Where the mask's first voxel lies in the image.
    settings : mapping
        ``lbp3DLevels`` [2], ``lbp3DIcosphereRadius`` [1, in voxels] and
        ``lbp3DIcosphereSubdivision`` [1] count.

    Returns
    -------
    dict of str to ndarray of float, shape (voxels of the region,)
        ``lbp-3D-m1`` and so on, one for each level, and ``lbp-3D-k``, the kurtosis on the sphere.
        Where all samples are alike its kurtosis is -3, as pyradiomics had it with the SciPy of its
        day; later ones have no number for it.
    """
    radius = settings.get("lbp3DIcosphereRadius", 1)
    levels = settings.get("lbp3DLevels", 2)
    sphere = icosphere(settings.get("lbp3DIcosphereSubdivision", 1), radius)
    harmonics = _harmonics(sphere, radius, levels)
    filtered = ndimage.spline_filter(image, order=3, output=np.float64, mode="constant")
    voxels = np.argwhere(mask) + np.asarray(corner)
    found = np.empty((levels + 1, len(voxels)))
    step = max(1, _BLOCK // len(sphere))
    for first in range(0, len(voxels), step):
        here = voxels[first : first + step]
        places = (here[:, None] + sphere).transpose(2, 0, 1)
        samples = ndimage.map_coordinates(
            filtered, places, output=image.dtype, order=3, prefilter=False
        )
        above = samples >= image[tuple(here.T)][:, None]
        found[:-1, first : first + step] = _norms(above, harmonics)
        found[-1, first : first + step] = _kurtosis(samples)
    names = [f"lbp-3D-m{level}" for level in range(1, levels + 1)] + ["lbp-3D-k"]
    return dict(zip(names, found, strict=True))


def margin(settings: Mapping[str, Any]) -> int:
    """Voxels around a region that its patterns depend on."""
    return _MARGIN + 2 + int(np.ceil(settings.get("lbp3DIcosphereRadius", 1)))


def _harmonics(sphere: np.ndarray, radius: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Spherical harmonics on the sphere's points, shape (points, orders), and their degrees.

    The angles are pyradiomics', which hands the polar one over as the azimuth and the other way
    round; a polar angle counts by its cosine, hence the absolute value.
    """
    azimuth = np.arccos(sphere[:, 2] / radius)[:, None]
    polar = np.abs(np.arctan2(sphere[:, 1], sphere[:, 0]))[:, None]
    degree = np.repeat(np.arange(levels), 2 * np.arange(levels) + 1)
    order = np.concatenate([np.arange(-n, n + 1) for n in range(levels)])
    return sph_harm_y(degree, order, polar, azimuth), degree


def _norms(above: np.ndarray, harmonics: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Norm over the sphere of each degree's part of the patterns, shape (levels, voxels).

    Patterns are few, so that a norm can lie on the edge of a gray level: it is summed up in
    pyradiomics' order, not by a product of matrices.
    """
    values, degree = harmonics
    shares = (above.astype(int)[:, :, None] * values).sum(axis=1)
    parts = np.empty((*above.shape, degree[-1] + 1), dtype=complex)
    for n in range(degree[-1] + 1):
        own = degree == n
        parts[:, :, n] = (shares[:, None, own] * values[None, :, own]).sum(axis=2)
    return np.sqrt((parts**2).sum(axis=1)).real.T


def _kurtosis(samples: np.ndarray) -> np.ndarray:
    from scipy.stats import kurtosis

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of samples all alike
        return np.nan_to_num(kurtosis(samples, axis=1), nan=-3.0)


def icosphere(subdivisions: int, radius: float) -> np.ndarray:
    """Points of an icosahedron whose triangles are split in four again and again.

    Returns
    -------
    ndarray, shape (10 * 4**subdivisions + 2, 3)
        At `radius` from the origin, two of the first twelve on each axis' plane.
    """
    points, faces = _icosahedron()
    for _ in range(subdivisions):
        # The later end first: single-precision sums depend on the order of the points.
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)[:, ::-1]
        edges, middle = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = middle.reshape(-1, 3).T + len(points)
        a, b, c = faces.T
        middles = points[edges].mean(axis=1)
        points = np.vstack([points, middles / np.linalg.norm(middles, axis=1)[:, None]])
        split = [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
        faces = np.concatenate([np.column_stack(three) for three in split])
    return points * radius


def _icosahedron() -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import ConvexHull

    golden = (1 + np.sqrt(5)) / 2
    plane = np.array([[s, t * golden, 0] for t in (1, -1) for s in (-1, 1)])
    points = np.vstack([np.roll(plane, turn, axis=1) for turn in range(3)])
    points /= np.linalg.norm(points, axis=1)[:, None]
    return points, ConvexHull(points).simplices
