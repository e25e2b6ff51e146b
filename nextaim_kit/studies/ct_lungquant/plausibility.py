"""What is strange about a CT and its masks: a warning for the reader, never a silent number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.studies.ct_lungquant.definitions import LEFT, RIGHT
from nextaim_kit.studies.ct_lungquant.measures import (
    PLAUSIBLE_ML,
    PLAUSIBLE_RATIO,
    Found,
    between,
)

_BONE_HU, _SOFT_HU = 250, (-50, 150)
_LEFT_OUT = "lung without air may be left out"
_LEAST_OF_CUBE = 0.16  # volume of both lungs over the cube of their width, in inspiration [guess]
_BASES_MM = 50.0  # between the lowest slices of both lungs; the domes differ by 30 at most [guess]
_STEP_MM = 4.0  # steps at which a volume is enough to see which way up a body is
# Clear signs only, from what the twin's chests and a few real ones have by far; of the lungs' size.
_FRONT_OVER_BACK = 1.5  # bone in front over bone behind; a chest has a third at the most
_BAND = 0.1  # in front and behind, where bone is counted
_ABOVE = 0.03  # middle of the mediastinum over that of the lungs; the heart lies low
_RIGHTWARD = 0.02  # middle of the heart from that of both lungs


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
    ends = found.cut_ends
    if ends:
        yield f"volume incomplete: the scan ends within the lungs ({' and '.join(ends)})"
    thick = max(found.scan.spacing)
    if thick > 5:
        yield f"thick slices ({thick:g} mm): small lesions are missed"
    low, high = PLAUSIBLE_ML
    if not low <= values["lungs_ml"] <= high and not ends:
        yield f"lungs of {values['lungs_ml']:.0f} ml are unusual for an adult"
    low, high = PLAUSIBLE_RATIO
    right, left = values["right_ml"], values["left_ml"]
    if left > 0 and right > 0 and not ends:
        if not low <= right / left <= high:
            times = f"the right lung is {right / left:.1f} times as large as the left one"
            yield f"{times}: {_LEFT_OUT}"
        yield from _left_out(found)
    yield from _turned(found)


def _left_out(found: Found) -> Iterator[str]:
    """Signs that lung as dense as the chest wall is not in the mask: it is small, or ends high."""
    boxes = ndimage.find_objects(found.lungs[found.box])
    x, _, z = found.scan.spacing
    rise = z * (boxes[LEFT - 1][0].start - boxes[RIGHT - 1][0].start)
    if abs(rise) > _BASES_MM:
        high, low = ("left", "right") if rise > 0 else ("right", "left")
        yield f"the {high} lung ends {abs(rise):.0f} mm above the {low} one: {_LEFT_OUT}"
    across = [boxes[side - 1][2] for side in (RIGHT, LEFT)]
    width = x * (max(s.stop for s in across) - min(s.start for s in across))
    expected = _LEAST_OF_CUBE * width**3 / 1000
    if (ml := found.values["lungs_ml"]) < expected:
        yield f"lungs of {ml:.0f} ml in a chest of {expected:.0f} ml or more: {_LEFT_OUT}"


def _turned(found: Found) -> Iterator[str]:
    """Axes whose labels contradict the body: spine in front, heart above, heart at the right.

    Only what is clear is said; a mirrored heart (dextrocardia) exists, so these are questions.
    """
    step = tuple(slice(None, None, max(1, int(_STEP_MM / s))) for s in found.scan.spacing[::-1])
    lungs = found.lungs[step]
    if not ((lungs == RIGHT).any() and (lungs == LEFT).any()):
        return
    box = ndimage.find_objects((lungs > 0).view(np.uint8))[0]
    hu, lungs = sitk.GetArrayViewFromImage(found.scan.image)[step][box[0]], lungs[box[0]]
    if _spine_in_front(hu, lungs, box[1]):
        yield "the spine seems to lie in front: front and back may be mislabeled"
    mediastinum = between(lungs == RIGHT, lungs == LEFT)
    mediastinum &= (hu > _SOFT_HU[0]) & (hu < _SOFT_HU[1])
    if not mediastinum.any():
        return
    if _height(mediastinum) - _height(lungs > 0) > _ABOVE * len(lungs):
        yield "the heart seems to lie above: head and feet may be mislabeled"
    elif _heart_at_right(mediastinum, lungs):
        yield "the heart seems to lie at the right: left and right may be mislabeled"


def _spine_in_front(hu: NDArray[np.int16], lungs: NDArray[np.uint8], rows: slice) -> bool:
    """Whether there is more bone at the lungs' front end than behind, between their middles.

    Sternum and heart, which may hold contrast medium as dense as bone, are no match for a spine.
    """
    first, last = (int(np.nonzero(lungs == side)[2].mean()) for side in (RIGHT, LEFT))
    bone = (hu[:, :, first:last] > _BONE_HU).sum(axis=(0, 2))
    width = max(1, int(_BAND * (rows.stop - rows.start)))
    front = bone[max(0, rows.start - width) : rows.start + width].sum()
    back = bone[rows.stop - width : rows.stop + width].sum()
    return bool(front > _FRONT_OVER_BACK * back)


def _height(mask: NDArray[np.bool_]) -> float:
    area = mask.sum(axis=(1, 2))
    return float((area * np.arange(len(area))).sum() / area.sum())


def _heart_at_right(mediastinum: NDArray[np.bool_], lungs: NDArray[np.uint8]) -> bool:
    """Whether the mediastinum leans to the right in the lungs' lower middle, where the heart is."""
    part = slice(len(lungs) // 4, len(lungs) // 2 + 1)
    x = np.nonzero(mediastinum[part])[2]
    edges = np.flatnonzero((lungs[part] > 0).any(axis=(0, 1)))
    if not len(x):
        return False
    middle, width = (edges[0] + edges[-1]) / 2, edges[-1] - edges[0]
    return bool(x.mean() < middle - _RIGHTWARD * width)
