"""Shape of a region within one slice: pyradiomics' ``shape2D``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from radiomics import shape2D

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.region import Region, as_image, cut

_PLANES = ("axial", "coronal", "sagittal")


def shape_2d(region: Region, options: Mapping[str, Any], *, asked: bool) -> dict[str, float]:
    """Shape features of a region of one slice, named and valued as pyradiomics has them.

    Parameters
    ----------
    region : Region
    options : mapping
        ``force2D`` has to be on, ``force2Ddimension`` is the axis (z, y, x) across the slice.
    asked : bool
        Whether the class was asked for by name, not by asking for all.

    Returns
    -------
    dict of str to float
        Lengths in mm, areas in mm². None where ``force2D`` is off, or where the class was not
        asked for by name and the region has several slices. A coronal slice, which 3.0.1 leaves
        out as it mixes up two axes, is measured.

    Raises
    ------
    DataError
        If the class was asked for by name, and the region has several slices.
    """
    if not options.get("force2D"):
        if asked:
            warnings.warn("shape2D is left out: force2D is off", stacklevel=2)
        return {}
    axis = options.get("force2Ddimension", 0)
    slices = region.mask.shape[axis]
    if slices > 1 and asked:
        raise DataError(
            "the region has no two-dimensional shape",
            expected=f"a region in one {_PLANES[axis]} slice (force2Ddimension {axis})",
            found=f"{slices} slices",
            mend="leave out the class shape2D, or draw the region in one slice",
        )
    if slices > 1:
        warnings.warn("shape2D is left out: the region has several slices", stacklevel=2)
        return {}
    outline = as_image(region.mask, cut(region.image, region.box))
    found = shape2D.RadiomicsShape2D(outline, outline, force2D=True, force2Ddimension=axis)
    found.enableAllFeatures()
    found.enableFeatureByName("SphericalDisproportion")
    return {name: float(value) for name, value in found.execute().items()}
