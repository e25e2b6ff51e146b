"""One CT spoiled in the ways that archives and converters have, to see what is said of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data.images.reading import read_image
from nextaim_kit.files import atomic_path
from nextaim_kit.studies.ct_lungquant.scans import AIR

PADDING = -3024  # HU, which some scanners write outside their circle


def spoiled(path: str | Path, folder: Path) -> pd.DataFrame:
    """Write a CT as it is, and spoiled.

    Parameters
    ----------
    path : str or Path
        A CT.
    folder : Path

    Returns
    -------
    DataFrame
        A cohort: ``subject``, what was done; ``site``; ``image``.
    """
    image = sitk.Cast(sitk.DICOMOrient(read_image(path), "LPS"), sitk.sitkInt16)
    rows = []
    for what, spoil in _WAYS.items():
        file = folder / f"{what.replace(' ', '_')}.nii.gz"
        with atomic_path(file) as unfinished:
            sitk.WriteImage(spoil(image), str(unfinished))
        rows.append({"subject": what, "site": "spoiled", "image": str(file)})
    return pd.DataFrame(rows)


def _changed(image: sitk.Image, change: Callable[[np.ndarray], np.ndarray]) -> sitk.Image:
    changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image)))
    changed.CopyInformation(image)
    return changed


def _padded(hu: np.ndarray) -> np.ndarray:
    y, x = np.ogrid[-1 : 1 : hu.shape[1] * 1j, -1 : 1 : hu.shape[2] * 1j]
    return np.where(x**2 + y**2 > 1.2, PADDING, hu).astype(np.int16)


def _holes(hu: np.ndarray) -> np.ndarray:
    holes = hu.astype(np.float32)
    holes[:, :3] = np.nan
    return holes


def _picture(hu: np.ndarray) -> np.ndarray:
    """The lung window in 256 gray levels."""
    return (255 * np.clip((hu + 1350) / 1500, 0, 1)).astype(np.uint8)


def _stored(hu: np.ndarray) -> np.ndarray:
    """As a scanner stores it, rescale intercept -1024 not applied."""
    return (hu - AIR).astype(np.int16)


def _mirrored(axis: int) -> Callable[[sitk.Image], sitk.Image]:
    """Voxels turned along an axis of (z, y, x) while the affine stays: its labels are wrong."""
    return lambda image: _changed(image, lambda hu: np.flip(hu, axis).copy())


_WAYS: dict[str, Callable[[sitk.Image], sitk.Image]] = {
    "as it is": lambda image: image,
    "padded with -3024": lambda image: _changed(image, _padded),
    "NaN at the border": lambda image: _changed(image, _holes),
    "left and right swapped": _mirrored(2),
    "front and back swapped": _mirrored(1),
    "head and feet swapped": _mirrored(0),
    "upper half only": lambda image: image[:, :, image.GetSize()[2] // 2 :],
    "two slices": lambda image: image[:, :, :2],
    "no rescale": lambda image: _changed(image, _stored),
    "8-bit picture": lambda image: _changed(image, _picture),
}
