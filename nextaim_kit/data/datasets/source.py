"""What a cohort's spec stands for: the synthetic twin, a path, or a manifest's name."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nextaim_kit.data.addresses import PULLED, is_address, read_address
from nextaim_kit.data.store.sealed import is_store
from nextaim_kit.data.store.view import view_of
from nextaim_kit.errors import DataError, RequestError

if TYPE_CHECKING:
    from nextaim_kit.data.datasets.manifest import Manifest

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from; `path` is the file or folder, `manifest` describes it if known.

    The synthetic twin has no path. Of an encrypted store, `path` is its folder in memory, `given`
    what was asked for, and `terms` say its ``licence``, ``agreement`` and the last day, ``until``.
    """

    name: str
    path: Path
    manifest: Manifest | None = None
    given: Path | None = None
    terms: Mapping[str, str] = field(default_factory=dict)

    @property
    def synthetic(self) -> bool:
        """Whether it is the study's own twin."""
        return self is _TWIN

    @property
    def spec(self) -> str:
        """The spec that stands for it wherever one stands: a name, or an absolute path."""
        return (
            self.name
            if self.synthetic or self.manifest
            else str((self.given or self.path).resolve())
        )


_TWIN = Source(SYNTHETIC, Path(os.devnull))


def find_source(spec: str | Source) -> Source:
    """Find the file or folder a spec stands for; what is found already is handed back.

    ``synthetic`` is the twin, a bare name that a manifest has that manifest's; ``./name`` is the
    folder of that name; an archive's address is the folder that it was pulled to.

    Raises
    ------
    RequestError
        If the spec is neither a path nor a manifest's name; names the nearest known ones.
    DataError
        If the manifest's or the archive's data are not on this machine, or not whole.
    """
    if isinstance(spec, Source):
        return spec
    if spec == SYNTHETIC:
        return _TWIN
    if is_address(spec):
        return _pulled(spec)
    names = _manifest_names() if Path(spec).name == spec else []
    if spec in names:
        return _of_manifest(spec)
    path = Path(spec).expanduser()
    with contextlib.suppress(OSError):  # a name too long, or a folder one may not look into
        place, terms = shown(path)
        if spec.strip() and place.exists():
            given = path if place != path else None
            return Source(place.resolve().name, place, given=given, terms=terms)
    near = difflib.get_close_matches(spec.lower(), [SYNTHETIC, *names], n=3)
    raise RequestError(
        f"no data at {spec!r}",
        expected="'synthetic', a table, a folder, a data set's name, or an archive's address",
        found="no such file or folder, and no data set of that name",
        mend=f"did you mean {' or '.join(near)}?" if near else "nextaim data list shows the names",
    )


def shown(path: Path) -> tuple[Path, Mapping[str, str]]:
    """Where a path is read, and on which terms: itself, or if it leads to a store, in memory.

    Raises
    ------
    KitError
        If the store cannot be opened (`data.store.view`).
    """
    inner = path.parents if len(path.parts) > 1 and not path.exists() else ()
    for folder in (path, *inner):
        if is_store(folder):
            view = view_of(folder)
            return view.data / path.relative_to(folder), view.terms
    return path, {}


def _manifest_names() -> list[str]:
    from nextaim_kit.data.datasets.manifest import manifest_names

    return manifest_names()


def _of_manifest(name: str) -> Source:
    from nextaim_kit.data.datasets.fetch import where
    from nextaim_kit.data.datasets.manifest import load_manifest

    place = where(name)
    if not any(path.is_file() for path in place.rglob("*")):
        raise DataError(
            f"the data of {name} are not on this machine",
            expected=f"them in {place}",
            mend=f"nextaim data fetch {name}",
        )
    return Source(name, place, load_manifest(name))


def _pulled(spec: str) -> Source:
    address = read_address(spec)
    folder = address.folder()
    if not (folder / PULLED).is_file():
        begun = folder.is_dir()
        raise DataError(
            f"the images of {address.shown} are {'not all' if begun else 'not'} on this machine",
            expected=f"them, without identity, in {folder}",
            mend=f"nextaim data pull '{address.shown}'",
        )
    return Source(folder.name, folder)
