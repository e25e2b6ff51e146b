"""Several volumes on one grid in one file: diffusion, BOLD, perfusion, echoes, channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.data.images.dicom import named
from nextaim_kit.data.images.nifti import read_nifti_4d
from nextaim_kit.data.images.volumes import NIFTI, damage_told
from nextaim_kit.data.paths import split_choice
from nextaim_kit.errors import DataError


@dataclass(frozen=True)
class Image4D:
    """Volumes of one grid.

    Attributes
    ----------
    values : array of shape (x, y, z, volume)
        As stored, or float32 (float64 from 8 bytes) where a slope scales them; finite.
    affine : array of shape (4, 4)
        From a voxel's x, y, z to mm, to the patient's right, front and head (RAS), as nibabel and
        dipy have it; it may be sheared.
    spacing : array of shape (3,)
        Edges of a voxel in mm along x, y, z.
    seconds : float or None
        Between volumes, the repetition time of a time series; None where the file has none.
    missing : int
        Numbers that the file does not have (NaN), for which another was taken.
    """

    values: NDArray
    affine: NDArray[np.float64]
    spacing: NDArray[np.float64]
    seconds: float | None
    missing: int = 0


def read_image_4d(path: str | Path, *, nan: float | None = None) -> Image4D:
    """Read a NIfTI file of several volumes.

    Parameters
    ----------
    path : str or Path
        NIfTI-1 or NIfTI-2; the voxels lie where `nifti.read_nifti` has them.
    nan : float, optional
        What voxels without a value (NaN) become, such as 0 where a program has left out all
        outside the brain; by default they are refused.

    Returns
    -------
    Image4D
        Warnings say what is doubtful about place and time, such as a missing repetition time.

    Raises
    ------
    DataError
        If the file is missing, damaged or no NIfTI, has other than four axes, or has values that
        are not finite.
    """
    place, _ = split_choice(path)
    if not place.is_file() or not place.name.lower().endswith(NIFTI):
        raise DataError(
            f"{named(place)} is " + ("no NIfTI" if place.exists() else "missing"),
            expected="a file of several volumes, " + " or ".join(NIFTI[:2]),
            mend="check the path; make one of a DICOM series with dcm2niix",
        )
    with damage_told(place):
        values, affine, spacing, seconds = read_nifti_4d(place)
    missing = 0
    if values.dtype.kind == "f":
        if nan is not None:
            empty = np.isnan(values)
            missing = int(np.count_nonzero(empty))
            values = np.where(empty, values.dtype.type(nan), values)
        strange = ~np.isfinite(values)
        if strange.any():
            volumes = np.flatnonzero(strange.any(axis=(0, 1, 2)))
            raise DataError(
                f"{named(place)} has values that are not finite",
                expected="a finite number for each voxel",
                found=f"{np.count_nonzero(strange)} of {strange.size}, in {len(volumes)} of "
                f"{values.shape[3]} volumes, the first of them {volumes[0]} (from 0)",
                mend="export it again; where NaN lies outside of what was measured, give nan=0",
            )
    return Image4D(values, affine, spacing, seconds, missing)
