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
    from nextaim_kit.data.datasets.manifest import Manifest

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Source:
    """Where a cohort comes from; `path` is the file or folder, `manifest` describes it if known.

    The synthetic twin has no path.
    """

    name: str
    path: Path
    manifest: Manifest | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it is the study's own twin."""
        return self is _TWIN

    @property
    def spec(self) -> str:
        """The spec that stands for it wherever one stands: a name, or an absolute path."""
        return self.name if self.synthetic or self.manifest else str(self.path.resolve())


_TWIN = Source(SYNTHETIC, Path(os.devnull))


def find_source(spec: str | Source) -> Source:
    """Find the file or folder a spec stands for; what is found already is handed back.

    ``synthetic`` is the twin, a bare name that a manifest has that manifest's; ``./name`` is the
    folder of that name.

    Raises
    ------
    RequestError
        If the spec is neither a path nor a manifest's name; names the nearest known ones.
    DataError
        If the manifest's data are not on this machine.
    """
    if isinstance(spec, Source):
        return spec
    if spec == SYNTHETIC:
        return _TWIN
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
