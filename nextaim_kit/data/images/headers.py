"""Headers of DICOM files, each read once in a process, and again only if its file has changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from nextaim_kit.data.images.dicom import Instance, header_if_dicom, read_header
from nextaim_kit.data.images.remembered import HEADERS, stamp_of
from nextaim_kit.errors import DataError
from nextaim_kit.files import files_below


def scan(folder: Path) -> tuple[list[Instance], list[Path]]:
    """Headers of every DICOM file below a folder, sorted by path, and the damaged ones' paths."""
    instances, damaged = [], []
    for path in files_below(folder):
        if path.name == "DICOMDIR":
            continue
        try:
            found = _header(path)
        except DataError:
            damaged.append(path)
        else:
            instances += [found] if found else []
    return instances, damaged


def header_of(path: Path) -> Instance:
    """What places one DICOM file, and what its pixels mean.

    Raises
    ------
    DataError
        If it is damaged.
    """
    return _header(path) or read_header(path)


def modality(path: Path) -> str:
    """Modality of one DICOM file, such as CT, RTSTRUCT or SEG."""
    return header_of(path).modality


def _header(path: Path) -> Instance | None:
    """A header, from memory while the file is as it was; None of what is no DICOM."""
    try:
        stamp = stamp_of(path.stat())
    except OSError:  # the reader says why
        return header_if_dicom(path)
    place = os.path.abspath(path)
    for known in HEADERS.recall(place, stamp):
        return known if not known or known.path == path else replace(known, path=path)
    found = header_if_dicom(path)
    HEADERS.remember(place, stamp, found)
    return found
