"""One subject's features: pyradiomics' values, computed on the region instead of the image.

The whole image is looked at once, by its header. What is binned, hashed or filtered is the
region's bounding box, with the margin that a filter needs for the values to stay the same.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import imageoperations

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.firstorder import first_order
from nextaim_kit.studies.ct_radiomics.image_types import images
from nextaim_kit.studies.ct_radiomics.region import (
    Region,
    as_image,
    bounding_box,
    check_region,
    chosen_label,
    cut,
    find_region,
    grown,
    placed,
    seen_from,
)
from nextaim_kit.studies.ct_radiomics.selection import Features, computed, with_deprecated
from nextaim_kit.studies.ct_radiomics.settings import Settings, as_settings
from nextaim_kit.studies.ct_radiomics.shape import shape_features
from nextaim_kit.studies.ct_radiomics.shape2d import shape_2d
from nextaim_kit.studies.ct_radiomics.texture import Levels, discretize, texture

_SPLINE_MARGIN = 40  # voxels: the B-spline prefilter decays by 0.27 a voxel

radiomics.logger.setLevel(logging.ERROR)


def extract(
    image: sitk.Image, mask: sitk.Image, settings: Settings | str | Path | None = None
) -> dict[str, float]:
    """Radiomics features of one region.

    Parameters
    ----------
    image : SimpleITK.Image
        CT in HU.
    mask : SimpleITK.Image
        Labels on the grid of `image`.
    settings : Settings, str or Path, optional
        Or a pyradiomics parameter file. The study's by default: 100 features.

    Returns
    -------
    dict of str to float
        Named as pyradiomics names them, ``original_shape_Elongation`` and so on. Each value equals
        that of ``RadiomicsFeatureExtractor.execute`` within 1e-9 relative.

    Raises
    ------
    RequestError
        If a parameter file cannot be taken (see `Settings`).
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
    from nextaim_kit.data.images.reading import of_channel

    settings = as_settings(settings)
    channel = settings.pyradiomics().get("label_channel")
    mask = mask if channel is None else of_channel(mask, channel)
    return features_of(region_of(image, mask, settings.label, settings), settings)


def region_of(image: sitk.Image, mask: sitk.Image, label: int | None, settings: Settings) -> Region:
    """Region that a mask marks, checked; with ``correctMask`` a mask may have a grid of its own.

    Raises
    ------
    DataError
        If mask and image do not fit, or the region has no features (see `find_region`).
    """
    options = settings.pyradiomics()
    laid, drawn = on_grid(image, mask, label, options)
    label = label if drawn is None else 1
    return replace(find_region(image, laid, label, *minimum(options)), drawn=drawn)


def on_grid(
    image: sitk.Image, mask: sitk.Image, label: int | None, options: Mapping[str, Any]
) -> tuple[sitk.Image, sitk.Image | None]:
    """Mask on the grid of its image; if ``correctMask`` had to lay it there, also as it was drawn.

    Raises
    ------
    DataError
        If mask and image do not fit.
    """
    from nextaim_kit.data.images.reading import check_geometry

    try:
        check_geometry(image, mask, tolerance=options["geometryTolerance"])
    except DataError as error:
        if not options.get("correctMask"):
            raise
        return _corrected(image, mask, label, error)
    return mask, None


def _corrected(
    image: sitk.Image, mask: sitk.Image, label: int | None, apart: DataError
) -> tuple[sitk.Image, sitk.Image]:
    """Mask of 0 and 1 on the image's grid, by nearest neighbor, and on its own."""
    drawn = sitk.Equal(mask, float(chosen_label(sitk.GetArrayViewFromImage(mask), label)))
    try:
        laid = imageoperations.checkMask(image, drawn, correctMask=True, minimumROIDimensions=1)[1]
    except ValueError as error:
        raise DataError(
            "the mask cannot be corrected",
            expected="a region of several voxels whose corners are inside the image",
            found=f"{apart.what}; {' '.join(str(error).split())}",
            mend="check that the mask was drawn on this image",
        ) from error
    warnings.warn(f"{apart.what}: the mask was laid onto the image's grid", stacklevel=3)
    return laid, drawn


