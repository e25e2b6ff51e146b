"""Radiographs: one gray picture each, from PNG, JPEG, TIFF or DICOM, and whole folders of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_EQUAL = 12  # steps of 255 by which JPEG may part the channels of a gray picture
_DICOM = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True)
class Film:
    """A radiograph as it is stored.

    Attributes
    ----------
    pixels : array of shape (rows, columns), float32
        As stored; not yet turned by what the header says of it.
    photometric : {"MONOCHROME1", "MONOCHROME2"} or None
        What a DICOM header says: in the first, bones are dark when shown as stored. Pictures of
        other formats say nothing.
    """

    pixels: NDArray[np.float32]
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] | None = None

    @property
    def shown(self) -> NDArray[np.float32]:
        """The pixels as the header wants them shown: MONOCHROME1 turned."""
        return -self.pixels if self.photometric == "MONOCHROME1" else self.pixels


def read_film(path: str | Path) -> Film:
    """Read one film.

    Raises
    ------
    DataError
        If the file is absent or damaged, a color picture, one with a transparent part, a stack
        of pictures, smaller than 32 pixels, or constant.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path.name} is not there", expected="a file with one radiograph")
    film = _dicom(path) if path.suffix.lower() in (*_DICOM, "") else _picture(path)
    if min(film.pixels.shape) < 32:
        raise DataError(
            f"{path.name} is too small for a radiograph",
            expected="at least 32 by 32 pixels",
            found=" by ".join(map(str, film.pixels.shape[::-1])),
        )
    if film.pixels.min() == film.pixels.max():
        raise DataError(f"{path.name} is one gray all over", mend="export the film again")
    return film


def read_mask(path: str | Path) -> NDArray[np.int64]:
    """Read a mask: whole numbers, 0 outside; shape (rows, columns).

    Raises
    ------
    DataError
        If the file is absent, damaged, or no single gray or indexed picture.
    """
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        found = "no such file" if not path.is_file() else " ".join(str(error).split())
        raise DataError(f"the mask {path.name or '(none)'} cannot be read", found=found) from error
    if values.ndim != 2:
        raise DataError(
            f"the mask {path.name} is a color picture",
            expected="one whole number for each pixel, 0 outside",
            mend="save it as gray PNG",
        )
    return values.astype(np.int64)


def film_table(folder: str | Path) -> pd.DataFrame:
    """One row for each film of a folder, in the order of their names: ``subject``, ``image``.

    Raises
    ------
    DataError
        If there is none.
    """
    folder = Path(folder)
    kinds = (*PICTURES, *_DICOM)
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in kinds)
    if not files:
        raise DataError(
            f"no film in {folder.name}", expected="files such as " + ", ".join(kinds[:4])
        )
    stems = [p.stem for p in files]
    subjects = [p.name if stems.count(p.stem) > 1 else p.stem for p in files]
    return pd.DataFrame({"subject": subjects, "image": [str(p) for p in files]})


def _picture(path: Path) -> Film:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            frames = int(getattr(picture, "n_frames", 1))
            if frames > 1:
                raise DataError(f"{path.name} is a stack of pictures", found=f"{frames} of them")
            opened = picture.convert("RGB") if picture.mode == "P" else picture
            values = np.asarray(opened)
            bands = opened.getbands()
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(f"{path.name} cannot be read", found=str(error)) from error
    if "A" in bands:
        values = _without_alpha(values, path)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 3:
        apart = int((values.max(axis=2).astype(int) - values.min(axis=2)).max())
        if apart > _EQUAL * float(values.max()) / 255:
            raise DataError(
                f"{path.name} is a color picture",
                expected="gray values, or three equal channels",
                found=f"channels up to {apart} apart",
                mend="export the radiograph without marks and color maps",
            )
        values = values.mean(axis=2)
    return Film(values.astype(np.float32))


def _without_alpha(values: NDArray, path: Path) -> NDArray:
    alpha = values[..., -1]
    if alpha.min() < alpha.max():
        raise DataError(
            f"{path.name} has a part that is transparent",
            expected="a film without an alpha channel",
            mend="save it as gray PNG",
        )
    return values[..., :-1]


def _dicom(path: Path) -> Film:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path)
        pixels = np.asarray(header.pixel_array, np.float32)
    except (InvalidDicomError, AttributeError, ValueError, OSError, RuntimeError) as error:
        raise DataError(f"{path.name} cannot be read as DICOM", found=str(error)) from error
    says = str(header.get("PhotometricInterpretation", ""))
    if pixels.ndim != 2 or says not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(
            f"{path.name} is not one gray picture",
            expected="MONOCHROME1 or MONOCHROME2, one frame",
            found=f"{says or 'no photometric interpretation'}, {pixels.ndim} axes",
        )
    return Film(pixels, says)  # type: ignore[arg-type]  # one of the two
