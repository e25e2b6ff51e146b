"""A CT beside its masks and what software finds: one axial slice, or all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.studies.ct_lungquant.measures import Maps, count
from nextaim_kit.studies.ct_lungquant.networks.scoring import attempt, masks_of
from nextaim_kit.studies.ct_lungquant.scans import Scan, read_ct

_WINDOW = (-1350, 150)  # HU, of the lung window


@dataclass(frozen=True)
class Section:
    """An axial slice, the patient's right at the left.

    Attributes
    ----------
    subject : str
    involvement : float
        Of the whole CT, in %.
    picture : array of shape (y, x)
        HU within the lung window.
    lungs, lesions : array of bool, shape (y, x)
        By the masks that came with the CT.
    found : array of bool, shape (y, x)
        Lesions that software found; none where none was asked.
    """

    subject: str
    involvement: float
    picture: NDArray[np.float32]
    lungs: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    found: NDArray[np.bool_]


def section(row: Any, segment: Callable[[Scan], Maps] | None = None) -> Section:
    """The slice of a CT with masks where most is affected.

    Parameters
    ----------
    row : named tuple
        ``subject``, ``image``, ``lungs``, ``lesions``.
    segment : callable, optional
        Software whose lesions are to be drawn as well.
    """
    scan = read_ct(str(row.image))
    lungs, ill = masks_of(row, scan)
    found = attempt(segment, scan)[1] if segment else np.zeros_like(ill)
    most = ill if ill.any() else lungs
    k = int((most > 0).sum(axis=(1, 2)).argmax())
    picture = np.clip(sitk.GetArrayViewFromImage(scan.image)[k], *_WINDOW).astype(np.float32)
    involvement = count(lungs, ill, scan.spacing)["involvement"]
    return Section(str(row.subject), involvement, picture, lungs[k] > 0, ill[k] > 0, found[k] > 0)


def lesions(row: Any, segment: Callable[[Scan], Maps]) -> tuple[sitk.Image, dict[str, NDArray]]:
    """A CT with masks, and its lesions by these (``truth``) and by a ``network``, for a viewer."""
    scan = read_ct(str(row.image))
    return scan.image, {"truth": masks_of(row, scan)[1], "network": attempt(segment, scan)[1]}
