"""Files that a cell or a path of the user's means: beside a table, in a series, behind a header."""

from __future__ import annotations

import os
import re
from pathlib import Path


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
_VOXELS = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file:)\s*(.+?)\s*$", re.M | re.I)


def is_volume(name: str) -> bool:
    """Whether a file of this name is a volume, or the header of one."""
    return name.lower().endswith(VOLUMES)


def files_of(path: Path) -> list[Path]:
    """A file and, if it is the header of a volume, those files of its voxels that are there."""
    return [path, *(part for part in voxel_files(path) if part.is_file())]


def voxel_files(path: Path) -> list[Path]:
    """Files that hold the voxels of a volume's header, by what it says, whether there or not."""
    kind = path.suffix.lower()
    if kind in (".hdr", ".img"):
        other = {".hdr": ".img", ".img": ".hdr"}[kind]
        return [path.with_suffix(other.upper() if path.suffix.isupper() else other)]
    if kind not in (".mhd", ".nhdr") or not path.is_file():
        return []
    with path.open("rb") as stream:
        head = stream.read(1 << 20)
    found = _VOXELS.search(head)
    if not found or found[1].lower() == b"local":
        return []
    names = head[found.end() :].split(b"\n") if found[1].split()[0] == b"LIST" else [found[1]]
    return [path.parent / os.fsdecode(name.strip()) for name in names if name.strip()]
