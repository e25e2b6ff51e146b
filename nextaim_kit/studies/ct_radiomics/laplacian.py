"""Laplacian of Gaussian of a region: pyradiomics' values, pass by pass.

A pass keeps of its axis what the region's box needs, so that the next one has less to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from nextaim_kit.studies.ct_radiomics.compiled import kernel
from nextaim_kit.studies.ct_radiomics.passes import Rows, along
from nextaim_kit.studies.ct_radiomics.region import Box, grown, seen_from

_SLAB = 64  # planes that are worked on together
_MARGIN = 20  # widths of the Gaussian: what lies farther away counts less than 1e-11
# Deriche's two damped waves for order 0 and 2: weights of cosine and sine, frequency, damping.
_WAVES = {
    0: ((1.3530, 1.8151, 0.6681, -1.3932), (-0.3531, 0.0902, 2.0787, -1.3732)),
    2: ((-1.3563, 5.2318, 0.6681, -1.3932), (0.3446, -2.2355, 2.0787, -1.3732)),
}


def laplacian(
    image: np.ndarray, spacing: tuple[float, float, float], box: Box, sigma: float
) -> np.ndarray:
    """Scale-normalized Laplacian of Gaussian, as of ITK's recursive filter.

    There has to be machine code for it.

    Parameters
    ----------
    image : ndarray, shape (z, y, x)
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    box : tuple of slice
        Part of the image whose values are wanted.
    sigma : float
        Width in mm.

    Returns
    -------
    ndarray of float32, shape of the box

    References
    ----------
    Deriche, INRIA report 1893, 1993; scaled to exact moments as in Farnebäck and Westin, J. Math.
    Imaging Vis. 2006, doi:10.1007/s10851-006-8464-z
    """
    margins = [4 + math.ceil(_MARGIN * sigma / step) for step in spacing]
    around = grown(box, margins, image.shape)
    part, inner = image[around], seen_from(around, box)
    total = np.zeros([b.stop - b.start for b in box], np.float32)
    for axis in (2, 1, 0):
        with np.errstate(invalid="ignore"):  # infinite values of the image; the caller says so
            for some, made in _derivative(part, inner, spacing, sigma, axis):
                for plane, more in zip(total[some], made, strict=True):
                    plane[...] = plane + more.astype(float) * (1 / spacing[axis] ** 2)
    return total


def _derivative(
    part: np.ndarray, inner: Box, spacing: tuple[float, float, float], sigma: float, axis: int
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Second derivative along an axis, smoothed along the others: slabs of the inner box."""
    one, two, last = (axis, *(other for other in (2, 1, 0) if other != axis))
    shape = [b.stop - b.start for b in inner]

    def passed(array: np.ndarray, k: int) -> np.ndarray:
        rows = _recursive(sigma, spacing[k], 2 if k == axis else 0, inner[k])
        return along(array, k, rows, shape[k], np.float32)

    half = np.empty([part.shape[k] if k == last else n for k, n in enumerate(shape)], np.float32)
    for some in _slabs(last, half.shape[last]):
        half[some] = passed(passed(part[some], one), two)
    across = 1 if last == 0 else 0
    for some in _slabs(across, shape[across]):
        yield some, passed(half[some], last)


def _slabs(axis: int, size: int) -> Iterator[tuple[slice, ...]]:
    for start in range(0, size, _SLAB):
        yield (slice(None),) * axis + (slice(start, min(start + _SLAB, size)),)


def _recursive(sigma: float, step: float, order: int, kept: slice) -> Rows:
    """Smoothing (`order` 0) or second derivative (2) along an axis, of which a part is kept."""
    run, numbers = kernel("recursive", "float64"), _coefficients(sigma, step, order)
    assert run is not None

    def rows(plane: np.ndarray) -> np.ndarray:
        x = np.array(plane, dtype=float, order="C")
        room = np.empty((2, len(x) + 4, x.shape[1]))
        made = np.empty(x.shape, np.float32)
        run(x, *numbers, *room, made)
        return made[kept]

    return rows


@lru_cache(maxsize=64)
def _coefficients(sigma: float, step: float, order: int) -> tuple[np.ndarray, ...]:
    """Numbers of `passes.recursive`: ahead, back, d, still."""
    ahead, d = _waves(0, sigma / step)
    n, dn, _ = _moments(ahead)
    s, ds, dds = _moments(d)
    if order == 0:
        ahead = ahead / (2 * n / s - ahead[0])
    else:
        second, _ = _waves(2, sigma / step)
        # What it gives of a constant is 0, and of a parabola its second derivative.
        ratio = -(2 * second.sum() - s * second[0]) / (2 * n - s * ahead[0])
        ahead = second + ratio * ahead
        n, dn, ddn = _moments(ahead)
        scale = (ddn * s**2 - dds * n * s - 2 * dn * ds * s + 2 * ds**2 * n) / s**3
        ahead = ahead * (sigma**2 / scale)
    back = np.append(ahead[1:], 0) - d[1:] * ahead[0]
    return ahead, back, d[1:].copy(), np.array([ahead.sum(), back.sum()]) / s


def _waves(order: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator, by powers of one step back, of two damped waves."""
    tops, bottoms = [], []
    for cosine, sine, frequency, damping in _WAVES[order]:
        fall = math.exp(damping / width)
        c, s = fall * math.cos(frequency / width), fall * math.sin(frequency / width)
        tops.append([cosine, sine * s - cosine * c])
        bottoms.append([1, -2 * c, fall**2])
    top = np.polymul(tops[0], bottoms[1]) + np.polymul(tops[1], bottoms[0])
    return top, np.polymul(*bottoms)


def _moments(numbers: np.ndarray) -> tuple[float, float, float]:
    k = np.arange(numbers.size)
    return float(numbers.sum()), float(numbers @ k), float(numbers @ k**2)
