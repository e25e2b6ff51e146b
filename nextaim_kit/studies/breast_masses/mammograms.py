"""Mammograms with their masses: what every notebook of the study starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.loading import no_twin
from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError

_NAMED = ["subject", "site", "problem"]
_IMAGES = {
    "subject": "str", "patient": "str", "site": "str", "label": "Int64", "masses": "int64",
    "view": "str", "side": "str", "density": "Int64", "image": "str", "spacing": "float64",
    "rows": "int64", "columns": "int64", "digest": "str", "turned": "bool",
}  # fmt: skip
_LESIONS = {
    "subject": "str", "patient": "str", "site": "str", "lesion": "str", "x0": "float64",
    "y0": "float64", "x1": "float64", "y1": "float64", "label": "Int64", "shape": "str",
    "margin": "str", "density": "str", "subtlety": "float64", "diameter_mm": "float64",
    "mask": "str",
}  # fmt: skip


@dataclass(frozen=True)
class Mammograms:
    """A cohort of mammograms.

    Attributes
    ----------
    images : DataFrame
        One row for each image: ``subject`` (unique), ``patient``, ``site``, ``label`` (Int64; 1: a
        malignant mass is in it, 0: none), ``masses`` (how many), ``view`` (CC, MLO or empty),
        ``side`` (L, R or empty), ``density`` (BI-RADS class, Int64), ``image`` (path), ``spacing``
        (mm, NaN where unknown), ``rows``, ``columns``, ``digest`` (of the pixels), ``turned`` (it
        lies upside down in its file).
    lesions : DataFrame
        One row for each mass in each image: ``subject``, ``patient``, ``site``, ``lesion`` (one
        name in both views), ``x0, y0, x1, y1`` (pixels of the image as `read_pixels` gives it, half
        open), ``label`` (Int64; 1 malignant, 0 benign), ``shape``, ``margin`` and ``density``
        (empty where unknown), ``subtlety`` (1 to 5), ``diameter_mm`` (NaN where unknown), ``mask``
        (path or empty).
    left_out : DataFrame
        ``subject``, ``site``, ``problem``.
    doubts : DataFrame
        ``subject``, ``problem``: used, but strange.
    synthetic : bool
    """

    images: pd.DataFrame
    lesions: pd.DataFrame
    left_out: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=_NAMED))
    doubts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["subject", "problem"]))
    synthetic: bool = False


def images_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of images as a table with the columns and types of `Mammograms.images`."""
    return _typed(rows, _IMAGES)


def lesions_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of masses as a table with the columns and types of `Mammograms.lesions`."""
    return _typed(rows, _LESIONS)


def _typed(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    further = [name for name in table if name not in types]
    return table.reindex(columns=[*types, *further]).astype(types)


def box_of(mask: NDArray[np.bool_]) -> dict[str, float]:
    """The smallest box round a mask's pixels, half open: ``x0, y0, x1, y1``.

    Examples
    --------
    >>> mask = np.zeros((5, 6), bool)
    >>> mask[1:3, 2:6] = True
    >>> box_of(mask)
    {'x0': 2.0, 'y0': 1.0, 'x1': 6.0, 'y1': 3.0}
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    ends = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return dict(zip(("x0", "y0", "x1", "y1"), map(float, ends), strict=True))


def digest_of(pixels: NDArray) -> str:
    """A name for the content of a picture, whatever its file is called or how it is packed."""
    values = np.ascontiguousarray(pixels, np.float32)
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:16]


def read_pixels(row: Mapping[str, Any]) -> NDArray[np.float32]:
    """Pixels of an image of `Mammograms.images`: large is bright, the axilla at the top.

    Raises
    ------
    DataError
        If the file cannot be read as one gray picture; see `read_film`.
    """
    shown = read_film(row["image"]).shown
    return shown[::-1] if row.get("turned") else shown


def load_mammograms(
    cohort: str, *, twin: Callable[[], Mammograms] = no_twin
) -> Mammograms:
    """Load a cohort of mammograms."""
    if cohort == "synthetic":
        return twin()
    raise DataError("not yet")
