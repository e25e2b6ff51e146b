"""From an image and its mask to what IBSI's features are taken of.

The manual's order: interpolation of image and mask, rounding to whole HU, re-segmentation of the
intensity mask (the morphological mask stays), gray levels. Only the region's surroundings are
interpolated, on the grid that the whole image would have.

References
----------
Zwanenburg et al., arXiv:1612.07003, chapter 2
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.grid import Grid, Spacing
from nextaim_kit.studies.ct_radiomics.region import (
    Box,
    Region,
    as_box,
    bounding_box,
    check_levels,
    grown,
)

PEAK_MM = (3 / (4 * math.pi)) ** (1 / 3) * 10  # radius of a ball of 1 cm³
# Half of a voxel, less the noise of a spacing: a CT is 0.977 mm in DICOM, 0.97699999 in NIfTI.
_HALF = 0.5 - 1e-4


@dataclass(frozen=True)
class Prepared:
    """A region as IBSI's features are taken of it.

    Parameters
    ----------
    around : ndarray, shape (z, y, x)
        Whole HU of the region's box and of what lies within 1 cm³ of it, as far as the image goes.
    box : tuple of slice
        The region's box in `around`.
    outline : ndarray of bool, shape (z, y, x)
        Morphological mask, cropped to the box.
    kept : ndarray of bool, shape (z, y, x)
        Intensity mask: the same after re-segmentation.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    """

    around: np.ndarray
    box: Box
    outline: np.ndarray
    kept: np.ndarray
    spacing: Spacing

    @cached_property
    def values(self) -> np.ndarray:
        """HU of the region's box, shape (z, y, x)."""
        return self.around[self.box]

    @cached_property
    def inside(self) -> np.ndarray:
        """HU of the voxels of the intensity mask, shape (n,)."""
        return self.values[self.kept]


def prepare(region: Region, setup: Configuration) -> Prepared:
    """Interpolate, round and re-segment a region.

    Raises
    ------
    DataError
        If no two voxels are left, or they all have the same value.
    """
    margin = [math.ceil(PEAK_MM / s) for s in region.spacing]
    if setup.spacing is None:
        size = region.image.GetSize()[::-1]
        around, box = _as_it_is(region, grown(region.box, margin, size))
        outline, spacing = region.mask, region.spacing
    else:
        around, box, outline, spacing = _interpolated(region, setup)
    around = np.rint(around)
    kept = _resegmented(around[box], outline, setup)
    found = np.unique(around[box][kept]).size
    if found < 2:
        raise DataError(
            "nothing of the region is left to measure",
            expected="at least two values after interpolation and re-segmentation",
            found=f"{found} in {np.count_nonzero(kept)} of {np.count_nonzero(region.mask)} voxels",
            mend="leave out this subject, or take a configuration with another range or voxel size",
        )
    return Prepared(around, box, np.ascontiguousarray(outline), kept, spacing)


def _as_it_is(region: Region, wide: Box) -> tuple[np.ndarray, Box]:
    values = sitk.GetArrayViewFromImage(region.image)[wide].astype(float)
    return values, _from_corner(region.box, wide)


def _from_corner(inner: Box, outer: Box) -> Box:
    return as_box(
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )


def _interpolated(
    region: Region, setup: Configuration
) -> tuple[np.ndarray, Box, np.ndarray, Spacing]:
    """Values around the region, its box there, its outline, and the new spacing."""
    grid = Grid.of(region.image, setup.spacing or (0, 0, 0))
    reach = as_box(
        slice(*grid.covering(axis, b.start - 1, b.stop)) for axis, b in enumerate(region.box)
    )
    labels = np.zeros(region.image.GetSize()[::-1], dtype=np.uint8)
    labels[region.box] = region.mask
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(region.image)
    outline = grid.interpolate(mask, reach, 1) >= _HALF
    tight = bounding_box(outline)
    if tight is None:
        raise DataError(
            "nothing of the region is left after interpolation",
            expected="a region of at least half a voxel of the new size",
            found=f"{np.count_nonzero(region.mask)} voxels before",
            mend="leave out this subject, or interpolate to smaller voxels",
        )
    box = as_box(
        slice(r.start + t.start, r.start + t.stop) for r, t in zip(reach, tight, strict=True)
    )
    wide = grown(box, [math.ceil(PEAK_MM / s) for s in grid.spacing], grid.size)
    values = grid.interpolate(region.image, wide, setup.spline)
    return values, _from_corner(box, wide), outline[tight], grid.spacing


def _resegmented(values: np.ndarray, outline: np.ndarray, setup: Configuration) -> np.ndarray:
    """Intensity mask: both ways of re-segmentation start from the whole region."""
    kept = outline.copy()
    if setup.keep is not None:
        kept &= (values >= setup.keep[0]) & (values <= setup.keep[1])
    if setup.sigmas is not None:
        inside = values[outline]
        kept &= np.abs(values - inside.mean()) <= setup.sigmas * inside.std()
    return kept


def levels_of_width(values: np.ndarray, width: float, low: float | None = None) -> np.ndarray:
    """Gray levels from 1 up by a fixed width (HU) from `low`, or else the minimum; int32."""
    start = values.min() if low is None else low
    return (np.floor((values - start) / width) + 1).astype(np.int32)


def levels_of_number(values: np.ndarray, count: int) -> np.ndarray:
    """Gray levels 1 to `count` between the extremes, the maximum in the last; int32."""
    low, high = values.min(), values.max()
    levels = np.floor(count * (values - low) / (high - low)) + 1
    return np.minimum(levels, count).astype(np.int32)


def levels_of(region: Prepared, setup: Configuration) -> np.ndarray:
    """Gray levels of a region's box, 0 outside the intensity mask, int32, shape (z, y, x).

    Raises
    ------
    DataError
        If there are more levels than the free memory has room for.
    """
    inside, low = region.inside, setup.lowest
    start = inside.min() if low is None else low
    bins = {"binWidth": setup.bin_width, "binCount": setup.bin_count}
    check_levels(start, inside.max(), bins)
    levels = np.zeros(region.kept.shape, dtype=np.int32)
    if setup.bin_width is not None:
        levels[region.kept] = levels_of_width(inside, setup.bin_width, low)
    elif setup.bin_count is not None:
        levels[region.kept] = levels_of_number(inside, setup.bin_count)
    return levels
