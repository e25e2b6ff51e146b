"""What masks of every kind need: choosing a region, placing it on a grid, saying what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.images.dicom import damaged_file, named
from nextaim_kit.errors import DataError

# A contour or frame may lie this far, in voxels, from the slice it belongs to.
OFF_GRID = 0.25


def choose(names: dict[int, str], number: int | None, roi: str, path: Path, kind: str) -> int:
    """Choose the one region meant among ``{number: name}``; DataError if that is unclear."""
    fits = [
        key
        for key, name in names.items()
        if (number is None or key == number) and (not roi or name.strip() == roi.strip())
    ]
    if len(fits) == 1:
        return fits[0]
    wanted = " ".join([f"{kind}", *([str(number)] if number is not None else []), roi]).strip()
    there = ", ".join(f"{key} {name}".strip() for key, name in sorted(names.items())[:20])
    raise DataError(
        f"{named(path)}: " + ("no such " if not fits else "more than one ") + wanted,
        expected=f"one {kind}",
        found=there or f"no {kind} at all",
        mend="choose one of them by its number (label=…)"
        + ("" if kind == "label" else " or name (roi=…)"),
    )


def empty(path: Path) -> DataError:
    """Make the error for a mask without a voxel."""
    return DataError(
        f"{named(path)} is an empty mask",
        expected="at least one voxel inside the region",
        found="none",
        mend="segment the region again, or take the subject out of the cohort",
    )


def affine(image: sitk.Image) -> np.ndarray:
    """4 x 4 matrix from voxel indices (x, y, z) to mm in the patient system (LPS)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def grid_of(like: sitk.Image | None, path: Path) -> sitk.Image:
    """Give back the image a mask is drawn on; DataError without one."""
    if like is None:
        raise DataError(
            f"{named(path)} has no voxel grid of its own",
            expected="the image it was drawn on",
            mend="read_mask(path, like=image)",
        )
    return like


def parse(path: Path, reader: Callable[[Path], Any]) -> Any:
    """Read a file with `reader`; DataError naming it if it is damaged."""
    try:
        return reader(path)
    except Exception as error:  # a damaged file can make the parser raise anything
        raise damaged_file(path, str(error)) from error


def elsewhere(path: Path, found: str) -> DataError:
    """Make the error for a mask that was not drawn on its image."""
    return DataError(
        f"{named(path)} does not lie on its image",
        expected="every contour or frame on a slice of the image",
        found=found,
        mend="check that the mask was drawn on this series and not on another of the same patient",
    )


def as_mask(inside: np.ndarray, like: sitk.Image, path: Path) -> sitk.Image:
    """Turn an array (z, y, x) into a mask of the geometry of `like`; DataError if it is empty."""
    if not inside.any():
        raise empty(path)
    mask = sitk.GetImageFromArray(inside.astype(np.uint8))
    mask.CopyInformation(like)
    return mask
