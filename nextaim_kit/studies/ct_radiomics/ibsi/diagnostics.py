"""What IBSI asks to report of image and masks after each step of the preparation.

References
----------
Zwanenburg et al., arXiv:1612.07003, section 4.7 (diagnostic features)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk

from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.grid import Grid
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import Prepared
from nextaim_kit.studies.ct_radiomics.region import Region, as_box, bounding_box

_AXES = "xyz"


def diagnostics(region: Region, prepared: Prepared, setup: Configuration) -> dict[str, float]:
    """Sizes, spacings and intensities under their IBSI tags: 18 of the image, 45 of the masks.

    Parameters
    ----------
    region : Region
        As it was found.
    prepared : Prepared
        What was made of it.
    setup : Configuration
    """
    first = sitk.GetArrayViewFromImage(region.image)
    grid = Grid.of(region.image, setup.spacing or (0, 0, 0))
    whole = as_box(slice(0, n) for n in grid.size)
    later = (
        first
        if setup.spacing is None
        else np.rint(grid.interpolate(region.image, whole, setup.spline))
    )
    before = first[region.box]
    return {
        **_of_image("init", first, region.spacing),
        **_of_image("interp", later, grid.spacing),
        **_of_masks("init", first.shape, before, region.mask, region.mask),
        **_of_masks("interp", later.shape, prepared.values, prepared.outline, prepared.outline),
        **_of_masks("reseg", later.shape, prepared.values, prepared.kept, prepared.outline),
    }


def _of_image(
    stage: str, values: np.ndarray, spacing: tuple[float, float, float]
) -> dict[str, float]:
    found = dict(zip((f"img_dim_{a}" for a in _AXES), values.shape[::-1], strict=True))
    found |= dict(zip((f"vox_dim_{a}" for a in _AXES), spacing[::-1], strict=True))
    found |= {f"{name}_int": getattr(values, name)() for name in ("mean", "min", "max")}
    return {f"{name}_{stage}_img": float(value) for name, value in found.items()}


def _of_masks(
    stage: str, size: tuple[int, ...], values: np.ndarray, kept: np.ndarray, outline: np.ndarray
) -> dict[str, float]:
    found: dict[str, Any] = dict(zip((f"int_mask_dim_{a}" for a in _AXES), size[::-1], strict=True))
    for name, mask in (("int", kept), ("morph", outline)):
        box = bounding_box(mask)
        assert box is not None
        for axis, part in zip(_AXES, box[::-1], strict=True):
            found[f"{name}_mask_bb_dim_{axis}"] = part.stop - part.start
        found[f"{name}_mask_vox_count"] = np.count_nonzero(mask)
    found |= {f"int_mask_{n}_int": getattr(values[kept], n)() for n in ("mean", "min", "max")}
    return {f"{name}_{stage}_roi": float(value) for name, value in found.items()}
