"""DICOM headers: what a file is, and to which patient, series and place it belongs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom import filereader
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from nextaim_kit.data.bounds import memory_free, require_room, unpacked_size
from nextaim_kit.errors import DataError
from nextaim_kit.files import files_below, require_file

SUFFIXES = {".dcm", ".dicom", ".ima"}
MASKS = {"RTSTRUCT", "SEG"}
NO_IMAGE = MASKS | {"RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"}
_PHASES = ["AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers"]
_TAGS = [
    "SOPClassUID", "ImageType", "Modality", "SeriesInstanceUID", "PatientID",
    "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns", "SamplesPerPixel",
    "NumberOfFrames", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    *_PHASES,
]  # fmt: skip
# The start of a file without preamble: an element of group 2 or 8, its VR or a short length.
_HEADLESS = re.compile(rb"[\x02\x08]\0.\0([A-Z]{2}|.[\0-\x04]\0\0)|\0[\x02\x08]\0.[A-Z]{2}", re.S)


@dataclass(frozen=True)
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
            start = file.read(132)
    except (OSError, DataError):
        return False  # the reader that takes it will say why
    return start[128:] == b"DICM" or bool(_HEADLESS.match(start))


def opened(path: Path, **options: Any) -> Dataset:
    """Parse one DICOM file, with or without its preamble; options are those of ``dcmread``."""
    require_bounded(path)
    try:
        return pydicom.dcmread(path, **options)
    except InvalidDicomError:
        with path.open("rb") as file:
            if not _HEADLESS.match(file.read(132)):
                raise
    data = pydicom.dcmread(path, force=True, **options)
    if "TransferSyntaxUID" not in data.file_meta:
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
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(4096):
            return
        file.seek(0)
        filereader.read_preamble(file, force=True)
        meta = filereader._read_file_meta_info(file)  # as `dcmread` does, up to what is packed
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            require_room(unpacked_size(file, -zlib.MAX_WBITS, memory_free()), path)


def modality(path: Path) -> str:
    """Modality of one DICOM file, such as CT, RTSTRUCT or SEG."""
    return read_header(path).modality


def read_header(path: Path) -> Instance:
    """Read what places one DICOM file; DataError if it is damaged. Empty is like not there."""
    try:
        header = opened(path, stop_before_pixels=True, specific_tags=_TAGS)
        types = [str(value) for value in _all(header.get("ImageType"))]
        found = Instance(
            path=path,
            modality=_modality(header),
            series=str(header.get("SeriesInstanceUID") or ""),
            patient=str(header.get("PatientID") or ""),
            grid=floats([header.get("Rows") or 0, header.get("Columns") or 0])
            + floats(header.get("PixelSpacing")),
            derived=types[:2] == ["DERIVED", "SECONDARY"],
            rescaled=present(header, "RescaleSlope") and present(header, "RescaleIntercept"),
            frames=int(header.get("NumberOfFrames") or 1),
            phase=told(header, _PHASES),
            **place(header, header, header),
        )
        return replace(found, aside=_aside(header, found, types))
    except DataError:
        raise
    except Exception as error:  # a damaged file can make the parser raise anything
        raise damaged_file(path, str(error)) from error


def _modality(header: Dataset) -> str:
    """Modality, or where it is missing what the kind of object says."""
    kind = UID(header.get("SOPClassUID") or "").name
    known = {"CT": "CT", "MR": "MR", "RT Structure": "RTSTRUCT", "Segmentation": "SEG"}
    meant = [known[word] for word in known if re.search(rf"\b{word}\b", kind)]
    return str(header.get("Modality") or "") or (meant[0] if meant else "")


def _aside(header: Dataset, found: Instance, types: list[str]) -> str:
    """Why an object is no part of a volume."""
    kind = UID(header.get("SOPClassUID") or "").name
    if found.modality in NO_IMAGE or (found.grid[0] == 0 and "Image" not in kind):
        return found.modality or "no pixels"
    if "LOCALIZER" in types:
        return "localizer"
    if header.get("SamplesPerPixel") not in (None, 1):
        return "color picture"
    if not found.position and ("Secondary Capture" in kind or "SECONDARY" in types):
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


def scan(folder: Path) -> tuple[list[Instance], list[Path]]:
    """Headers of every DICOM file below a folder, sorted by path, and the damaged ones' paths."""
    instances, damaged = [], []
    for path in files_below(folder):
        if path.name == "DICOMDIR" or not is_dicom(path):
            continue
        try:
            instances.append(read_header(path))
        except DataError:
            damaged.append(path)
    return instances, damaged


def references(path: Path) -> set[str]:
    """UIDs of the image series that an RTSTRUCT or SEG says it was drawn on."""
    tags = ["ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence"]
    header = opened(path, stop_before_pixels=True, specific_tags=tags)
    return {str(e.value) for e in header.iterall() if e.keyword == "SeriesInstanceUID"}
