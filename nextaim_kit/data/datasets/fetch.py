"""Data sets on this machine: fetched where they are open, explained where not, verified always."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nextaim_kit.data.datasets.download import UnreachableError
from nextaim_kit.data.datasets.manifest import File, Manifest, load_manifest
from nextaim_kit.data.datasets.transfer import Progress, transfer
from nextaim_kit.data.datasets.unpack import unpack
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import data_folder, sha256_of

State = Literal["ok", "missing", "wrong size", "wrong hash", "present, not verifiable"]
Hashes = Callable[[Path], str] | None
UNVERIFIED: State = "present, not verifiable"


@dataclass(frozen=True)
class FileState:
    """What is known of one file: its path in the data set, its state, and the detail."""

    path: str
    state: State
    detail: str = ""

    @property
    def bad(self) -> bool:
        """Whether the file is missing or another than the manifest's."""
        return self.state not in ("ok", UNVERIFIED)


@dataclass(frozen=True)
class FetchReport:
    """What `fetch` left in `folder`; `notes` are steps it leaves to the user."""

    name: str
    folder: Path
    states: list[FileState]
    notes: list[str]


def where(name: str) -> Path:
    """Folder of a data set, there or not.

    Raises
    ------
    RequestError
        If no data set has that name.
    """
    return data_folder() / load_manifest(name).name


def verify(name: str) -> list[FileState]:
    """Compare the files that are here with the manifest, every byte of them.

    Raises
    ------
    RequestError
        If no data set has that name.
    """
    manifest, folder = load_manifest(name), where(name)
    return [_state(file, folder / file.path, sha256_of) for file in manifest.files]


def fetch(name: str, *, progress: Progress | None = None) -> FetchReport:
    """Bring an open data set to this machine; files that are whole already are left alone.

    ``NEXTAIM_MIRROR``, a folder or an address, is asked first for ``<mirror>/<name>/<path>``.

    Parameters
    ----------
    name : str
        Name of the data set.
    progress : callable, optional
        Called with a file's path, its bytes so far and its bytes in all (None where unknown).

    Raises
    ------
    RequestError
        If no data set has that name, or it is not open: then with the steps to get it.
    DataError
        If files could not be had; names each, after all others were fetched.
    """
    manifest, folder = load_manifest(name), where(name)
    states = [_state(file, folder / file.path, _known_hash) for file in manifest.files]
    if manifest.access != "open" and any(state.bad for state in states):
        raise _steps(manifest, folder)
    failures: list[DataError] = []
    for number, file in enumerate(manifest.files):
        path, wanted = folder / file.path, states[number].bad
        try:
            if wanted:
                transfer(manifest.name, file, path, progress)
                # Its hash was compared on the way here.
                states[number] = _state(file, path, None)
            if file.unpack and (wanted or not path.with_suffix("").is_dir()):
                unpack(path)
        except UnreachableError as error:
            raise _no_network(name, folder, error) from error
        except DataError as error:
            failures.append(error)
    if failures:
        raise _together(name, failures, len(manifest.files))
    notes = manifest.how_to_get if manifest.access == "open" else []
    return FetchReport(name, folder, states, notes)


def _state(file: File, path: Path, hashed: Hashes) -> FileState:
    if not path.is_file():
        return FileState(file.path, "missing", f"not in {path.parent}")
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        return FileState(file.path, "wrong size", f"{size:,} bytes instead of {file.bytes:,}")
    if file.sha256 is None:
        return FileState(file.path, UNVERIFIED, "could not be verified: no checksum is known")
    digest = hashed(path) if hashed else file.sha256
    if digest != file.sha256:
        return FileState(file.path, "wrong hash", f"sha256 {digest} instead of {file.sha256}")
    return FileState(file.path, "ok")


def _known_hash(path: Path) -> str:
    from nextaim_kit.data.hashes import content_hashes

    return content_hashes([path])[0]


def _steps(manifest: Manifest, folder: Path) -> RequestError:
    steps = [f"    {number}. {step}" for number, step in enumerate(manifest.how_to_get, 1)]
    return RequestError(
        f"{manifest.name} cannot be fetched: access needs "
        f"{'a registration' if manifest.access == 'registration' else 'an agreement'}",
        expected="you to get it yourself:\n" + "\n".join(steps),
        found=f"terms: {manifest.terms}",
        mend=f"put the files into {folder}, then: nextaim data verify {manifest.name}",
    )


def _no_network(name: str, folder: Path, error: UnreachableError) -> DataError:
    mirror = os.environ.get("NEXTAIM_MIRROR")
    return DataError(
        f"{name} could not be fetched: {error.what}",
        expected="a connection, or a copy at hand",
        found=error.found + (f"; asked first: {mirror}" if mirror else ""),
        mend="set NEXTAIM_MIRROR to a folder or an address that holds "
        f"{name}/<file>, or put the files into {folder} and run nextaim data verify {name}",
    )


def _together(name: str, failures: list[DataError], count: int) -> DataError:
    if len(failures) == 1 == count:
        return failures[0]
    shown = textwrap.indent("\n".join(str(error) for error in failures[:5]), "    ")
    more = f"\n    and {len(failures) - 5} more" if len(failures) > 5 else ""
    return DataError(
        f"{len(failures)} of {count} files of {name} could not be fetched",
        expected="all of them; the others are here",
        found="\n" + shown + more,
        mend=f"run nextaim data fetch {name} again, or set NEXTAIM_MIRROR to a copy",
    )
