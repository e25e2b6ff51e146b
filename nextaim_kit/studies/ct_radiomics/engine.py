"""One subject's features: pyradiomics' values, computed on the region instead of the image.

The whole image is looked at once, by its header. What is binned, hashed or filtered is the
region's bounding box, with the margin that a filter needs for the values to stay the same.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import imageoperations

from nextaim_kit.studies.ct_radiomics.firstorder import first_order
from nextaim_kit.studies.ct_radiomics.region import (
    Box,
    Region,
    as_box,
    as_image,
    bounding_box,
    check_region,
    cut,
    find_region,
    grown,
    placed,
)
from nextaim_kit.studies.ct_radiomics.settings import Settings
from nextaim_kit.studies.ct_radiomics.shape import shape_features
from nextaim_kit.studies.ct_radiomics.texture import discretize, texture

_SPLINE_MARGIN = 40  # voxels: the B-spline prefilter decays by 0.27 a voxel
_WAVELET_MARGIN = 16  # voxels: coif1 has six taps
_GAUSS_MARGIN = 20  # widths of the Gaussian
_LEFT_OUT = ("glcm_SumAverage", "glcm_MCC")  # the slides count 100 features

radiomics.logger.setLevel(logging.ERROR)


def extract(
    image: sitk.Image, mask: sitk.Image, settings: Settings | None = None
) -> dict[str, float]:
    """Radiomics features of one region.

    Parameters
    ----------
    image : SimpleITK.Image
        CT in HU.
    mask : SimpleITK.Image
        Labels on the grid of `image`.
    settings : Settings, optional
        The study's by default: 100 features.

    Returns
    -------
    dict of str to float
        Named as pyradiomics names them, ``original_shape_Elongation`` and so on. With the default
        settings each value equals ``RadiomicsFeatureExtractor.execute`` within 1e-9 relative.

    Raises
    ------
    DataError
        If mask and image do not fit, or the region has no features (see `find_region`).

    References
    ----------
    van Griethuysen et al., Cancer Research 2017, doi:10.1158/0008-5472.CAN-17-0339

    Notes
    -----
    Three things plain pyradiomics does otherwise: it refuses a mask that fills its whole image,
    gives conventional numbers for a constant region, and wraps around in the bins of a byte image.
    """
    from nextaim_kit.data.images.reading import check_geometry

    settings = settings or Settings()
    options = settings.pyradiomics()
    check_geometry(image, mask, tolerance=options["geometryTolerance"])
    region = find_region(image, mask, settings.label, *minimum(options))
    return features_of(region, settings)


def minimum(options: Mapping[str, Any]) -> tuple[int, int | None]:
    """Directions a region must extend in, and voxels it must exceed."""
    return options.get("minimumROIDimensions", 2), options.get("minimumROISize")


def features_of(region: Region, settings: Settings) -> dict[str, float]:
    """Features of a region that was found and checked (see `extract`)."""
    options = settings.pyradiomics()
    if options.get("normalize"):
        normal = imageoperations.normalizeImage(region.image, **options)
        region = Region(normal, region.mask, region.box)
    if options["resampledPixelSpacing"] is not None and options["interpolator"] is not None:
        region = _resampled(region, options)
    elif options.get("preCrop"):
        pad = (options["padDistance"],) * 3
        around = grown(region.box, pad, region.image.GetSize()[::-1])
        region = Region(cut(region.image, around), region.mask, _seen_from(around, region.box))
    kept = _resegmented(region, options)
    outline = kept if options.get("resegmentShape") else _within(region, kept)
    shape = shape_features(outline.mask, region.spacing)
    result = {f"original_shape_{name}": value for name, value in shape.items()}
    for name, values in _images(kept, settings, options):
        result.update(
            (f"{name}_{feature}", value)
            for feature, value in _intensity_and_texture(values, kept, options).items()
        )
    return result


def _intensity_and_texture(
    values: np.ndarray, region: Region, options: dict[str, Any]
) -> dict[str, float]:
    levels = discretize(values, region.mask, region.spacing, options)
    if levels.present.size == 1:
        warnings.warn("all voxels fall into one gray level: texture says nothing", stacklevel=2)
    order = first_order(
        levels.values,
        levels.counts,
        levels.level_counts,
        math.prod(region.spacing),
        options.get("voxelArrayShift", 0),
    )
    first = {f"firstorder_{name}": value for name, value in order.items()}
    return {**first, **texture(levels, options, without=_LEFT_OUT)}


def _images(
    region: Region, settings: Settings, options: dict[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values (cropped to the region's box) of the original and each filtered image."""
    for kind, special in settings.image_types().items():
        image, box = _with_margin(region, kind, settings)
        make = getattr(imageoperations, f"get{kind}Image")
        made = 0
        for filtered, name, _ in make(image, None, **{**options, **special}):
            made += 1
            yield name, sitk.GetArrayViewFromImage(filtered)[box]
        if kind == "LoG" and made < len(settings.log_sigma):
            warnings.warn("the image is too small for a Laplacian of Gaussian", stacklevel=2)


