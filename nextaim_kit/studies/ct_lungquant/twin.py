"""The synthetic twin: CTs of three sites, with the study's numbers; scanned again; one spoiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.data.datasets.source import SYNTHETIC
from nextaim_kit.data.images.reading import read_image
from nextaim_kit.files import atomic_path
from nextaim_kit.progress import Progress
from nextaim_kit.studies.ct_lungquant import definitions
from nextaim_kit.studies.ct_lungquant.scans import AIR
from nextaim_kit.studies.ct_lungquant.truth import known
from nextaim_kit.twins.chest_ct import population
from nextaim_kit.twins.chest_ct.acquisition import Kernel

PADDING = -3024  # HU, which some scanners write outside their circle


def make_twin(
    n: int = population.TOTAL,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Make the twin's CTs and masks, or take those that are in the cache already.

    Parameters
    ----------
    n : int
    workers, progress
        As for `Twin.make`.
    **options
        Those of `twins.chest_ct.population.twin`: ``seed``, ``size``, ``slice_mm``, ``kernel``,
        ``axes``, ``ways``.

    Returns
    -------
    DataFrame
        Its cohort, with what `truth.known` counts, each as ``truth_...``.
    """
    twin = population.twin(known=known, sources=[definitions], **options)
    return population.counted(twin.make(n, workers=workers, progress=progress))


def size_of(voxels: int) -> population.Size:
    """Voxels in x, y, z of a chest with so many across: three quarters deep, half as high."""
    return voxels, -(-3 * voxels // 4), voxels // 2


def scanned_again(
    n: int, ways: Mapping[str, tuple[float, Kernel]], **options: Any
) -> dict[str, pd.DataFrame]:
    """The twin's patients, each drawn once and scanned in several ways.

    Parameters
    ----------
    n : int
    ways : mapping of str to (float, {"smooth", "sharp"})
        Thickness of the slices in mm, and the kernel.
    **options
        As for `make_twin`, without what the ways say.

    Returns
    -------
    dict of str to DataFrame
        For each way what `make_twin` gives with its thickness and kernel.
    """
    table = make_twin(n, ways=ways, **options)
    rest = table.drop(columns=list(ways))
    return {
        way: rest.assign(image=table[way], slice_mm=mm, kernel=kernel)
        for way, (mm, kernel) in ways.items()
    }


def is_synthetic(spec: str, cohort: pd.DataFrame) -> bool:
    """Whether a cohort is the twin, or says that it was made from it."""
    marked = cohort[MARK].astype(str).str.lower().eq("true").any() if MARK in cohort else False
    return spec == SYNTHETIC or bool(marked)


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
