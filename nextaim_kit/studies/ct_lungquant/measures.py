"""What is measured of a CT: volumes, share that is affected, class of severity, kind and place."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.studies.ct_lungquant.definitions import (
    BILATERAL_SHARE,
    LEFT,
    PERIPHERAL_MM,
    RIGHT,
    ct_ss,
    lesion_type,
)
from nextaim_kit.studies.ct_lungquant.morphology import around
from nextaim_kit.studies.ct_lungquant.resampling import planes
from nextaim_kit.studies.ct_lungquant.scans import Scan, save_mask

AERATED_HU = -320.0  # lung and ground glass below, soft tissue above
PLAUSIBLE_ML = (1500.0, 9000.0)  # both lungs of an adult who has breathed in [guess]
PLAUSIBLE_RATIO = (0.7, 1.7)  # volume of the right lung over that of the left one [guess]
_ENDS = (("below", "above"), ("in front", "behind"), ("at the right", "at the left"))
_TIP = 0.02  # of the largest plane's area: lungs that reach an end with no more are not cut
_UNSURE = (0.1, 0.6)  # probabilities from which an aerated voxel, and a dense one, are lung
CONSOLIDATED_HU = -260.0  # midway between ground glass and soft tissue: where a voxel is half full


@dataclass(frozen=True)
class Maps:
    """Where software sees the lungs and lesions: probabilities on a grid of its own.

    Attributes
    ----------
    right, left, lesions : SimpleITK.Image
        float32 in [0, 1], of one grid with axes LPS; nothing is seen outside.
    warnings : tuple of str
    """

    right: sitk.Image
    left: sitk.Image
    lesions: sitk.Image
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A CT with its masks, on its own voxels (axes LPS), and what was measured.

    Attributes
    ----------
    scan : Scan
    lungs : array of uint8, shape (z, y, x)
        1: the patient's right lung, 2: the left one.
    lesions : array of uint8, shape (z, y, x)
        1: ground glass, 2: consolidation; within the lungs.
    values : dict
        See `measure`.
    """

    scan: Scan
    lungs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    values: dict[str, Any]

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """Smallest box that holds the lungs, along z, y, x; of no voxels where there is none."""
        front, top = (np.bitwise_or.reduce(self.lungs, axis=axis) for axis in (1, 0))
        there = [np.flatnonzero(n.any(axis=a)) for n, a in ((front, 1), (top, 1), (top, 0))]
        z, y, x = (slice(n[0], n[-1] + 1) if n.size else slice(0, 0) for n in there)
        return z, y, x

    @cached_property
    def cut_ends(self) -> list[str]:
        """Ends of the scan that the lungs reach with more than a tip."""
        ends: list[str] = []
        for axis, (span, n) in enumerate(zip(self.box, self.lungs.shape, strict=True)):
            if span.start == 0 or span.stop == n:
                area, others = np.zeros(n, int), tuple({0, 1, 2} - {axis})
                area[span] = np.count_nonzero(self.lungs[self.box], axis=others)
                reached = zip(_ENDS[axis], (area[0], area[-1]), strict=True)
                ends += [name for name, there in reached if there > _TIP * area.max()]
        return ends

    def save(self, lungs: Path, lesions: Path) -> None:
        """Write the masks as NIfTI, packed where a path ends in ``.gz``."""
        save_mask(self.lungs, self.scan.image, lungs)
        save_mask(self.lesions, self.scan.image, lesions)


def measure(scan: Scan, maps: Maps, *, consolidated_hu: float = CONSOLIDATED_HU) -> Found:
    """Put maps on the CT's own voxels, a slice at a time, and count.

    Parameters
    ----------
    scan : Scan
    maps : Maps
    consolidated_hu : float
        HU from which a voxel of a lesion is consolidation.

    Returns
    -------
    Found
        With the values ``right_ml``, ``left_ml``, ``lungs_ml``, ``lesions_ml``,
        ``lesions_right_ml``, ``lesions_left_ml``; ``involvement``, ``involvement_right``,
        ``involvement_left`` in %; ``ct_ss``; of the lesions' volume, NaN where there is none, the
        shares ``ground_glass``, ``consolidation``, ``left``, ``upper`` (above the middle of the
        lungs' height) and ``peripheral`` (within 20 mm of chest wall or diaphragm); ``type``,
        ``bilateral``; ``complete``, whether the lungs end within the scan; and ``mean_hu`` of
        the lungs. Of a lung that was not found, the involvement is NaN.
    """
    hu = sitk.GetArrayViewFromImage(scan.image)
    lungs, lesions = blank_mask(hu.shape), blank_mask(hu.shape)
    total = 0
    for part, (right, left, ill) in planes((maps.right, maps.left, maps.lesions), scan.image):
        lung = lung_of(right + left, hu[part])
        lungs[part] = lung * (RIGHT + (left > right).view(np.uint8))
        lesions[part] = (lung & (ill >= 0.5)) * (1 + (hu[part] >= consolidated_hu).view(np.uint8))
        total += int(hu[part][lung].sum(dtype=np.int64))
    found = Found(scan, lungs, lesions, {})
    inner = lungs[found.box], lesions[found.box]
    values = count(*inner, scan.spacing) | kind(inner[1]) | _place(*inner, maps)
    values["complete"] = not found.cut_ends
    values["mean_hu"] = total / n if (n := int(np.count_nonzero(inner[0]))) else np.nan
    return replace(found, values=values)


