"""DICOM headers: what a file is, and to which patient, series and place it belongs."""

from __future__ import annotations

import os
import re
import warnings
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom import filereader
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from nextaim_kit.data.bounds import memory_free, require_room, unpacked_size
from nextaim_kit.data.images.remembered import Stamp, stamp_of
from nextaim_kit.errors import DataError
from nextaim_kit.files import require_file

SUFFIXES = {".dcm", ".dicom", ".ima"}
MASKS = {"RTSTRUCT", "SEG"}
NO_IMAGE = MASKS | {"RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"}
_PHASES = ["AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers"]
_OWN = ["ImagePositionPatient", "SOPInstanceUID"]  # what no two slices share
_TAGS = [
    "SOPClassUID", "ImageType", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "PatientID",
    "ImageOrientationPatient", "Rows", "Columns", "SamplesPerPixel",
    "NumberOfFrames", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    *_PHASES,
]  # fmt: skip
_ALIKE = {tag_for_keyword(name) for name in _TAGS}
_SEQUENCES: list[Any] = [
    "ModalityLUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
]  # fmt: skip
# What the pixels' numbers mean; an overlay may lie in bits that they leave free.
_OF_PIXELS: list[Any] = [
    "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleType", "LossyImageCompression",
    *(0x60000102 + (group << 16) for group in range(0, 32, 2)),
]  # fmt: skip
_MEANING = {
    tag_for_keyword(one) if isinstance(one, str) else one
    for one in (
        *_OF_PIXELS, "Rows", "Columns", "SamplesPerPixel", "RescaleSlope", "RescaleIntercept"
    )
}  # fmt: skip
# The start of a file without preamble: an element of group 2 or 8, its VR or a short length.
_HEADLESS = re.compile(rb"[\x02\x08]\0.\0([A-Z]{2}|.[\0-\x04]\0\0)|\0[\x02\x08]\0.[A-Z]{2}", re.S)


class Stored(NamedTuple):
    """What the numbers of a plain file mean, as it was read: the same in most slices."""

    elements: tuple[RawDataElement, ...]
    syntax: str
    implicit: bool

    @property
    def header(self) -> Dataset:
        """These elements, which nobody may change."""
        return _header_of(self)


@lru_cache(maxsize=64)
def _header_of(stored: Stored) -> Dataset:
    header = Dataset({element.tag: element for element in stored.elements})
    header.set_original_encoding(stored.implicit, is_little_endian=True)
    with _unwarned():
        for tag in header.keys():  # noqa: SIM118 - iterating would stop at the first that fails
            with suppress(Exception):  # raised again where the value is used, which names the file
                header[tag]
    return header


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without pydicom's warnings of how a value is written.

    What matters is checked where it is used. They would come only with the first reading of what
    many slices share, and they repeat values, such as a patient's name.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


@dataclass(frozen=True, slots=True)
class Instance:
    """What the header of one DICOM file, or of one of its frames, says; lengths in mm.

    Attributes
    ----------
    position, orientation : tuple of float
        Of the first voxel, and of rows and columns, in the patient system; empty if not said.
    grid : tuple of float
        Rows, columns, and the spacing of rows and of columns where it is said.
    aside : str
        Why this is no part of a volume, such as ``localizer``; empty if it may be one.
    thickness : tuple of float
        Of the slice, where it is said.
    rescaled : bool
        Whether the header says what a stored number means.
    derived : bool
        Whether it was made from other images.
    phase : tuple of (str, str)
        What may part a series into several volumes, such as the number of the acquisition.
    frame, frames : int
        Which frame, from 0, and of how many.
    study, kind, uid : str
        UIDs of the study, of the kind of object, and of this one.
    stored : Stored, optional
        What the pixels of a plain file mean: one frame, not packed, no sequence that says so.
    pixels_at : int
        Byte at which the element of these pixels begins.
    stamp : tuple of int
        What tells that the file has changed since.
    """

    path: Path
    modality: str
    series: str
    patient: str
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    grid: tuple[float, ...] = ()
    aside: str = ""
    derived: bool = False
    thickness: tuple[float, ...] = ()
    rescaled: bool = False
    phase: tuple[tuple[str, str], ...] = ()
    frame: int = 0
    frames: int = 1
    study: str = ""
    kind: str = ""
    uid: str = ""
    stored: Stored | None = field(default=None, repr=False, compare=False)
    pixels_at: int = field(default=0, repr=False, compare=False)
    stamp: Stamp = field(default=(), repr=False, compare=False)

    @property
    def is_mask(self) -> bool:
        """Whether the file holds regions of interest."""
        return self.modality in MASKS

    @property
    def is_image(self) -> bool:
        """Whether the file may be a slice or a volume, not a drawing, a scout or a report."""
        return not self.aside

    @property
    def name(self) -> str:
        """Name of the file, with the number of the frame where there are several."""
        return self.path.name + (f" frame {self.frame + 1}" if self.frames > 1 else "")


