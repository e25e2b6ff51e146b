"""Filtered images of a region: pyradiomics' values, computed on the part that a filter needs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import SimpleITK as sitk
from radiomics import imageoperations

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics import lbp3d
from nextaim_kit.studies.ct_radiomics.compiled import kernel
from nextaim_kit.studies.ct_radiomics.laplacian import laplacian
from nextaim_kit.studies.ct_radiomics.region import Box, Region, as_box, cut, grown, seen_from
from nextaim_kit.studies.ct_radiomics.wavelets import kind_of, wavelets

_GAUSS_MARGIN = 20  # widths of the Gaussian
_BY_EXTREME = ("Square", "SquareRoot", "Logarithm", "Exponential")  # scaled by the image's largest

Options = Mapping[str, Any]


def images(
    region: Region, types: Mapping[str, Options], options: Options
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """Image types of a region, one filtered image after the other.

    Parameters
    ----------
    region : Region
    types : mapping
        Image type -> its own settings, as ``imageType`` of a parameter file.
    options : mapping
        Settings that hold where an image type has none of its own.

    Yields
    ------
    name : str
        As pyradiomics calls it, such as ``wavelet-LLH``.
    values : ndarray, shape (voxels of the region,)
        In the order of the mask.
    options : dict
        Settings of gray levels and texture for this image.

    Raises
    ------
    DataError
        If a filter meets values that are not finite.
    """
    for kind, own in types.items():
        merged = {**options, **own}
        made = _WAYS.get(kind, _by_margin)(region, kind, merged)
        # No name here for the values: who takes them makes room by letting go of them.
        yield from map(partial(_checked, merged), made)


def _checked(
    options: dict[str, Any], made: tuple[str, np.ndarray]
) -> tuple[str, np.ndarray, dict[str, Any]]:
    _check_finite(made[1], made[0])
    return *made, options


def _check_finite(values: np.ndarray, what: str) -> None:
    if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
        raise DataError(
            f"{what}: the filter meets values that are not numbers",
            expected="a finite value in every voxel that a filter takes in",
            found="NaN or infinite values, in the region or around it",
            mend="repair the image (gaps from resampling or masking), or leave out this image type",
        )


def _original(region: Region, *_: Any) -> Iterator[tuple[str, np.ndarray]]:
    yield "original", region.values


def _by_margin(region: Region, kind: str, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    """Filter the part of the image around the region that its values depend on."""
    around = _needed(region, kind, options)
    if kind == "LBP2D":  # whose comparisons would not show it
        _check_finite(sitk.GetArrayViewFromImage(region.image)[around], kind)
    inner = seen_from(around, region.box)
    make = getattr(imageoperations, f"get{kind}Image")
    for filtered, name, _ in make(cut(region.image, around), None, **options):
        yield name, sitk.GetArrayViewFromImage(filtered)[inner][region.mask]


def _laplacians(region: Region, kind: str, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    """By passes in machine code; by ITK's own where there is none."""
    image = sitk.GetArrayViewFromImage(region.image)
    if not options.get("sigma"):
        warnings.warn("imageType LoG has no sigma, hence no features", stacklevel=4)
    for sigma in options.get("sigma") or ():
        least = [max(3, math.ceil(sigma / step)) for step in region.spacing]
        if sigma <= 0 or any(n <= few for n, few in zip(image.shape, least, strict=True)):
            warnings.warn("the image is too small for a Laplacian of Gaussian", stacklevel=4)
        elif kernel("recursive", "float64") is None:
            yield from _by_margin(region, kind, {**options, "sigma": [sigma]})
        else:
            name = f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D"
            yield name, laplacian(image, region.spacing, region.box, sigma)[region.mask]


def _wavelets(region: Region, kind: str, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    image = sitk.GetArrayViewFromImage(region.image)
    if kernel("convolve", kind_of(image).name) is None or options.get("level", 1) < 1:
        yield from _by_margin(region, kind, options)
    else:
        yield from wavelets(image, region.box, region.mask, options)


def _needed(region: Region, kind: str, options: Options) -> Box:
    size = region.image.GetSize()[::-1]
    if kind == "LoG":
        width = max(options.get("sigma") or [0])
        margins = [4 + math.ceil(_GAUSS_MARGIN * width / s) for s in region.spacing]
        return grown(region.box, margins, size)
    if kind == "Wavelet":
        return _wavelet_box(region.box, size, options)
    if kind == "Gradient":
        return grown(region.box, (1, 1, 1), size)
    if kind == "LBP2D":
        return _lbp_2d_box(region.box, size, options)
    return region.box


def _wavelet_box(box: Box, size: Iterable[int], options: Options) -> Box:
    """Box with margin; an axis whose border is near stays whole, since the transform wraps."""
    import pywt  # not needed without wavelets

    taps = pywt.Wavelet(options.get("wavelet", "coif1")).dec_len
    margin = (taps + 2) * (options.get("start_level", 0) + options.get("level", 1))
    near = grown(box, (margin,) * 3, size)
    return as_box(
        a if b.start - a.start == a.stop - b.stop == margin else slice(0, n)
        for a, b, n in zip(near, box, size, strict=True)
    )


def _lbp_2d_box(box: Box, size: Iterable[int], options: Options) -> Box:
    """Slices of the box, from their first pixel on.

    Samples between pixels are rounded by where they lie, which tells where two are equal: the
    pixels keep their places.
    """
    across = options.get("force2Ddimension", 0)
    reach = math.ceil(options.get("lbp2DRadius", 1)) + 2
    return as_box(
        b if axis == across else slice(0, min(n, b.stop + reach))
        for axis, (b, n) in enumerate(zip(box, size, strict=True))
    )


def _lbp_3d(region: Region, _: str, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    """From the image's first voxel on, for the same roundings (see `_lbp_2d_box`)."""
    if options.get("force2D"):
        warnings.warn("LBP3D looks across slices, though force2D is on", stacklevel=3)
    reach = lbp3d.margin(options)
    upto = tuple(slice(0, b.stop + reach) for b in region.box)
    image = np.ascontiguousarray(sitk.GetArrayViewFromImage(region.image)[upto])
    _check_finite(image, "LBP3D")
    z, y, x = (b.start for b in region.box)
    yield from lbp3d.lbp_3d(image, region.mask, (z, y, x), options).items()


def _by_extreme(region: Region, kind: str, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    """Filter the region's voxels beside the image's largest one, which sets the scale."""
    whole = sitk.GetArrayViewFromImage(region.image)
    low, high = np.nanmin(whole), np.nanmax(whole)
    largest = max(low, high, key=lambda value: abs(float(value)))
    _check_finite(np.array([largest]), kind)
    line = np.append(region.values, largest).astype(whole.dtype)[None, None]
    make = getattr(imageoperations, f"get{kind}Image")
    for filtered, name, _ in make(sitk.GetImageFromArray(line), None, **options):
        yield name, sitk.GetArrayViewFromImage(filtered)[0, 0, :-1]


_WAYS = {
    **dict.fromkeys(_BY_EXTREME, _by_extreme),
    "Original": _original,
    "LBP3D": _lbp_3d,
    "LoG": _laplacians,
    "Wavelet": _wavelets,
}
