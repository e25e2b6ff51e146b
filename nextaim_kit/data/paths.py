"""Files that a cell or a path of the user's means: beside a table, in a series, behind a header."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nextaim_kit.errors import DataError


def place_of(cell: str, folder: Path) -> Path:
    """The path that a table's cell stands for.

    A relative one counts from the table's folder or, where nothing is there, from the folder
    ``images`` in it, where many public tables mean their files to be.
    """
    beside = folder / os.path.expanduser(cell.strip())
    below = folder / "images" / os.path.expanduser(cell.strip())
    # os.path answers False to a cell too long for a name, such as a clinical note.
    return below if os.path.exists(below) and not os.path.exists(beside) else beside


def split_choice(path: str | Path) -> tuple[Path, str]:
    """Split ``folder#1234`` into the folder and the end of the series UID that is meant."""
    place, mark, series = str(path).rpartition("#")
    if mark and not os.path.exists(os.path.expanduser(path)):
        return Path(os.path.expanduser(place)), series
    return Path(os.path.expanduser(path)), ""


# What holds a volume; of one whose voxels lie in another file, its header.
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
# As ITK's readers find it, a carriage return alone ends a line for one of them.
_META = re.compile(rb"(?:^|[\r\n])\s*ElementDataFile\s*[=:][ \t]*([^\r\n]+?)[ \t]*(?=[\r\n]|$)")
_NRRD = re.compile(rb"[\r\n]data ?file: *([^\r\n]+)", re.I)
_STRANGE = re.compile(r"[/\\%\0]|^\.*$|^\s|\s$|\s\s")  # what a reader may take otherwise
_WITHIN = (b"LOCAL", b"Local", b"local")
_HEADER = 1 << 20  # bytes in which a header has to say where its voxels are


def is_volume(name: str) -> bool:
    """Whether a file of this name is a volume, or the header of one."""
    return name.lower().endswith(VOLUMES)


def files_of(path: Path) -> list[Path]:
    """A file and, if it is the header of a volume, those files of its voxels that are there."""
    try:
        return [path, *(part for part in voxel_files(path) if part.is_file())]
    except DataError:  # it is not read, so that no other file counts
        return [path]


def voxel_files(path: Path) -> list[Path]:
    """Files that hold the voxels of a volume's header, by what it says, whether there or not.

    Raises
    ------
    DataError
        If it names a file outside of its folder, also behind a link, or none by a plain name, or
        several places: what is measured has to be what a run's fingerprint was taken of.
    """
    kind = path.suffix.lower()
    if kind in (".hdr", ".img"):
        other = {".hdr": ".img", ".img": ".hdr"}[kind]
        there = [path.with_suffix(other.upper() if path.suffix.isupper() else other)]
    elif kind in (".mha", ".mhd", ".nrrd", ".nhdr") and path.is_file():
        there = [path.parent / name for name in _named_in(path, meta=kind.startswith(".m"))]
    else:
        return []
    home = os.path.realpath(path.parent)
    if any(os.path.dirname(os.path.realpath(part)) != home for part in there):
        raise _elsewhere(path, "a file outside of its folder")
    return there


def _named_in(path: Path, *, meta: bool) -> list[str]:
    """Names of files in the header of a NRRD or MetaImage; none where the voxels follow it."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    found = list((_META if meta else _NRRD).finditer(head))
    if len(found) > 1 or (meta and head.lower().count(b"elementdatafile") != len(found)):
        raise _elsewhere(path, "several places")
    if not found or (meta and found[0][1] in _WITHIN):
        return []
    first = found[0][1]
    lines = re.split(rb"[\r\n]+", head[found[0].end() :]) if first[:4] == b"LIST" else [first]
    names = [os.fsdecode(line.strip() if meta else line) for line in lines if line]
    if not names or any(_STRANGE.search(name) for name in names):
        raise _elsewhere(path, ", ".join(names[:3]) or "a list of none")
    return names


def _elsewhere(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} does not say in one way where its voxels are",
        expected="voxels behind their header, or in a file of its folder that it calls by its name",
        found=found,
        mend="save the volume again as one file (.nii.gz, .nrrd, .mha)",
    )
