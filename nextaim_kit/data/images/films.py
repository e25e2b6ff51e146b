"""Radiographs: one gray picture each, from PNG, JPEG, TIFF or DICOM, and whole folders of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nextaim_kit.data.bounds import require_room
from nextaim_kit.data.images.dicom import is_dicom
from nextaim_kit.data.images.dicom_films import GRAY, MOST_PIXELS, read_dicom_film, too_large
from nextaim_kit.errors import DataError

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".tif", ".tiff", ".bmp")
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "WEBP", "PPM")
_TEXTS = (".csv", ".tsv", ".xlsx", ".json", ".txt", ".md", ".yaml")
_EQUAL = 12  # steps of 255 by which JPEG may part the channels of a gray picture
_HELD = 10  # bytes that a value takes while it is read
_WHITE, _ORIENTATION, _SIGN = 262, 274, 339  # tags of a TIFF


@dataclass(frozen=True)
class Film:
    """A radiograph.

    Attributes
    ----------
    pixels : array of shape (rows, columns), float32
        As stored: of a DICOM file before anything that its header says of them.
    shown : array of the same shape
        As they are to be shown, large is bright; see `read_dicom_film`. A TIFF in which white is
        zero is turned, a picture that is to be rotated is rotated (in both).
    photometric : {"MONOCHROME1", "MONOCHROME2"} or None
        What a DICOM header says: in the first, small values are shown bright. Pictures of
        other formats say nothing.
    """

    pixels: NDArray[np.float32]
    shown: NDArray[np.float32]
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] | None = None


def read_film(path: str | Path) -> Film:
    """Read one film.

    Raises
    ------
    DataError
        If the file is absent or damaged, a color picture, one with a transparent part, a stack
        of pictures, smaller than 32 pixels or of more than a hundred million, has pixels that are
        no numbers, or is constant.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path.name} is not there", expected="a file with one radiograph")
    if is_dicom(path):
        stored, shown, says = read_dicom_film(path)
        film = Film(_gray(stored, path), _gray(shown, path), says if says in GRAY else None)  # type: ignore[arg-type]  # one of the two
    else:
        pixels = _gray(_picture(path), path)
        film = Film(pixels, pixels)
    if min(film.shown.shape) < 32:
        raise DataError(
            f"{path.name} is too small to be used",
            expected="at least 32 by 32 pixels",
            found=" by ".join(map(str, film.shown.shape[::-1])),
        )
    strange = int((~np.isfinite(film.shown)).sum())
    if strange:
        raise DataError(
            f"{path.name} has pixels that are no numbers",
            found=f"{strange} of {film.shown.size}",
            mend="export the film again",
        )
    if film.shown.min() == film.shown.max():
        raise DataError(f"{path.name} is one gray all over", mend="export the film again")
    return film


