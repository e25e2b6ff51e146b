"""What a step is given: files and folders, known by their content wherever they lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.data.fingerprint import below, content_hashes, settled, stamp
from nextaim_kit.data.source import split_choice
from nextaim_kit.errors import DataError, RequestError

# Their voxels lie in another file, whose changes would not be seen.
_DETACHED = (".mhd", ".nhdr", ".hdr", ".img")
_held: dict[str, str] = {}


@dataclass(frozen=True)
class Content:
    """What a path stands for.

    Attributes
    ----------
    sha256 : str
        Of a file's bytes; of a folder's relative names and bytes. No place enters it.
    bytes : int
        On disk.
    choice : str
        The series that is meant of a folder, as in ``folder#1234``.
    """

    sha256: str
    bytes: int
    choice: str = ""


def content(path: str | Path) -> Content:
    """Content of a file or folder; an unchanged file is not read again.

    Raises
    ------
    DataError
        If it is not there, or keeps its voxels in another file.
    """
    place, choice = split_choice(path)
    if place.suffix.lower() in _DETACHED:
        raise DataError(
            f"{place.name} keeps its voxels in another file, whose changes would not be seen",
            expected="one file with header and voxels: .nii.gz, .nrrd, .mha",
            mend="save the volume again as one of them",
        )
    try:
        if place.is_file():
            return Content(_hashes([place])[0], place.stat().st_size, choice)
        if place.is_dir():
            return _of_folder(place, choice)
    except OSError as error:
        raise DataError(f"{place.name} cannot be read", found=str(error.strerror)) from error
    raise DataError(
        f"{place.name or place} is not there",
        expected="a file or folder; what is no path is given by its name, as a parameter",
        mend="check the path",
    )


def _of_folder(folder: Path, choice: str) -> Content:
    files = sorted(below(folder))
    lines = [f"{sha} {name}\n" for sha, (name, _) in zip(
        _hashes([path for _, path in files]), files, strict=True)]  # fmt: skip
    whole = hashlib.sha256("".join(lines).encode()).hexdigest()
    return Content(whole, sum(path.stat().st_size for _, path in files), choice)


def _hashes(paths: list[Path]) -> list[str]:
    """As `content_hashes`, whose memory on disk is asked for new files only."""
    stamps = [stamp(path) for path in paths]
    new = [path for path, mark in zip(paths, stamps, strict=True) if mark not in _held]
    fresh = dict(zip(new, content_hashes(new), strict=True)) if new else {}
    for path, mark in zip(paths, stamps, strict=True):
        if path in fresh and settled(path):
            _held[mark] = fresh[path]
    return [fresh.get(path) or _held[mark] for path, mark in zip(paths, stamps, strict=True)]


def as_input(value: Any) -> Any:
    """A positional argument of a step, with its paths told from other text.

    A text is a path; in a mapping or list it is one where there is such a file.

    Raises
    ------
    DataError
        If a text alone names no file or folder.
    """
    return Path(value) if isinstance(value, str) else _inner(value)


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _inner(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_inner(one) for one in value]
    return Path(value) if isinstance(value, str) and names_file(value) else value


def names_file(text: str) -> bool:
    """Whether a text is the path of a file, or one with a slash of a folder."""
    place, _ = split_choice(text) if text and "\0" not in text else (Path(), "")
    return os.path.isfile(place) or (os.sep in text and os.path.isdir(place))


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse a file that is named by a text: its content would not count.

    Raises
    ------
    RequestError
        Naming the parameter.
    """
    for name, value in parameters.items():
        if isinstance(value, str) and names_file(value):
            raise RequestError(
                f"the parameter {name!r} is the name of a file, whose changes would not be seen",
                expected="a pathlib.Path for a file that counts by its content",
                found="a text",
                mend=f"give {name}=Path(...)",
            )
