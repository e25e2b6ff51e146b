"""All features of a region by IBSI's definitions."""

from __future__ import annotations

import warnings

import SimpleITK as sitk

from nextaim_kit.data.images.reading import check_geometry
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.intensity import intensity_features
from nextaim_kit.studies.ct_radiomics.ibsi.morphology import morphology
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import Prepared, levels_of, prepare
from nextaim_kit.studies.ct_radiomics.ibsi.texture import texture_features
from nextaim_kit.studies.ct_radiomics.region import Region, find_region


def extract(image: sitk.Image, mask: sitk.Image, setup: Configuration) -> dict[str, float]:
    """Features of one region by IBSI's definitions.

    Parameters
    ----------
    image : SimpleITK.Image
        CT in HU.
    mask : SimpleITK.Image
        Labels on the grid of `image`.
    setup : Configuration
        ``configuration("C")``, or one of your own.

    Returns
    -------
    dict of str to float
        As `features_of` gives them.

    Raises
    ------
    DataError
        If mask and image do not fit, or the region has no features (see `find_region`).
    """
    return features_of(region_of(image, mask, setup.label), setup)


def region_of(image: sitk.Image, mask: sitk.Image, label: int | None = None) -> Region:
    """Region that a mask marks, checked; see `extract`."""
    check_geometry(image, mask)
    return find_region(image, mask, label)


def features_of(region: Region, setup: Configuration) -> dict[str, float]:
    """Features of a region that was found and checked, under their IBSI tags.

    Parameters
    ----------
    region : Region
    setup : Configuration

    Returns
    -------
    dict of str to float
        25 of morphology, 49 of intensity, and per way of aggregation 41 of co-occurrence and runs
        and 54 of zones, distances, tone and dependence.

    Raises
    ------
    DataError
        If nothing is left to measure (see `prepare`).

    References
    ----------
    Zwanenburg et al., Radiology 2020, doi:10.1148/radiol.2020191145; manual arXiv:1612.07003
    """
    return of_prepared(prepare(region, setup), setup)


def of_prepared(region: Prepared, setup: Configuration) -> dict[str, float]:
    """Features of a region that was prepared already; see `features_of`."""
    levels = levels_of(region, setup)
    inside = levels[region.kept]
    if inside.min() == inside.max():
        warnings.warn("all voxels fall into one gray level: texture says nothing", stacklevel=2)
    return {
        **morphology(region),
        **intensity_features(region, setup, inside),
        **texture_features(levels, region.outline, setup),
    }
