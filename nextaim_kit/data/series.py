"""DICOM series: which slices belong together, in which order, and is any of them missing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.dicom import Instance, damaged_file, named, read_header, scan
from nextaim_kit.errors import DataError

# Slices may be this far, in units of the step between slices, from an even spacing.
UNEVEN = 0.05


def read_single(path: Path) -> sitk.Image:
    """Read one DICOM file that is an image: a slice, or a multi-frame volume."""
    header = read_header(path)
    if not header.is_image:
        raise DataError(
            f"{named(path)} is not an image",
            expected="a CT, MR or other image",
            found=f"DICOM {header.modality or 'without modality'}",
            mend="give it as the mask, and the folder of the image series as the image",
        )
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise damaged_file(
            path, "pixel data are truncated, damaged or in an unknown coding"
        ) from error


def read_series(folder: Path, series: str = "") -> sitk.Image:
    """Read the one series below a folder as a volume, slices ordered by their position.

    Parameters
    ----------
    folder : Path
        Searched with its sub-folders; files that are no DICOM images are left aside.
    series : str, optional
        End of the series UID to take.

    Raises
    ------
    DataError
        If a file is damaged, if there is no series or more than one, or if slices are missing,
        doubled, unevenly spaced, of different shape or shifted against each other.
    """
    instances, damaged = scan(folder)
    if damaged:
        raise damaged_file(damaged[0], "no readable header")
    slices = _one_series([i for i in instances if i.is_image], folder, series)
    if len(slices) == 1:
        return read_single(slices[0].path)
    slices, step = in_order(slices, folder)
    image = _read_slices(slices)
    image.SetSpacing((*image.GetSpacing()[:2], step))
    return image


def _one_series(images: list[Instance], folder: Path, series: str) -> list[Instance]:
    there = sorted({i.series for i in images})
    chosen = [uid for uid in there if uid.endswith(series)]
    if len(chosen) == 1:
        return [i for i in images if i.series == chosen[0]]
    if not there:
        raise DataError(
            f"{folder.name} holds no DICOM image",
            expected="the slices of one series",
            mend="give the folder of the series itself",
        )
    wanted = f"one series whose UID ends in {series}" if series else "one series"
    raise DataError(
        f"{folder.name}: which series is not clear",
        expected=wanted,
        found="UIDs ending in " + ", ".join(uid[-8:] for uid in there),
        mend=f"write {folder.name}#{there[0][-8:]} to take that one, or give it its own folder",
    )


def in_order(slices: list[Instance], folder: Path) -> tuple[list[Instance], float]:
    """Slices sorted along their normal, and the step between them in mm; DataError if uneven."""
    _check_alike(slices, folder)
    row, column = np.array(slices[0].orientation).reshape(2, 3)
    normal = np.cross(row, column)
    depth = np.array([np.dot(s.position, normal) for s in slices])
    order = np.argsort(depth, kind="stable")
    slices, depth = [slices[i] for i in order], depth[order]
    _check_even(slices, np.diff(depth), folder)
    shift = np.array([s.position for s in slices]) - np.outer(depth, normal)
    if np.ptp(shift, axis=0).max() > UNEVEN * min(slices[0].grid[2:]):
        raise _broken(folder, "slices shifted against each other", "a tilted gantry, maybe")
    return slices, float((depth[-1] - depth[0]) / (len(slices) - 1))


def _check_alike(slices: list[Instance], folder: Path) -> None:
    first = slices[0]
    for other in slices:
        if len(other.position) != 3 or len(other.orientation) != 6 or len(other.grid) != 4:
            raise _broken(folder, f"{other.path.name} does not say where it lies", "")
        if other.grid != first.grid:
            found = f"{other.path.name} differs from {first.path.name} in size or pixel spacing"
            raise _broken(folder, found, "")
        if not np.allclose(other.orientation, first.orientation, atol=1e-3):
            found = f"{other.path.name} is turned against {first.path.name}"
            raise _broken(folder, found, "take localizers out of the folder")


def _check_even(slices: list[Instance], steps: np.ndarray, folder: Path) -> None:
    usual = float(np.median(steps))
    for step, (below, above) in zip(steps, pairwise(slices), strict=True):
        pair = f"{below.path.name} and {above.path.name}"
        if step < 1e-3:
            found = f"{pair} lie at the same place"
            raise _broken(folder, found, "remove the double, or split the phases of the series")
        if abs(step - usual) > UNEVEN * usual:
            missing = round(step / usual) - 1
            what = f"{missing} missing between" if missing > 0 else "an uneven step between"
            found = f"{what} {pair}: {step:.4g} mm where the others are {usual:.4g} mm apart"
            raise _broken(folder, found, "export the series again with all its slices")


def _broken(folder: Path, found: str, mend: str) -> DataError:
    return DataError(
        f"the DICOM series in {folder.name} is not a regular volume",
        expected="slices of one shape, parallel and evenly spaced",
        found=found,
        mend=mend or "export the series again",
    )


def _read_slices(slices: list[Instance]) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(s.path) for s in slices])
    if len({s.rescale for s in slices}) > 1:
        # The reader takes its pixel type from the first slice; another's slope may not fit in it.
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        return reader.Execute()
    except RuntimeError:
        for item in slices:
            read_single(item.path)  # finds the damaged one and names it
        raise