def read_picture(path: str | Path) -> NDArray:
    """Read a picture in color, such as of the skin or a slide: shape (rows, columns, 3).

    Returns
    -------
    array of uint8 or float32
        Red, green and blue as stored, 0 to 255; gray becomes three equal channels, of which those
        with more than 8 bits keep their values (float32).

    Raises
    ------
    DataError
        If the file is absent, damaged or DICOM, has a transparent part, is a stack of pictures or
        of more than a hundred million pixels.
    """
    path = Path(path)
    if not path.is_file() or is_dicom(path):
        raise DataError(
            f"{path.name} is " + ("DICOM" if path.is_file() else "not there"),
            expected="a picture such as " + ", ".join(PICTURES[:4]),
            mend="export it as PNG" if path.is_file() else "check the path",
        )
    values = _picture(path)
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    channels = values.reshape(*values.shape[:2], -1)
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    return np.repeat(channels, 3 // channels.shape[2], axis=2).astype(kind, copy=False)


def read_mask(path: str | Path) -> NDArray[np.int64]:
    """Read a mask: whole numbers, 0 outside; shape (rows, columns).

    Raises
    ------
    DataError
        If the file is absent, damaged, no single gray or indexed picture, or its values are not
        whole numbers.
    """
    path = Path(path)
    if not path.is_file():
        name = path.name or "(none)"
        raise DataError(f"the mask {name} cannot be read", found="no such file")
    with _opened(path, f"the mask {path.name}") as (picture, white):
        values, white = np.asarray(picture), white and picture.mode != "1"
        lossy = picture.format == "JPEG"
    if values.ndim != 2:
        raise DataError(
            f"the mask {path.name} is a color picture",
            expected="one whole number for each pixel, 0 outside",
            mend="save it as gray PNG",
        )
    found = "a JPEG, which blurs its borders" if lossy else ""
    found = "a TIFF in which white is zero" if white else found
    if not found and not np.array_equal(values, np.rint(values)):
        found = "fractions, or no numbers at all"
    if found:
        raise DataError(
            f"the mask {path.name} has no plain numbers",
            expected="one whole number for each pixel, 0 outside",
            found=found,
            mend="save it as gray PNG",
        )
    return values.astype(np.int64)


def film_table(folder: str | Path, *, without: Collection[Path] = ()) -> pd.DataFrame:
    """One row for each film of a folder and its sub-folders: ``subject``, ``image``.

    They come in the order of their names; of two films with one name in different folders each is
    named with its folder. Folders in `without` are not looked into. ``attrs["problems"]`` names the
    files that are left out, except tables and texts.

    Raises
    ------
    DataError
        If there is none.
    """
    folder = Path(folder)
    below = [p for p in sorted(folder.rglob("*")) if not p.is_dir() and p.name != "DICOMDIR"]
    below = [p for p in below if not set(p.parents) & set(without)]
    seen = [p for p in below if not any(x.startswith(".") for x in p.relative_to(folder).parts)]
    files = [p for p in seen if p.suffix.lower() in PICTURES or is_dicom(p)]
    other = [p.name for p in seen if p not in set(files) and p.suffix.lower() not in _TEXTS]
    if not files:
        raise DataError(
            f"no film in {folder.name}",
            expected="files such as " + ", ".join(PICTURES[:4]) + ", or DICOM",
            found=", ".join(other[:5]),
        )
    table = pd.DataFrame({"subject": _names(files, folder), "image": [str(p) for p in files]})
    problem = f"{len(other)} files left out that are no films: {', '.join(other[:5])}"
    table.attrs["problems"] = [{"subject": folder.name, "problem": problem}] if other else []
    return table


def _names(files: list[Path], folder: Path) -> list[str]:
    """A name for each file: as short as it can be, and no other's."""
    ways = [(p.stem, p.name, "_".join(p.relative_to(folder).parts)) for p in files]
    names = [way[0] for way in ways]
    for longer in (1, 2):
        counts = Counter(names)
        names = [w[longer] if counts[n] > 1 else n for n, w in zip(names, ways, strict=True)]
    return names


@contextmanager
def _opened(path: Path, what: str) -> Iterator[tuple[Image.Image, bool]]:
    """The one picture of a file, turned as its header says, and whether white is zero in it."""
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            tags = getattr(picture, "tag_v2", {})
            frames, size = int(getattr(picture, "n_frames", 1)), picture.width * picture.height
            if frames > 1:
                raise DataError(f"{what} is a stack of pictures", found=f"{frames} of them")
            if size > MOST_PIXELS:
                raise too_large(path.name, f"{size:,} pixels")
            require_room(_HELD * size * len(picture.getbands()), path)
            _check_tiff(picture, tags, what)
            if len(picture.getbands()) > 1 and any(";16" in str(tile) for tile in picture.tile):
                raise DataError(
                    f"{what} has 16 bits in each color, of which only 8 would be read",
                    mend="save it as gray PNG or TIFF of 16 bits",
                )
            picture.load()
            if not tags:  # Pillow turns a TIFF by itself
                ImageOps.exif_transpose(picture, in_place=True)
            yield picture, tags.get(_WHITE) == 0
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(path.name, str(error).split(",")[0]) from error
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise DataError(
            f"{what} cannot be read",
            found=" ".join(str(error).replace(str(path), path.name).split())[:200],
            mend="copy it again, or save it as PNG of 8 or 16 bits",
        ) from error


def _check_tiff(picture: Image.Image, tags: Mapping[int, Any], what: str) -> None:
    """Refuse what Pillow would read wrongly: bytes with a sign, and rows that become columns."""
    signed = picture.mode == "L" and 2 in np.ravel(tags.get(_SIGN, 1))
    if signed or tags.get(_ORIENTATION, 1) > 4:
        raise DataError(
            f"{what} cannot be read",
            found="a TIFF of signed bytes" if signed else "a TIFF that is to be turned by 90°",
            mend="save it as PNG of 8 or 16 bits",
        )


def _picture(path: Path) -> NDArray:
    with _opened(path, path.name) as (opened, white):
        turn = white and opened.mode not in ("1", "L")  # these Pillow turns by itself
        if opened.mode in ("P", "PA"):
            opened = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
        elif opened.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            opened = opened.convert("RGB")
        values, clear = np.asarray(opened), "A" in opened.getbands()
    if clear and values[..., -1].min() < values[..., -1].max():
        raise DataError(
            f"{path.name} has a part that is transparent",
            expected="a picture without an alpha channel",
            mend="save it as PNG without one",
        )
    values = values[..., :-1] if clear else values
    return -values.astype(np.float32) if turn else values


def _gray(values: NDArray, path: Path) -> NDArray[np.float32]:
    """One value for each pixel, of a gray picture or of one with three equal channels."""
    if values.ndim == 3 and values.shape[2] > 1:
        apart = int((values.max(axis=2).astype(int) - values.min(axis=2)).max())
        if apart > _EQUAL * float(values.max()) / 255:
            raise DataError(
                f"{path.name} is a color picture",
                expected="gray values, or three equal channels",
                found=f"channels up to {apart} apart",
                mend="export it without marks and color maps",
            )
    gray = values.mean(axis=2) if values.ndim == 3 else values
    return gray.astype(np.float32)
