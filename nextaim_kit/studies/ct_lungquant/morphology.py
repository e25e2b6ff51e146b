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


def grown(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Dilation by a ball, whole rows of it at a time: many times as fast as by distances."""
    element = ball(radius_mm, spacing)
    halves = element.sum(axis=2) // 2
    rows = [mask]  # grown along x by 0, 1, 2, ... voxels
    for n in range(1, int(halves.max()) + 1):
        rows.append(rows[-1].copy())
        rows[n][..., n:] |= mask[..., :-n]
        rows[n][..., :-n] |= mask[..., n:]
    whole = np.zeros_like(mask)
    for at in np.argwhere(element.any(axis=2)):
        away = [int(k) - n // 2 for k, n in zip(at, halves.shape, strict=True)]
        to = tuple(slice(max(0, n), min(0, n) or None) for n in away)
        of = tuple(slice(max(0, -n), min(0, -n) or None) for n in away)
        whole[to] |= rows[halves[tuple(at)]][of]
    return whole


def worn(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Erosion by a ball; what reaches the field's end is not worn there."""
    return ~grown(~mask, radius_mm, spacing)


def opened(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Opening by a ball; what reaches the field's end is not worn there."""
    return grown(worn(mask, radius_mm, spacing), radius_mm, spacing)


def closed(mask: Mask, radius_mm: float, spacing: Spacing) -> Mask:
    """Closing by a ball."""
    pads = [int(np.ceil(radius_mm / s)) + 1 for s in spacing]
    wide = grown(np.pad(mask, [(n, n) for n in pads]), radius_mm, spacing)
    whole = worn(wide, radius_mm, spacing)
    return whole[tuple(slice(n, -n) for n in pads)]


def around(mask: Mask, margin_mm: float, spacing: Spacing) -> tuple[slice, ...]:
    """The box of a mask, some mm wider."""
    wider = [int(np.ceil(margin_mm / s)) for s in spacing]
    return tuple(
        slice(max(0, s.start - n), s.stop + n)
        for s, n in zip(ndimage.find_objects(mask.view(np.uint8))[0], wider, strict=True)
    )
