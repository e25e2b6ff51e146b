"""CT volumes as the small networks of these notebooks see them: the lungs, in a box of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from nextaim_kit.data.cohort.subjects import Row, each
from nextaim_kit.data.images.reading import check_geometry, read_image
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.twins.chest_ct import population

AIR, DENSE = -1000.0, 400.0  # HU that become -1 and 1


@dataclass
class Boxes:
    """The lungs of several patients.

    Attributes
    ----------
    table : DataFrame
        Rows of the cohort that could be read.
    pairs : list of (Tensor, Tensor)
        Image (-1: air and all that is not lung, 1: 400 HU) and lesions (0, 1), each (1, x, y, z).
    lungs : list of array of bool, shape (x, y, z)
    failures : DataFrame
        Those that could not, as of `data.each.Done`.
    """

    table: pd.DataFrame
    pairs: list[tuple[Tensor, Tensor]]
    lungs: list[NDArray[np.bool_]]
    failures: pd.DataFrame


def make_twin(patients: int, size: Sequence[int], seed: int) -> pd.DataFrame:
    """Chest CTs of the synthetic twin with masks of lungs and lesions; `size` in voxels x, y, z."""
    x, y, z = size
    return population.twin(seed, size=(x, y, z)).make(patients)


def hounsfield(gray: float) -> float:
    """HU of a gray level between -1 and 1."""
    return AIR + (gray + 1) / 2 * (DENSE - AIR)


def load_boxes(table: pd.DataFrame, size: Sequence[int]) -> Boxes:
    """Read CTs with their masks, cut out the lungs' box, and bring all to one size.

    Parameters
    ----------
    table : DataFrame
        With ``subject`` and the paths ``image`` (HU), ``lungs`` and ``lesions``, whose voxels
        above 0 count.
    size : (int, int, int)
        Voxels in x (to the left), y (to the back), z (to the head). Voxels are means of what they
        cover; lesion is what fills half a voxel.

    Returns
    -------
    Boxes
        Without the patients that could not be read; `failures` names them.

    Raises
    ------
    RequestError
        If `size` is not of three edges.
    DataError
        If none could be read.

    References
    ----------
    LungQuant's second network sees the lungs' box too, at 200 x 150 x 100 voxels: Lizzi et al.
    2022, doi:10.1007/s11548-021-02501-2.
    """
    if len(size) != 3:
        raise RequestError("a volume has three edges", expected="x, y, z", found=str(list(size)))
    found = each(table, _boxed, workers=1, size=tuple(size))
    if not found.results:
        problems = found.failures["problem"].head(3)
        raise DataError("no patient's CT could be read", found="; ".join(problems))
    pairs, lungs = ([one[k] for one in found.results] for k in (0, 1))
    return Boxes(found.rows.reset_index(drop=True), pairs, lungs, found.failures)


def _boxed(row: Row, *, size: tuple[int, ...]) -> tuple[tuple[Tensor, Tensor], NDArray]:
    image = _array(row, "image")
    lungs, lesions = (_array(row, name) > 0 for name in ("lungs", "lesions"))
    if not lungs.any():
        raise DataError(f"{row['subject']} has no voxel of lung")
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(lungs))
    gray = 2 * (np.clip(image, AIR, DENSE) - AIR) / (DENSE - AIR) - 1
    seen = np.where(lungs, gray, -1.0)
    to_size = [_resized(one[box], size) for one in (seen, lesions & lungs, lungs)]
    return (to_size[0], (to_size[1] >= 0.5).float()), (to_size[2][0] >= 0.5).numpy()


def _array(row: Row, name: str) -> NDArray[np.float32]:
    """Voxels in x, y, z of the patient system, on the grid of the image."""
    image, like = read_image(row[name]), read_image(row["image"])
    check_geometry(like, image, subject=str(row["subject"]))
    return sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")).T.astype(np.float32)


def _resized(volume: NDArray, size: tuple[int, ...]) -> Tensor:
    whole = torch.from_numpy(np.ascontiguousarray(volume, np.float32))[None, None]
    return interpolate(whole, size, mode="area")[0]
