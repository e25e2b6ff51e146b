"""From a CT's own voxels to those that networks see, and back, a slab at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.studies.ct_lungquant.scans import AIR

Spacing = tuple[float, float, float]
_SLAB = 16  # slices that are at work at once


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


def slabs(
    maps: Sequence[sitk.Image], like: sitk.Image
) -> Iterator[tuple[tuple[slice, ...], list[NDArray[np.float32]]]]:
    """Maps at an image's own voxels, linear between theirs, some slices at a time.

    Parameters
    ----------
    maps : sequence of SimpleITK.Image
        float32, of one grid with the image's axes; 0 outside.
    like : SimpleITK.Image

    Yields
    ------
    part : (slice, slice, slice)
        Along z, y, x; together they hold all that is not 0.
    values : list of array
        Of each map in that part.
    """
    first, last = _covered(maps[0], like)
    for z in range(first[2], last[2], _SLAB):
        corner = (first[0], first[1], z)
        end = (last[0], last[1], min(z + _SLAB, last[2]))
        grid = sitk.Image([b - a for a, b in zip(corner, end, strict=True)], sitk.sitkUInt8)
        grid.SetSpacing(like.GetSpacing())
        grid.SetDirection(like.GetDirection())
        grid.SetOrigin(like.TransformIndexToPhysicalPoint(corner))
        parts = [
            sitk.Resample(one, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
            for one in maps
        ]
        where = tuple(slice(a, b) for a, b in zip(corner[::-1], end[::-1], strict=True))
        yield where, [sitk.GetArrayViewFromImage(p) for p in parts]


def _covered(small: sitk.Image, like: sitk.Image) -> tuple[list[int], list[int]]:
    """First voxel and the one after the last of `like` that another image's field covers."""
    ends = [-0.5] * 3, [n - 0.5 for n in small.GetSize()]
    low, high = (
        like.TransformPhysicalPointToContinuousIndex(
            small.TransformContinuousIndexToPhysicalPoint(end)
        )
        for end in ends
    )
    first = [min(n, max(0, int(np.floor(a)))) for a, n in zip(low, like.GetSize(), strict=True)]
    last = [
        max(a, min(n, int(np.ceil(b)) + 1))
        for a, b, n in zip(first, high, like.GetSize(), strict=True)
    ]
    return first, last
