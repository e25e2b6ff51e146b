"""What is strange about a CT and its masks: a warning for the reader, never a silent number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.studies.ct_lungquant.measures import Found
from nextaim_kit.studies.ct_lungquant.tree import LEFT, RIGHT

_BONE_HU, _SOFT_HU = 250, (-50, 150)
_SIZES_ML = (1000.0, 9000.0)  # both lungs of an adult at scan: below expiration, above emphysema
_UNEVEN = 3.0  # one lung's volume over the other's
_STEP = 3  # every third voxel along each axis is enough to see which way up a body is


def doubts(found: Found) -> Iterator[str]:
    """Say what is strange: scans that cut the lungs, odd volumes, axes that seem mislabeled.

    Parameters
    ----------
    found : Found

    Yields
    ------
    str
    """
    values = found.values
    ends = _cut(found.lungs)
    if ends:
        yield f"volume incomplete: the scan ends within the lungs ({' and '.join(ends)})"
    thick = max(found.scan.spacing)
    if thick > 5:
        yield f"thick slices ({thick:g} mm): small lesions are missed"
    low, high = _SIZES_ML
    if not low <= values["lungs_ml"] <= high and not ends:
        yield f"lungs of {values['lungs_ml']:.0f} ml are unusual for an adult"
    sides = sorted((values["right_ml"], values["left_ml"]))
    if sides[0] > 0 and sides[1] / sides[0] > _UNEVEN:
        yield f"one lung is {sides[1] / sides[0]:.1f} times as large as the other"
    yield from _turned(found)


def _cut(lungs: NDArray[np.uint8]) -> list[str]:
    """Ends of the scan that the lungs reach with more than a tip."""
    most = max(int(np.count_nonzero(plane)) for plane in lungs)
    ends = {"below": lungs[0], "above": lungs[-1]}
    return [name for name, plane in ends.items() if np.count_nonzero(plane) > 0.02 * most]


def _turned(found: Found) -> Iterator[str]:
    """Axes whose labels contradict the body: spine in front, lung bases above, heart at the right.

    Only what is clear is said; a mirrored heart (dextrocardia) exists, so these are questions.
    """
    step = (slice(None, None, _STEP),) * 3
    hu = sitk.GetArrayViewFromImage(found.scan.image)[step]
    lungs = found.lungs[step]
    if not ((lungs == RIGHT).any() and (lungs == LEFT).any()):
        return
    y = np.nonzero(lungs)[1].mean()
    within = np.flatnonzero((lungs > 0).any(axis=(1, 2)))
    chest = slice(within[0], within[-1] + 1)
    bone = np.nonzero(ndimage.binary_opening(hu[chest] > _BONE_HU))
    height = np.ptp(np.flatnonzero((lungs > 0).any(axis=(0, 2))))
    if len(bone[1]) and bone[1].mean() < y - 0.15 * height:
        yield "the spine seems to lie in front: front and back may be mislabeled"
    area = (lungs > 0).sum(axis=(1, 2))[chest]
    third = max(1, len(area) // 3)
    if area[:third].sum() * 1.4 < area[-third:].sum():
        yield "the lungs seem to be upside down: head and feet may be mislabeled"
    elif _heart_at_right(hu[chest], lungs[chest]):
        yield "the heart seems to lie at the right: left and right may be mislabeled"


def _heart_at_right(hu: NDArray[np.int16], lungs: NDArray[np.uint8]) -> bool:
    """Whether the soft tissue between the lungs, in their lower middle, leans to the right."""
    part = slice(len(hu) // 4, len(hu) // 2)
    soft = (hu[part] > _SOFT_HU[0]) & (hu[part] < _SOFT_HU[1])
    sides = [(lungs[part] == side).any(axis=2) for side in (RIGHT, LEFT)]
    n = hu.shape[2]
    last = n - 1 - (lungs[part] == RIGHT)[:, :, ::-1].argmax(axis=2)
    first = (lungs[part] == LEFT).argmax(axis=2)
    columns = np.arange(n)
    between = (columns > last[..., None]) & (columns < first[..., None])
    between &= (sides[0] & sides[1])[..., None]
    heart = soft & between
    if not heart.any():
        return False
    x = np.nonzero(heart)[2]
    edges = np.nonzero((lungs[part] > 0).any(axis=(0, 1)))[0]
    middle = (edges[0] + edges[-1]) / 2
    return bool(x.mean() < middle - 0.02 * (edges[-1] - edges[0]))
