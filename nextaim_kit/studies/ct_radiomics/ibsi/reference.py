"""IBSI's digital phantom, and tables of consensus values.

References
----------
Zwanenburg et al., Image biomarker standardisation initiative, arXiv:1612.07003, chapter 5
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nextaim_kit.errors import DataError

# One line per slice, rows separated by blanks, columns one digit each.
_INTENSITIES = """
14411 14611 41641 44641
14411 11611 11311 44611
14411 11111 11911 11611
14411 11111 11111 11611
"""
_MASK = """
11111 11111 11111 11111
11111 11111 01111 11111
11100 11111 11011 11111
11100 11111 11111 11111
"""
PHANTOM_VALUES = Path(__file__).with_name("digital_phantom.csv")


def phantom() -> tuple[sitk.Image, sitk.Image]:
    """Image and mask of the digital phantom: 5 x 4 x 4 voxels of 2 mm."""
    image, mask = (sitk.GetImageFromArray(_volume(text)) for text in (_INTENSITIES, _MASK))
    for volume in (image, mask):
        volume.SetSpacing([2.0] * 3)
    return image, mask


def _volume(text: str) -> np.ndarray:
    planes = text.strip().split("\n")
    rows = [[[int(digit) for digit in row] for row in plane.split()] for plane in planes]
    return np.array(rows, dtype=np.int16)


def read_consensus(path: Path) -> dict[str, tuple[float, float] | None]:
    """Consensus value and tolerance by tag, None where the IBSI found no consensus.

    Raises
    ------
    DataError
        If the file is not a CSV with the columns ``reference value;tolerance;tag``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter=";"))
        return {
            row["tag"]: (float(row["reference value"]), float(row["tolerance"]))
            if row["reference value"]
            else None
            for row in rows
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a table of IBSI reference values",
            expected="columns 'reference value;tolerance;tag'",
            found=f"{type(error).__name__}: {error}",
            mend="take the CSV of the configuration from the IBSI 1 reference values",
        ) from error