def named(path: Path) -> str:
    """Name of a file with its folder's: enough to find it, and the same on every machine."""
    return "/".join(path.parts[-2:]).lstrip("/")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by its suffix, its preamble, or where that is cut off its start."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        require_file(path)
        with path.open("rb") as file:
            return _begins(file)
    except (OSError, DataError):
        return False  # the reader that takes it will say why


def _begins(file: BinaryIO) -> bool:
    start = file.read(132)
    file.seek(0)
    return start[128:] == b"DICM" or bool(_HEADLESS.match(start))


def opened(path: Path, seen: Stamp = (), **options: Any) -> Dataset:
    """Parse one DICOM file, with or without its preamble; options are those of ``dcmread``.

    Raises
    ------
    DataError
        If it is no plain file, or not as it was `seen`, or deflated and more than memory bears:
        pydicom would unpack all of it at once.
    InvalidDicomError
        If it is no DICOM.
    """
    require_file(path)
    with path.open("rb") as file:
        require_unchanged(file, path, seen)
        return parsed(file, path, **options)


def require_unchanged(file: BinaryIO, path: Path, seen: Stamp) -> None:
    """Refuse a file that is not as it was `seen`, if it was: it would be placed by another header.

    Raises
    ------
    DataError
        If it has changed.
    """
    if seen and seen != stamp_of(os.fstat(file.fileno())):
        raise DataError(
            f"{named(path)} has changed since its header was read",
            expected="files that stay as they are while they are read",
            mend="wait until what writes there has ended, then read them again",
        )


def parsed(file: BinaryIO, path: Path, **options: Any) -> Dataset:
    """Parse a file, which may lie in memory, as `opened` does; `path` is its name in errors.

    With ``stop_before_pixels`` the file is then before its pixels.
    """
    start = file.read(4096)
    file.seek(0)
    if DeflatedExplicitVRLittleEndian.encode() in start:
        _require_bounded(file, path)
    headless = start[128:132] != b"DICM" and bool(_HEADLESS.match(start))
    data = pydicom.dcmread(file, force=headless, **options)
    if headless and "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return data


def require_bounded(path: Path) -> None:
    """Refuse a deflated file that memory cannot bear: pydicom would unpack all of it at once.

    Raises
    ------
    DataError
        If it is so, or no plain file.
    """
    require_file(path)
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() in file.read(4096):
            file.seek(0)
            _require_bounded(file, path)


def _require_bounded(file: BinaryIO, path: Path) -> None:
    filereader.read_preamble(file, force=True)
    meta = filereader._read_file_meta_info(file)  # as `dcmread` does, up to what is packed
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        require_room(unpacked_size(file, -zlib.MAX_WBITS, memory_free()), path)
    file.seek(0)


def read_header(path: Path) -> Instance:
    """Read what places one DICOM file, and what its pixels mean. Empty is like not there.

    Raises
    ------
    DataError
        If it is damaged.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            return _read(file, path)
    except OSError as error:
        raise damaged_file(path, str(error)) from error


def header_if_dicom(path: Path) -> Instance | None:
    """Read what places a file, as `read_header` does; None if it is no DICOM, as by `is_dicom`."""
    if path.suffix.lower() in SUFFIXES:
        return read_header(path)
    with suppress(OSError):  # the reader that takes it will say why
        if path.is_file():
            with path.open("rb") as file:
                return _read(file, path) if _begins(file) else None
    return None


def _read(file: BinaryIO, path: Path) -> Instance:
    stamp = stamp_of(os.fstat(file.fileno()))
    try:
        with _unwarned():
            header = parsed(
                file, path, stop_before_pixels=True,
                specific_tags=[*_OWN, *_TAGS, *_OF_PIXELS, *_SEQUENCES],
            )  # fmt: skip
            at = file.tell()
            position = floats(header.get("ImagePositionPatient"))
            characters = tuple(_all(header.get("SpecificCharacterSet")))
            found = _said(tuple(_raw(header)), characters, bool(position))
            return replace(
                found, path=path, position=position, uid=str(header.get("SOPInstanceUID") or ""),
                stored=_stored(header), pixels_at=at, stamp=stamp,
            )  # fmt: skip
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parser raise anything
        raise damaged_file(path, str(error)) from error


def _stored(header: Dataset) -> Stored | None:
    """What the numbers of a plain file mean; None of any other, which is parsed as a whole."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    elements: list[Any] = [header.get_item(tag) for tag in sorted(header.keys() & _MEANING)]
    if any(name in header for name in _SEQUENCES):
        return None
    kept = tuple(_same(e._replace(value_tell=0)) for e in elements if isinstance(e, RawDataElement))
    implicit, little = header.original_encoding
    if len(kept) != len(elements) or not little:
        return None
    return _same(Stored(kept, str(syntax), bool(implicit)))