def minimum(options: Mapping[str, Any]) -> tuple[int, int | None]:
    """Directions a region must extend in, and voxels it must exceed."""
    return options.get("minimumROIDimensions", 2), options.get("minimumROISize")


def features_of(region: Region, settings: Settings) -> dict[str, float]:
    """Features of a region that was found and checked (see `extract`)."""
    options = settings.pyradiomics()
    wanted = computed(settings.features())
    if options.get("normalize"):
        normal = imageoperations.normalizeImage(region.image, **options)
        region = replace(region, image=normal)
    if options["resampledPixelSpacing"] is not None and options["interpolator"] is not None:
        region = _resampled(region, options)
    elif options.get("preCrop"):
        pad = (options["padDistance"],) * 3
        around = grown(region.box, pad, region.image.GetSize()[::-1])
        region = Region(cut(region.image, around), region.mask, seen_from(around, region.box))
    kept = _resegmented(region, options)
    outline = kept if options.get("resegmentShape") else _within(region, kept)
    result = _outline(outline, wanted, settings, options)
    if all(kind.startswith("shape") for kind in wanted):
        return result
    for name, values, merged in images(kept, settings.image_types(), options):
        levels = discretize(values, kept.mask, kept.spacing, merged)
        del values  # makes room: texture looks at levels alone, the next filter at neither
        found = _intensity_and_texture(levels, wanted, merged)
        del levels
        result.update((f"{name}_{feature}", value) for feature, value in found.items())
    return result


def _outline(
    region: Region, wanted: Features, settings: Settings, options: Mapping[str, Any]
) -> dict[str, float]:
    result = {}
    if "shape" in wanted:
        found = with_deprecated("shape", shape_features(region.mask, region.spacing))
        result = {f"original_shape_{name}": found[name] for name in wanted["shape"]}
    if "shape2D" in wanted:
        found = shape_2d(region, options, asked="shape2D" in settings.classes())
        result |= {f"original_shape2D_{name}": found[name] for name in wanted["shape2D"] if found}
    return result


def _intensity_and_texture(
    levels: Levels, wanted: Features, options: dict[str, Any]
) -> dict[str, float]:
    """Features of the classes other than shape, in the order of `wanted`."""
    kinds = [kind for kind in wanted if not kind.startswith("shape")]
    if levels.present.size == 1:
        warnings.warn("all voxels fall into one gray level: texture says nothing", stacklevel=2)
    found = {}
    if "firstorder" in kinds:
        volume, shift = math.prod(levels.spacing), options.get("voxelArrayShift", 0)
        order = first_order(levels.values, levels.counts, levels.level_counts, volume, shift)
        order = with_deprecated("firstorder", order)
        found = {f"firstorder_{name}": value for name, value in order.items()}
    patterns = [kind for kind in kinds if kind != "firstorder"]
    idle = [f"glcm_{n}" for n in ("MCC", "SumAverage") if n not in wanted.get("glcm", ())]
    found |= texture(levels, options, classes=patterns, without=idle)
    names = [f"{kind}_{name}" for kind in kinds for name in wanted[kind]]
    return {name: found[name] for name in names}


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
    part = cut(region.image, grown(region.box, margins, size))
    if region.drawn is None:
        pair = (part, as_image(labels, region.image))
    else:
        pair = (region.image, region.drawn)
    image, mask = imageoperations.resampleImage(*pair, **options)
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
    inner = seen_from(region.box, kept.box)
    return Region(region.image, region.mask[inner], kept.box)


def _lost(step: str, region: Region) -> Exception:
    return DataError(
        f"nothing of the region is left after {step}",
        expected="at least two voxels",
        found=f"a region of {np.count_nonzero(region.mask)} voxels before",
        mend="leave out this subject, or change the range or the voxel size",
    )
