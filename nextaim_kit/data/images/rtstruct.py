"""Contours of a DICOM RTSTRUCT, drawn onto the grid of their image."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import SimpleITK as sitk

from nextaim_kit.data.images.dicom import named, opened
from nextaim_kit.data.images.regions import (
    OFF_GRID,
    affine,
    as_mask,
    choose,
    elsewhere,
    grid_of,
    parse,
)
from nextaim_kit.errors import DataError

Reading = Literal["holes", "xor", "union"]
READINGS: tuple[Reading, ...] = ("holes", "xor", "union")
# A contour with this share of the area of the one around it: a repeat as likely as a hole.
_NEARLY_THE_SAME = 0.9


def read_rtstruct(
    path: Path,
    like: sitk.Image | None,
    number: int | None = None,
    roi: str = "",
    contours: Reading = "holes",
) -> sitk.Image:
    """Rasterize one ROI of an RTSTRUCT slice by slice.

    A voxel lies inside a contour when its center does; a keyhole is outside (DICOM PS3.3
    C.8.8.6). A warning gives the volumes where the readings of several contours differ or a
    contour is there twice, and names points and slices between contours that have none.

    Parameters
    ----------
    path, like, number, roi
        As in `images.read_mask`.
    contours : {"holes", "xor", "union"}, optional
        What several contours of one slice mean. ``holes``: their union, without those that lie
        within another. ``xor``: what lies in an odd number of them, as many programs read; so are
        contours of the type CLOSEDPLANAR_XOR. ``union``: all that lies in any.

    Returns
    -------
    SimpleITK.Image
        uint8 mask of the geometry of `like`.

    Raises
    ------
    DataError
        If a contour is open, lies between slices, or is so nearly the same as the one around it
        that `contours` has to say whether it is a hole.
    """
    like = grid_of(like, path)
    data = parse(path, opened)
    names = parse(path, lambda _: _roi_names(data))
    chosen = choose(names, number, roi, path, kind="ROI")
    title = f"{named(path)}, ROI {names[chosen]}"
    if contours not in READINGS:
        raise DataError(
            f"{title}: no such reading", expected=", ".join(READINGS), found=f"contours={contours}"
        )
    closed, kinds = parse(path, lambda _: _contours(data, chosen))
    _check_closed(kinds, title)
    if kinds["CLOSEDPLANAR_XOR"]:
        contours = "xor"
    slices = _by_slice(closed, like, path)
    out = {reading: np.zeros(like.GetSize()[::-1], bool) for reading in READINGS}
    for z, polygons in slices.items():
        parts = _parts(polygons, out[contours].shape[1:])
        if contours == "holes":
            _check_distinct(parts, z, title)
        for reading in READINGS:
            out[reading][z] = combined(parts, reading)
    _tell(out, contours, slices, title, float(np.prod(like.GetSpacing())) / 1000)
    return as_mask(out[contours], like, path)


def _roi_names(data: pydicom.Dataset) -> dict[int, str]:
    return {int(r.ROINumber): str(r.ROIName) for r in data.get("StructureSetROISequence") or []}


def _contours(data: pydicom.Dataset, number: int) -> tuple[list[np.ndarray], Counter[str]]:
    """Closed contours of one ROI, each (points, 3) in mm, and how many there are of each type."""
    closed, kinds = [], Counter[str]()
    for item in data.get("ROIContourSequence") or []:
        if int(item.ReferencedROINumber) != number:
            continue
        for contour in item.get("ContourSequence") or []:
            points = np.array(contour.get("ContourData") or [], float).reshape(-1, 3)
            if len(points) != int(contour.get("NumberOfContourPoints") or len(points)):
                raise ValueError("a contour has fewer points than it says")
            if not np.isfinite(points).all():
                raise ValueError("a contour has a point that is no number")
            kind = str(contour.get("ContourGeometricType") or "contour of no type")
            if kind.startswith("CLOSED") and len(points) < 3:
                kind = "contour of fewer than 3 points"
            elif kind.startswith("CLOSED"):
                closed.append(points)
            kinds[kind] += 1
    return closed, kinds


def _check_closed(kinds: Counter[str], title: str) -> None:
    """Refuse contours that enclose nothing; single points beside closed ones are only named."""
    others = {kind: n for kind, n in kinds.items() if not kind.startswith("CLOSED")}
    found = ", ".join(f"{n} {kind}" for kind, n in others.items())
    harmless = {"POINT", "contour of fewer than 3 points"}
    if set(others) - harmless or (others and len(others) == len(kinds)):
        raise DataError(
            f"{title}: not all of its contours are closed",
            expected="CLOSED_PLANAR contours",
            found=found,
            mend="close them in the program that drew them, or take them out of the ROI",
        )
    if others:
        warnings.warn(f"{title}: without its {found}, which enclose nothing", stacklevel=3)


def _by_slice(
    contours: list[np.ndarray], like: sitk.Image, path: Path
) -> dict[int, list[np.ndarray]]:
    """Contours in voxel coordinates (x, y), gathered by the slice they lie on."""
    slices: dict[int, list[np.ndarray]] = defaultdict(list)
    to_index = np.linalg.inv(affine(like))
    for points in contours:
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        low, high = index[:, 2].min(), index[:, 2].max()
        z = round(float(index[:, 2].mean()))
        if high - low > OFF_GRID:
            raise elsewhere(path, f"a contour across slices, from {low:.2f} to {high:.2f}")
        if max(z - low, high - z) > OFF_GRID or not 0 <= z < like.GetDepth():
            raise elsewhere(path, f"a contour at slice {index[:, 2].mean():.2f}")
        # Rounded, so that a border through voxel centers is decided alike along its length.
        slices[z].append(np.round(index[:, :2], 6))
    return slices


def _parts(polygons: list[np.ndarray], shape: tuple[int, int]) -> list[np.ndarray]:
    """What each polygon holds, the largest first, without those that hold no voxel."""
    parts = [fill([polygon], shape) for polygon in polygons]
    return sorted((p for p in parts if p.any()), key=np.count_nonzero, reverse=True)


def combined(parts: list[np.ndarray], reading: Reading) -> np.ndarray | np.bool:
    """Combine what the contours of one slice hold, the largest first; a repeat counts once.

    For ``xor`` every one counts, so that a contour and its repeat hold nothing.
    """
    out: np.ndarray | np.bool = np.False_
    if reading == "xor":
        return np.logical_xor.reduce(parts) if parts else out
    distinct = list({part.tobytes(): part for part in parts}.values())
    for k, part in enumerate(distinct):
        around = sum(not (part & ~outer).any() for outer in distinct[:k])
        out = out & ~part if reading == "holes" and around % 2 else out | part
    return out


def _check_distinct(parts: list[np.ndarray], z: int, title: str) -> None:
    """Refuse a contour close within another: hole and repeat differ in nearly all they hold."""
    for k, part in enumerate(parts):
        for outer in parts[:k]:
            share = np.count_nonzero(part) / np.count_nonzero(outer)
            if _NEARLY_THE_SAME < share < 1 and not (part & ~outer).any():
                raise DataError(
                    f"{title}: two contours of slice {z} are nearly the same",
                    expected="a contour within another to be a hole",
                    found=f"one with {100 * share:.0f} % of the other's area",
                    mend="say which is meant: contours='union' (drawn twice) or 'xor' (a rim); "
                    "in a cohort, the column mask_contours",
                )


def _tell(
    out: dict[Reading, np.ndarray],
    contours: Reading,
    slices: dict[int, list[np.ndarray]],
    title: str,
    ml: float,
) -> None:
    """Warn where another reading gives another volume, and where slices between have nothing."""
    if any(not np.array_equal(out[contours], other) for other in out.values()):
        volumes = ", ".join(f"{name} {ml * np.count_nonzero(out[name]):.4g} ml" for name in out)
        text = f"contours repeat, overlap or lie within one another: read as {contours}; {volumes}"
        warnings.warn(f"{title}: {text}", stacklevel=3)
    between = sorted(set(range(min(slices, default=0), max(slices, default=0))) - set(slices))
    if between:
        names = ", ".join(map(str, between[:5])) + (" …" if len(between) > 5 else "")
        text = f"no contour on {len(between)} slices between others ({names}): nothing there"
        warnings.warn(f"{title}: {text}", stacklevel=3)


def fill(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Voxels whose centers lie inside polygons by the even-odd rule.

    Left and upper borders belong to a polygon, right and lower ones do not: polygons that share
    an edge share no voxel and leave no gap. (Routines that count every border twice would tear
    such polygons apart under the even-odd rule.)

    Parameters
    ----------
    polygons : list of array, (points, 2)
        Closed polygons in voxel coordinates (x, y); voxel centers at whole numbers.
    shape : (rows, columns)

    Returns
    -------
    array of bool, (rows, columns)
    """
    out = np.zeros(shape, bool)
    start = np.concatenate(polygons)
    end = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    first, last = max(0, int(start[:, 1].min())), min(shape[0] - 1, int(start[:, 1].max()) + 1)
    for y in range(first, last + 1):
        crosses = (start[:, 1] <= y) != (end[:, 1] <= y)
        a, b = start[crosses], end[crosses]
        x = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
        passed = np.searchsorted(np.sort(x), np.arange(shape[1]), side="right")
        out[y] = passed % 2 == 1
    return out
