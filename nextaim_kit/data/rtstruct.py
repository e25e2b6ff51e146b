"""Contours of a DICOM RTSTRUCT, drawn onto the grid of their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from nextaim_kit.data.regions import (
    OFF_GRID,
    affine,
    as_mask,
    choose,
    elsewhere,
    grid_of,
    parse,
)


def read_rtstruct(
    path: Path, like: sitk.Image | None, number: int | None = None, roi: str = ""
) -> sitk.Image:
    """Rasterize one ROI of an RTSTRUCT slice by slice.

    A voxel belongs to the ROI when its center lies inside. Contours of one slice are combined by
    the even-odd rule, so a contour within another cuts a hole, as a keyhole does (DICOM PS3.3
    C.8.8.6).

    Returns
    -------
    SimpleITK.Image
        uint8 mask of the geometry of `like`.
    """
    like = grid_of(like, path)
    data = parse(path, pydicom.dcmread)
    names = parse(path, lambda _: _roi_names(data))
    chosen = choose(names, number, roi, path, kind="ROI")
    contours = parse(path, lambda _: _contours(data, chosen))
    out = np.zeros(like.GetSize()[::-1], bool)
    for z, polygons in _by_slice(contours, like, path).items():
        out[z] = fill(polygons, out.shape[1:])
    return as_mask(out, like, path)


def _roi_names(data: pydicom.Dataset) -> dict[int, str]:
    return {int(r.ROINumber): str(r.ROIName) for r in data.get("StructureSetROISequence", [])}


def _contours(data: pydicom.Dataset, number: int) -> list[np.ndarray]:
    """Take the closed contours of one ROI, each (points, 3) in mm, patient system."""
    contours = []
    for item in data.get("ROIContourSequence", []):
        if int(item.ReferencedROINumber) != number:
            continue
        for contour in item.get("ContourSequence", []):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            if len(points) != int(contour.NumberOfContourPoints):
                raise ValueError("a contour has fewer points than it says")
            if str(contour.ContourGeometricType) in {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}:
                contours.append(points)
    return contours


def _by_slice(
    contours: list[np.ndarray], like: sitk.Image, path: Path
) -> dict[int, list[np.ndarray]]:
    """Contours in voxel coordinates (x, y), gathered by the slice they lie on."""
    slices: dict[int, list[np.ndarray]] = {}
    to_index = np.linalg.inv(affine(like))
    for points in contours:
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        z = round(float(index[:, 2].mean()))
        if np.abs(index[:, 2] - z).max() > OFF_GRID or not 0 <= z < like.GetDepth():
            raise elsewhere(path, f"a contour at slice {index[:, 2].mean():.2f}")
        # Rounded, so that a border through voxel centers is decided alike along its length.
        slices.setdefault(z, []).append(np.round(index[:, :2], 6))
    return slices


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