@lru_cache(maxsize=4096)
def _same(one: Any) -> Any:
    """The one that was first seen of those that are equal: most slices have most in common."""
    return one


def _raw(header: Dataset) -> Iterator[RawDataElement]:
    """What a series' slices have in common, as it was read; pydicom leaves what is empty None."""
    for tag in sorted(header.keys() & _ALIKE):
        element = header.get_item(tag)
        if isinstance(element, RawDataElement):
            yield element._replace(value_tell=0)
        elif not element.is_empty:
            raise ValueError(f"{element.keyword} holds a sequence")


@lru_cache(maxsize=64)  # most of it is the same in all slices of a series
def _said(
    elements: tuple[RawDataElement, ...], characters: tuple[str, ...], placed: bool
) -> Instance:
    """What a header says, but for the path and the place, which may be empty."""
    header = Dataset({element.tag: element for element in elements})
    if characters:
        header.SpecificCharacterSet = list(characters)
    return _described(header, placed)


def instance_of(header: Dataset, path: Path) -> Instance:
    """What places an image whose header lies in memory; `path` is its name in errors.

    Raises
    ------
    DataError
        If the header is damaged.
    """
    try:
        with _unwarned():
            position = floats(header.get("ImagePositionPatient"))
            found = _described(header, bool(position))
            uid = str(header.get("SOPInstanceUID") or "")
            return replace(found, path=path, position=position, uid=uid)
    except Exception as error:  # a damaged value can make the parser raise anything
        raise damaged_file(path, str(error)) from error


def _described(header: Dataset, placed: bool) -> Instance:
    types = [str(value) for value in _all(header.get("ImageType"))]
    found = Instance(
        path=Path(),
        modality=_modality(header),
        series=str(header.get("SeriesInstanceUID") or ""),
        patient=str(header.get("PatientID") or ""),
        grid=floats([header.get("Rows") or 0, header.get("Columns") or 0])
        + floats(header.get("PixelSpacing")),
        derived=types[:2] == ["DERIVED", "SECONDARY"],
        rescaled=present(header, "RescaleSlope") and present(header, "RescaleIntercept"),
        frames=int(header.get("NumberOfFrames") or 1),
        phase=told(header, _PHASES),
        study=str(header.get("StudyInstanceUID") or ""),
        kind=str(header.get("SOPClassUID") or ""),
        **place(header, header, header),
    )
    return replace(found, aside=_aside(header, found, types, placed))


def _modality(header: Dataset) -> str:
    """Modality, or where it is missing what the kind of object says."""
    kind = UID(header.get("SOPClassUID") or "").name
    known = {"CT": "CT", "MR": "MR", "RT Structure": "RTSTRUCT", "Segmentation": "SEG"}
    meant = [known[word] for word in known if re.search(rf"\b{word}\b", kind)]
    return str(header.get("Modality") or "") or (meant[0] if meant else "")


def _aside(header: Dataset, found: Instance, types: list[str], placed: bool) -> str:
    """Why an object is no part of a volume."""
    kind = UID(header.get("SOPClassUID") or "").name
    if found.modality in NO_IMAGE or (found.grid[0] == 0 and "Image" not in kind):
        return found.modality or "no pixels"
    if "LOCALIZER" in types:
        return "localizer"
    if header.get("SamplesPerPixel") not in (None, 1):
        return "color picture"
    if not placed and ("Secondary Capture" in kind or "SECONDARY" in types):
        return "secondary capture"
    return ""


def place(where: Dataset, turn: Dataset, measures: Dataset) -> dict[str, Any]:
    """Fields of an `Instance` from the parts of a header that say where it lies."""
    return {
        "position": floats(where.get("ImagePositionPatient")),
        "orientation": floats(turn.get("ImageOrientationPatient")),
        "thickness": floats(measures.get("SliceThickness")),
    }


def told(header: Dataset, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names and values of those elements that a header has."""
    return tuple((name, str(header[name].value)) for name in names if present(header, name))


def present(header: Dataset, name: str) -> bool:
    """Whether an element is there and not empty."""
    return header.get(name) not in (None, "")


def _all(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]


def floats(value: Any) -> tuple[float, ...]:
    """Numbers of an element, whether there are none, one or many."""
    return tuple(float(one) for one in _all(value))


def damaged_file(path: Path, found: str, expected: str = "a whole DICOM file") -> DataError:
    """Make the error for a file that no parser gets through."""
    return DataError(
        f"{named(path)} cannot be read",
        expected=expected,
        found=" ".join(found.replace(str(path), path.name).split())[:200],
        mend="copy or export the file again",
    )


def references(path: Path) -> set[str]:
    """UIDs of the image series that an RTSTRUCT or SEG says it was drawn on."""
    tags = ["ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence"]
    header = opened(path, stop_before_pixels=True, specific_tags=tags)
    return {str(e.value) for e in header.iterall() if e.keyword == "SeriesInstanceUID"}