def _with_margin(region: Region, kind: str, settings: Settings) -> tuple[sitk.Image, Box]:
    """Part of the image that a filter needs, and the region's box within it."""
    size = region.image.GetSize()[::-1]
    if kind == "Original":
        around = region.box
    elif kind == "LoG":
        widths = [max(settings.log_sigma) / s for s in region.spacing]
        around = grown(region.box, [4 + math.ceil(_GAUSS_MARGIN * w) for w in widths], size)
    elif {"wavelet", "level", "start_level"} & set(settings.extra):
        around = as_box(slice(0, n) for n in size)
    else:
        around = _wavelet_box(region.box, size)
    return cut(region.image, around), _seen_from(around, region.box)


def _seen_from(outer: Box, inner: Box) -> Box:
    """Box counted from another box's corner."""
    return as_box(
        slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True)
    )


def _wavelet_box(box: Box, size: tuple[int, int, int]) -> Box:
    """Box with margin; an axis whose border is near stays whole, since the transform wraps."""
    near = grown(box, (_WAVELET_MARGIN,) * 3, size)
    return as_box(
        a if b.start - a.start == a.stop - b.stop == _WAVELET_MARGIN else slice(0, n)
        for a, b, n in zip(near, box, size, strict=True)
    )


def _resampled(region: Region, options: dict[str, Any]) -> Region:
    """Region on pyradiomics' resampling grid, with the padding its filters are used to.

    The grid hangs on the whole image's first voxel, so the mask keeps the whole extent (its
    nearest-neighbor look-up costs nothing); only the image, whose spline needs every voxel it is
    given, is cut.
    """
    size = region.image.GetSize()[::-1]
    labels = np.zeros(size, dtype=np.uint8)
    labels[region.box] = region.mask
    target = np.array(options["resampledPixelSpacing"], dtype=float)[::-1]
    pad = options["padDistance"] + 2
    margins = [
        _SPLINE_MARGIN + math.ceil(pad * max(1, t / s))
        for t, s in zip(target, region.spacing, strict=True)
    ]
    around = grown(region.box, margins, size)
    image, mask = imageoperations.resampleImage(
        cut(region.image, around), as_image(labels, region.image), **options
    )
    array = sitk.GetArrayViewFromImage(mask) == 1
    box = bounding_box(array)
    if box is None:
        raise _lost("resampling", region)
    found = Region(image, np.ascontiguousarray(array[box]), box)
    check_region(found, *minimum(options))
    return found


def _resegmented(region: Region, options: dict[str, Any]) -> Region:
    if options.get("resegmentRange") is None:
        return region
    part = cut(region.image, region.box)
    try:
        kept = imageoperations.resegmentMask(part, as_image(region.mask, part), **options)
    except ValueError as error:
        raise _lost("re-segmentation", region) from error
    array = sitk.GetArrayViewFromImage(kept) == 1
    inner = bounding_box(array)
    assert inner is not None
    found = Region(region.image, np.ascontiguousarray(array[inner]), placed(inner, region.box))
    check_region(found, *minimum(options))
    return found


def _within(region: Region, kept: Region) -> Region:
    """Outline as pyradiomics takes it: the first mask, but in the re-segmented one's box."""
    inner = _seen_from(region.box, kept.box)
    return Region(region.image, region.mask[inner], kept.box)


def _lost(step: str, region: Region) -> Exception:
    from nextaim_kit.errors import DataError

    return DataError(
        f"nothing of the region is left after {step}",
        expected="at least two voxels",
        found=f"a region of {np.count_nonzero(region.mask)} voxels before",
        mend="leave out this subject, or change the range or the voxel size",
    )
