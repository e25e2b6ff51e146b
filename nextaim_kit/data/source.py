"""What a cohort's spec stands for: the synthetic twin, a path, or a manifest's name."""

from __future__ import annotations

import contextlib
import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nextaim_kit.errors import DataError, RequestError

if TYPE_CHECKING:
    from nextaim_kit.data.manifest import Manifest

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from; `path` is the file or folder, `manifest` describes it if known."""

    name: str
    path: Path
    manifest: Manifest | None = None


def find_source(spec: str) -> Source:
    """Find the file or folder a spec stands for.

    A bare name that a manifest has is that manifest's; ``./name`` is the folder of that name.

    Raises
    ------
    RequestError
        If the spec is neither a path nor a manifest's name; names the nearest known ones.
    DataError
        If the manifest's data are not on this machine.
    """
    names = _manifest_names() if Path(spec).name == spec else []
    if spec in names:
        return _of_manifest(spec)
    path = Path(spec).expanduser()
    with contextlib.suppress(OSError):  # a name too long, or a folder one may not look into
        if spec.strip() and path.exists():
            return Source(path.resolve().name, path)
    near = difflib.get_close_matches(spec.lower(), [SYNTHETIC, *names], n=3)
    raise RequestError(
        f"no data at {spec!r}",
        expected="'synthetic', a table, a folder, or a data set's name",
        found="no such file or folder, and no data set of that name",
        mend=f"did you mean {' or '.join(near)}?" if near else "nextaim data list shows the names",
    )


def _manifest_names() -> list[str]:
    from nextaim_kit.data.manifest import manifest_names

    return manifest_names()


def _of_manifest(name: str) -> Source:
    from nextaim_kit.data.fetch import where
    from nextaim_kit.data.manifest import load_manifest

    place = where(name)
    if not any(path.is_file() for path in place.rglob("*")):
        raise DataError(
            f"the data of {name} are not on this machine",
            expected=f"them in {place}",
            mend=f"nextaim data fetch {name}",
        )
    return Source(name, place, load_manifest(name))


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
