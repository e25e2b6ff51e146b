"""A region of interest, found, checked and cut out before anything expensive looks at it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from nextaim_kit.errors import DataError
from nextaim_kit.machine.limits import memory_available

Box = tuple[slice, slice, slice]

_MOST_LEVELS = 1_000_000  # more of them are no gray levels, and their edges alone fill memory
_BLOCK = 1 << 18  # voxels that are looked at together
_FEW_LEVELS = 1000  # their matrices take 0.2 GB: free memory, slow to ask for, is not asked


@dataclass(frozen=True)
class Region:
    """One region in its image.

    Parameters
    ----------
    image : SimpleITK.Image
        The whole image.
    mask : ndarray of bool, shape (z, y, x)
        The region, cropped to `box`.
    box : tuple of slice
        Bounding box (z, y, x) in the image's array.
    drawn : SimpleITK.Image, optional
        The region as 0 and 1 on the grid it was drawn on, where that is not the image's.
    """

    image: sitk.Image
    mask: np.ndarray
    box: Box
    drawn: sitk.Image | None = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm."""
        x, y, z = self.image.GetSpacing()
        return (z, y, x)

    @property
    def values(self) -> np.ndarray:
        """Values of the region's voxels."""
        return sitk.GetArrayViewFromImage(self.image)[self.box][self.mask]


def find_region(
    image: sitk.Image,
    mask: sitk.Image,
    label: int | None = None,
    minimum_dimensions: int = 2,
    minimum_size: int | None = None,
) -> Region:
    """Find the region that a mask marks and refuse one that has no features.

    Raises
    ------
    DataError
        If the image is not a volume, or the mask is empty, holds several labels and none was
        chosen, lacks the chosen one, or marks one voxel, a line, too few voxels, NaN, or voxels
        that all have the same value.
    """
    if image.GetDimension() != 3:
        raise DataError(
            "the image is not a volume",
            expected="three axes",
            found=f"size {' x '.join(map(str, image.GetSize()))}",
            mend="save it as a volume of one slice; force2D measures texture within it",
        )
    array = sitk.GetArrayViewFromImage(mask)
    box = bounding_box(array)
    if box is None:
        raise DataError(
            "the mask is empty", expected="at least a few marked voxels", mend="draw the region"
        )
    inside = array[box] == chosen_label(array[box], label)
    tight = bounding_box(inside)
    assert tight is not None
    box = placed(tight, box)
    region = Region(image, np.ascontiguousarray(inside[tight]), box)
    check_region(region, minimum_dimensions, minimum_size)
    return region


def check_region(
    region: Region, minimum_dimensions: int = 2, minimum_size: int | None = None
) -> None:
    """Refuse a region that is too small, or whose values have no texture; see `find_region`."""
    _check_extent(region.mask, minimum_dimensions, minimum_size)
    _check_values(region.values)


def bounding_box(array: np.ndarray) -> Box | None:
    """Smallest box around all voxels that are not 0, or None."""
    z = _span(array.any(axis=(1, 2)))
    if z is None:
        return None
    y, x = (_span(array[z].any(axis=axes)) for axes in ((0, 2), (0, 1)))
    assert y is not None
    assert x is not None
    return (z, y, x)


def spans(row: np.ndarray) -> np.ndarray:
    """Start and stop of what is not 0 in a row that begins and ends with 0, shape (n, 2)."""
    found = []
    for start in range(0, row.size, _BLOCK):
        marked = row[start : start + _BLOCK + 1] != 0
        found.append(np.flatnonzero(marked[1:] != marked[:-1]) + (start + 1))
    return np.concatenate(found).reshape(-1, 2)


def _span(marked: Any) -> slice | None:
    where = np.flatnonzero(marked)
    return slice(int(where[0]), int(where[-1]) + 1) if where.size else None


def chosen_label(labels: np.ndarray, label: int | None) -> Any:
    """Label that is meant: `label`, or the only one; see `find_region`."""
    chosen = labels.max() if label is None else label
    marked = labels == chosen
    if label is None and chosen and np.logical_or(marked, labels == 0, out=marked).all():
        return chosen
    if label is not None and marked.any():
        return label
    there = np.unique(labels[labels != 0])
    if label is None and there.size == 1:
        return there[0]
    raise DataError(
        "the mask holds several labels" if label is None else f"label {label} is not in the mask",
        expected="one label" if label is None else f"voxels with the value {label}",
        found="labels " + ", ".join(f"{value:g}" for value in there),
        mend="choose one: Settings(label=...) or a column `mask_label` in the cohort",
    )


