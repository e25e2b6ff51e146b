"""Masks worn and grown by millimeters, whatever the voxels' shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Spacing = tuple[float, ...]  # mm, in the order of the axes


def ball(radius_mm: float, spacing: Spacing) -> Mask:
    """Voxels within a distance of the middle one."""
    steps = [np.arange(-int(radius_mm / s), int(radius_mm / s) + 1) * s for s in spacing]
    away = np.sqrt(sum(g**2 for g in np.meshgrid(*steps, indexing="ij")))
    return away <= radius_mm


def opened(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Opening by a ball; what reaches the field's end is not worn there."""
    core = ndimage.distance_transform_edt(mask, spacing) > radius_mm
    if not core.any():
        return core
    return ndimage.distance_transform_edt(~core, spacing) <= radius_mm


def closed(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Closing by a ball, by distances: as exact as by its voxels, and faster."""
    pads = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
    wide = np.pad(mask, [(n, n) for n in pads])
    grown = ndimage.distance_transform_edt(~wide, spacing) <= radius_mm
    whole = ndimage.distance_transform_edt(grown, spacing) > radius_mm
    return whole[tuple(slice(n, -n) for n in pads)]


def around(mask: Mask, margin_mm: float, spacing: Spacing) -> tuple[slice, ...]:
    """The box of a mask, some mm wider."""
    wider = [int(np.ceil(margin_mm / s)) for s in spacing]
    return tuple(
        slice(max(0, s.start - n), s.stop + n)
        for s, n in zip(ndimage.find_objects(mask.view(np.uint8))[0], wider, strict=True)
    )