def blank_mask(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros, of which a page takes memory only once it is written to; NumPy's pages are of 2 MB."""
    pages = mmap.mmap(-1, max(1, int(np.prod(shape))), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, np.uint8, int(np.prod(shape))).reshape(shape)


def lung_of(share: NDArray[np.float32], hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """What is lung, by probability and HU: at a border, where probability is unsure, HU tell."""
    unlikely, likely = _UNSURE
    return np.where(hu < AERATED_HU, share > unlikely, share > likely)


def count(lungs: NDArray, lesions: NDArray, spacing: tuple[float, ...]) -> dict[str, Any]:
    """Volumes in ml, involvement in % and CT-SS of masks, shape (z, y, x); mm along x, y, z."""
    voxel = float(np.prod(spacing)) / 1000
    counts = np.zeros(5, np.int64)
    for sides, kinds in zip(lungs, lesions, strict=True):
        right, left, ill = sides == RIGHT, sides == LEFT, kinds > 0
        there = (right, left, ill, right & ill, left & ill)
        counts += [np.count_nonzero(mask) for mask in there]
    names = ("right", "left", "lungs", "lesions", "lesions_right", "lesions_left")
    voxels = dict(zip(names, (*counts[:2], counts[:2].sum(), *counts[2:]), strict=True))
    values: dict[str, Any] = {f"{name}_ml": voxel * n for name, n in voxels.items()}
    values["involvement"] = _percent(values["lesions_ml"], values["lungs_ml"])
    for side in ("right", "left"):
        values[f"involvement_{side}"] = _percent(values[f"lesions_{side}_ml"], values[f"{side}_ml"])
    share = values["involvement"]
    return values | {"ct_ss": ct_ss(share) if np.isfinite(share) else None}


def _percent(part: float, whole: float) -> float:
    return float(100 * part / whole) if whole else np.nan


def kind(lesions: NDArray) -> dict[str, Any]:
    """Shares of ground glass (1) and consolidation (2) in a mask of lesions, and their type."""
    glass, solid = (sum(int(np.count_nonzero(p == kind)) for p in lesions) for kind in (1, 2))
    if not glass + solid:
        return {"ground_glass": np.nan, "consolidation": np.nan, "type": "none"}
    dense = float(solid / (glass + solid))
    return {"ground_glass": 1 - dense, "consolidation": dense, "type": lesion_type(dense)}


def _place(lungs: NDArray, lesions: NDArray, maps: Maps) -> dict[str, Any]:
    """Where the lesions are; their depth is counted on the maps' coarser grid."""
    by_slice = np.array([np.count_nonzero(plane) for plane in lesions])
    ill = int(by_slice.sum())
    if not ill:
        return {"left": np.nan, "upper": np.nan, "peripheral": np.nan, "bilateral": False}
    there = np.flatnonzero([plane.any() for plane in lungs])
    middle = (there[0] + there[-1]) / 2
    left = sum(int(np.count_nonzero(b[a == LEFT])) for a, b in zip(lungs, lesions, strict=True))
    return {
        "left": left / ill,
        "upper": float(by_slice[np.arange(len(by_slice)) > middle].sum() / ill),
        "peripheral": _peripheral(maps),
        "bilateral": bool(BILATERAL_SHARE <= left / ill <= 1 - BILATERAL_SHARE),
    }


def _peripheral(maps: Maps) -> float:
    right, left, ill = (
        sitk.GetArrayViewFromImage(m) for m in (maps.right, maps.left, maps.lesions)
    )
    lung = right + left >= 0.5
    ill = (ill >= 0.5) & lung
    if not ill.any():
        return np.nan
    inside = lung | between(lung & (right >= left), lung & (left > right))
    spacing = maps.right.GetSpacing()[::-1]
    box = around(inside, 0, spacing)
    depth = ndimage.distance_transform_edt(np.pad(inside[box], 1), spacing)[1:-1, 1:-1, 1:-1]
    # The outermost voxel's center is half a voxel from the wall.
    return float((depth[ill[box]] - min(spacing) / 2 <= PERIPHERAL_MM).mean())


def between(right: NDArray[np.bool_], left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What lies between the lungs in a row from right to left: not the chest wall.

    Parameters
    ----------
    right, left : array of bool, shape (z, y, x)
    """
    column = np.arange(right.shape[2])
    last = np.where(right.any(axis=2), right.shape[2] - 1 - right[:, :, ::-1].argmax(axis=2), -1)
    first = np.where(left.any(axis=2), left.argmax(axis=2), -1)
    between = (column > last[..., None]) & (column < first[..., None])
    return between & (last >= 0)[..., None]
