"""DICOM headers: what a file is, and to which patient, series and place it belongs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.misc import is_dicom as has_preamble

from nextaim_kit.data.files import files_below
from nextaim_kit.errors import DataError

SUFFIXES = {".dcm", ".dicom", ".ima"}
MASKS = {"RTSTRUCT", "SEG"}
NO_IMAGE = MASKS | {"RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"}
_TAGS = [
    "Modality", "SeriesInstanceUID", "PatientID", "ImagePositionPatient",
    "ImageOrientationPatient", "Rows", "Columns", "PixelSpacing", "RescaleSlope",
    "RescaleIntercept",
]  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """What the header of one DICOM file says about its place; positions and spacing in mm."""

    path: Path
    modality: str
    series: str
    patient: str
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    grid: tuple[float, ...]  # rows, columns, pixel spacing
    rescale: tuple[float, ...]  # slope, intercept

    @property
    def is_mask(self) -> bool:
        """Whether the file holds regions of interest."""
        return self.modality in MASKS

    @property
    def is_image(self) -> bool:
        """Whether the file is a slice or a volume, not a drawing, a dose or a report."""
        return self.modality not in NO_IMAGE and bool(self.grid) and self.grid[0] > 0


def named(path: Path) -> str:
    """Name of a file with its folder's: enough to find it, and the same on every machine."""
    return "/".join(path.parts[-2:]).lstrip("/")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its preamble or, where that was cut off, by its suffix."""
    return path.suffix.lower() in SUFFIXES or has_preamble(path)


def modality(path: Path) -> str:
    """Modality of one DICOM file, such as CT, RTSTRUCT or SEG."""
    return read_header(path).modality


def read_header(path: Path) -> Instance:
    """Read what places one DICOM file; DataError if it is damaged."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        return Instance(
            path=path,
            modality=str(header.get("Modality", "")),
            series=str(header.get("SeriesInstanceUID", "")),
            patient=str(header.get("PatientID", "")),
            position=_floats(header.get("ImagePositionPatient")),
            orientation=_floats(header.get("ImageOrientationPatient")),
            grid=_floats(
                [header.get("Rows", 0), header.get("Columns", 0), *header.get("PixelSpacing", [])]
            ),
            rescale=_floats([header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0)]),
        )
    except Exception as error:  # a damaged file can make the parser raise anything
        raise damaged_file(path, str(error)) from error


def _floats(values: Iterable[Any] | None) -> tuple[float, ...]:
    return tuple(float(value) for value in values or ())


def damaged_file(path: Path, found: str) -> DataError:
    """Make the error for a file that no parser gets through."""
    return DataError(
        f"{named(path)} cannot be read",
        expected="a whole DICOM file",
        found=" ".join(found.replace(str(path), path.name).split())[:200],
        mend="copy or export the file again",
    )


def scan(folder: Path) -> tuple[list[Instance], list[Path]]:
    """Headers of every DICOM file below a folder, sorted by path, and the damaged ones' paths."""
    instances, damaged = [], []
    for path in files_below(folder):
        if not path.is_file() or path.name == "DICOMDIR":
            continue
        if not is_dicom(path):
            continue
        try:
            instances.append(read_header(path))
        except DataError:
            damaged.append(path)
    return instances, damaged


def references(path: Path) -> set[str]:
    """UIDs of the image series that an RTSTRUCT or SEG says it was drawn on."""
    tags = ["ReferencedFrameOfReferenceSequence", "ReferencedSeriesSequence"]
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    return {str(e.value) for e in header.iterall() if e.keyword == "SeriesInstanceUID"}
