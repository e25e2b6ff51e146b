"""From a CT's own voxels to those that networks see, and back, a slice at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.studies.ct_lungquant.scans import AIR

Spacing = tuple[float, float, float]


def coarse(image: sitk.Image, spacing: Sequence[float]) -> sitk.Image:
    """An image at another spacing, averaged where voxels become larger.

    Parameters
    ----------
    image : SimpleITK.Image
        Axes as in the patient; int16 or float32.
    spacing : (float, float, float)
        mm, along x, y, z.

    Returns
    -------
    SimpleITK.Image
        Of the same type and field, to a voxel.
    """
    factors = [max(1, int(new / old)) for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    factors = [min(f, n) for f, n in zip(factors, image.GetSize(), strict=True)]
    binned = sitk.BinShrink(image, factors) if max(factors) > 1 else image
    grid = _grid(image, spacing)
    return sitk.Resample(
        binned, grid, sitk.Transform(), sitk.sitkLinear, AIR, binned.GetPixelID(), True
    )


def coarse_labels(
    labels: sitk.Image, spacing: Sequence[float], values: Sequence[int]
) -> sitk.Image:
    """A label image at another spacing: of each voxel, the label that fills most of it."""
    shares = [coarse(sitk.Cast(labels == v, sitk.sitkFloat32), spacing) for v in values]
    filled = np.stack([np.clip(sitk.GetArrayViewFromImage(s), 0, 1) for s in shares])
    best = np.array(values, np.uint8)[filled.argmax(0)]
    kept = sitk.GetImageFromArray(np.where(filled.sum(0) >= 0.5, best, 0).astype(np.uint8))
    kept.CopyInformation(shares[0])
    return kept


def _grid(image: sitk.Image, spacing: Sequence[float]) -> sitk.Image:
    """A grid of another spacing over an image's field, its middle in the same place."""
    extent = [n * s for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    size = [max(1, round(e / s)) for e, s in zip(extent, spacing, strict=True)]
    first = [
        (e / 2 - n * s / 2 + s / 2 - own / 2) / own
        for e, n, s, own in zip(extent, size, spacing, image.GetSpacing(), strict=True)
    ]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing([float(s) for s in spacing])
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first))
    return grid


def placed(values: NDArray, like: sitk.Image, start: Sequence[int] = (0, 0, 0)) -> sitk.Image:
    """An array of shape (z, y, x) as an image whose first voxel is a voxel of `like`.

    Parameters
    ----------
    values : array
    like : SimpleITK.Image
    start : (int, int, int)
        That voxel: z, y, x.
    """
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(like.GetSpacing())
    image.SetDirection(like.GetDirection())
    image.SetOrigin(like.TransformIndexToPhysicalPoint([int(n) for n in reversed(start)]))
    return image


class _Axis(NamedTuple):
    """Voxels of an image along an axis, and which two of a map's each lies between."""

    span: slice
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float64]  # of the higher one


def planes(
    maps: Sequence[sitk.Image], like: sitk.Image
) -> Iterator[tuple[tuple[int, slice, slice], NDArray[np.float32]]]:
    """Maps at an image's own voxels, linear between theirs, a slice at a time.

    The values are ITK's. It would look at all eight neighbors of each voxel; here each axis has
    its turn, and what is 0 everywhere is left out.

    Parameters
    ----------
    maps : sequence of SimpleITK.Image
        float32, of one grid with the image's axes; 0 outside.
    like : SimpleITK.Image

    Yields
    ------
    part : (int, slice, slice)
        Along z, y, x; together they hold all that is not 0.
    values : array of shape (maps, y, x)
        Of each map in that part.
    """
    own = np.stack([sitk.GetArrayViewFromImage(one) for one in maps])
    z, y, x = _axes(own, maps[0], like)
    rows = y.share[:, None]
    for k, low, high, share in zip(range(z.span.start, z.span.stop), *z[1:], strict=True):
        plane = own[:, low] * (1 - share) + own[:, high] * share
        plane = plane[..., x.low] * (1 - x.share) + plane[..., x.high] * x.share
        plane = plane[:, y.low] * (1 - rows) + plane[:, y.high] * rows
        yield (k, y.span, x.span), plane.astype(np.float32)


def _axes(own: NDArray[np.float32], one: sitk.Image, like: sitk.Image) -> list[_Axis]:
    """Where the image's voxels that are not 0 lie among a map's: along z, y, x."""
    first = one.TransformPhysicalPointToContinuousIndex(like.GetOrigin())
    steps = [a / b for a, b in zip(like.GetSpacing(), one.GetSpacing(), strict=True)]
    found = []
    for axis, (n, start, step) in enumerate(
        zip(like.GetSize()[::-1], first[::-1], steps[::-1], strict=True), 1
    ):
        held = np.flatnonzero(own.any(axis=tuple(a for a in range(4) if a != axis)))
        at, last = start + step * np.arange(n), own.shape[axis] - 1
        there = np.flatnonzero(
            (at > held.min(initial=last) - 1) & (at < held.max(initial=0) + 1)
            & (at >= -0.5) & (at < last + 0.5)
        )  # fmt: skip
        span = slice(there[0], there[-1] + 1) if there.size and held.size else slice(0, 0)
        at = np.clip(at[span], 0, last)
        low = at.astype(np.intp)
        found.append(_Axis(span, low, np.minimum(low + 1, last), at - low))
    return found
