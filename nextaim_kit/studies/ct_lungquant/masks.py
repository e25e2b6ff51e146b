"""Masks that came with a CT: turned as it is, right and left as agreed, lesions in the lungs."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from nextaim_kit.data.images.reading import check_geometry, read_image
from nextaim_kit.errors import gathered_warnings

OUTSIDE = 0.02  # share of the lesions' mask outside the lungs from which it is said


def read_masks(
    lungs: str, lesions: str, like: sitk.Image, *, subject: str = ""
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    """Read a CT's masks of lungs and lesions.

    Parameters
    ----------
    lungs, lesions : str
        Paths; of the lungs' labels only 1 and 2 count, of the lesions' all but 0.
    like : SimpleITK.Image
        The CT, with axes LPS.
    subject : str
        Named in an error.

    Returns
    -------
    lungs : array of uint8, shape (z, y, x)
        1: the patient's right lung, 2: the left one, whatever the file has.
    lesions : array of uint8, shape (z, y, x)
        0 or 1, within the lungs.
    remarks : list of str
        What the readers warned of, and what was mended: sides exchanged, lesions outside the lungs.

    Raises
    ------
    DataError
        If a file cannot be read, or lies on another grid than the CT.
    """
    with gathered_warnings() as remarks:
        sides, ill = (_labels(path, like, subject) for path in (lungs, lesions))
    sides[sides > 2] = 0
    columns = [np.flatnonzero((sides == k).any(axis=(0, 1))) for k in (1, 2)]
    if all(len(c) for c in columns) and columns[0].mean() > columns[1].mean():
        remarks.append("1 marks the left lung in its mask: taken as 2")
        sides = np.array([0, 2, 1], np.uint8)[sides]
    marked, inside = int(np.count_nonzero(ill)), int(np.count_nonzero(ill[sides > 0]))
    if marked and 1 - inside / marked > OUTSIDE:
        share = f"{100 * (1 - inside / marked):.0f} % of the lesions' mask"
        remarks.append(f"{share} lies outside the lungs: left aside")
    return sides, ((ill > 0) & (sides > 0)).astype(np.uint8), remarks


def _labels(path: str, like: sitk.Image, subject: str) -> NDArray[np.uint8]:
    mask = sitk.DICOMOrient(sitk.Cast(read_image(path), sitk.sitkUInt8), "LPS")
    check_geometry(like, mask, subject=subject)
    return sitk.GetArrayFromImage(mask)