def _check_extent(mask: np.ndarray, minimum_dimensions: int, minimum_size: int | None) -> None:
    extent = sum(n > 1 for n in mask.shape)
    count = np.count_nonzero(mask)
    size = " x ".join(str(n) for n in mask.shape[::-1])
    if extent == 0 or extent < minimum_dimensions:
        raise DataError(
            "the region is one voxel" if extent == 0 else "the region is too thin",
            expected=f"more than one voxel in at least {max(1, minimum_dimensions)} directions",
            found=f"a box of {size} voxels",
            mend="check the mask; leave out regions too small for texture",
        )
    if minimum_size is not None and count <= minimum_size:
        raise DataError(
            "the region is too small",
            expected=f"more than {minimum_size} voxels",
            found=f"{count} voxels",
        )


def _check_values(values: np.ndarray) -> None:
    """Refuse a region with values that are not finite, or with only one value.

    pyradiomics answers a constant region with conventions (skewness 0, correlation 1): numbers
    that look like measurements. Texture of a constant is not defined, and in a CT it means a mask
    in the air, beyond the field of view, or on a saturated export.
    """
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise DataError(
            "the region holds values that are not numbers",
            expected="a finite value in every voxel",
            found=f"{bad} of {values.size} voxels are NaN or infinite",
            mend="repair the image (gaps from resampling or masking) or exclude these voxels",
        )
    if values.min() == values.max():
        raise DataError(
            "the region is constant",
            expected="at least two different values: texture of a constant is not defined",
            found=f"all {values.size} voxels are {values[0]:g}",
            mend="check that the mask lies on tissue and that the image is not saturated",
        )


def check_levels(
    low: float, high: float, settings: Mapping[str, Any], voxels: float = math.inf
) -> None:
    """Refuse values whose gray levels would not fit the memory that is free.

    The co-occurrence matrix has 13 directions of levels x levels and is held twice; where only
    those that occur are kept, `voxels` says how many there can be.

    Raises
    ------
    DataError
    """
    count, width = settings.get("binCount"), settings.get("binWidth", 25)
    levels = count or (float(high) - float(low)) / width + 1
    if min(levels, voxels) <= _FEW_LEVELS and levels <= _MOST_LEVELS:
        return
    free = memory_available()
    most = math.sqrt(free / (2 * 13 * 8))
    if levels > _MOST_LEVELS or min(levels, voxels) > most:
        raise DataError(
            f"the region's values fall into {levels:,.0f} gray levels",
            expected=f"at most {min(most, _MOST_LEVELS):,.0f}: their matrices have to fit "
            f"the {free / 1e9:.1f} GB that are free",
            found=f"values from {low:g} to {high:g}"
            + (f", binCount {count}" if count else f", bins of {width:g}"),
            mend="see whether these are HU (padding or metal inside the region?); else choose "
            f"{'fewer' if count else 'wider'} bins",
        )


def as_box(slices: Iterable[slice]) -> Box:
    """Three slices (z, y, x) as a box."""
    z, y, x = slices
    return (z, y, x)


def placed(inner: Box, outer: Box) -> Box:
    """A box that was counted from the corner of another one, counted from the array's."""
    return as_box(
        slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True)
    )


def seen_from(outer: Box, inner: Box) -> Box:
    """Box counted from another box's corner."""
    return as_box(
        slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True)
    )


def cut(image: sitk.Image, box: Box) -> sitk.Image:
    """Part of an image (sitk) by a box in array order, with its place in space kept."""
    start = [b.start for b in box[::-1]]
    size = [b.stop - b.start for b in box[::-1]]
    return sitk.RegionOfInterest(image, size, start)


def grown(box: Box, margins: Iterable[int], size: Iterable[int]) -> Box:
    """Box with `margins` voxels (z, y, x) more on each side, within an array of `size`."""
    return as_box(
        slice(max(0, b.start - m), min(n, b.stop + m))
        for b, m, n in zip(box, margins, size, strict=True)
    )


def as_image(mask: np.ndarray, like: sitk.Image) -> sitk.Image:
    """Mask as an image of label 1 on the grid of `like`."""
    labels = sitk.GetImageFromArray(mask.astype(np.uint8))
    labels.CopyInformation(like)
    return labels
