"""How much room steps may take, what lies there, and what goes first when it is used up."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nextaim_kit.data.store import view
from nextaim_kit.errors import RequestError
from nextaim_kit.files import cache_folder

GB = 10**9
_SHARE, _MOST = 10, 50 * GB  # a tenth of the disk, but not of a shared one of 100 TB
_FULL = 0.9  # of the quota is left, so that not every new entry has to make room
_DAY = 86_400  # seconds; an unfinished file of yesterday is nobody's
_unseen: dict[Path, int] = {}  # bytes written by this process since the last look, by folder


@dataclass(frozen=True)
class Held:
    """A kept value: its file, its bytes on disk, and when it was used last (seconds, epoch)."""

    path: Path
    bytes: int
    used: float

    @property
    def step(self) -> str:
        """Name of the step, which is its folder's."""
        return self.path.parent.name


def steps_folder() -> Path:
    """Folder of all kept values."""
    return cache_folder() / "steps"


def quota() -> int:
    """Bytes that kept values may take: ``NEXTAIM_CACHE_GB``, else a tenth of the disk, <= 50 GB.

    Zero keeps nothing; so does a process that reads an encrypted store.
    """
    if view.in_use():
        return 0
    given = os.environ.get("NEXTAIM_CACHE_GB", "").strip()
    if not given:
        return min(disk()[0] // _SHARE or _MOST, _MOST)
    with contextlib.suppress(ValueError, OverflowError):
        if float(given) >= 0:
            return int(float(given) * GB)
    expected = "gigabytes, such as 20; 0 keeps nothing"
    raise RequestError("NEXTAIM_CACHE_GB is no size", expected=expected, found=repr(given))


def disk() -> tuple[int, int]:
    """Size and free bytes of the disk that the cache lies on."""
    folder = cache_folder()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = shutil.disk_usage(folder)
    return found.total, found.free


def held() -> list[Held]:
    """All kept values, the least recently used first."""
    found = [
        Held(path, status.st_size, status.st_mtime)
        for path, status in _files()
        if path.suffix == ".zip" and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda one: (one.used, one.path))


def _files() -> Iterator[tuple[Path, os.stat_result]]:
    for path in steps_folder().glob("*/*"):
        with contextlib.suppress(OSError):  # another process removed it
            yield path, path.stat()


def keep_to_quota(written: int, allowed: int) -> None:
    """Remove the least recently used until what is left is within the quota, `allowed` bytes.

    All entries are looked at by a process when it first writes, and again when it has `written`
    a hundredth of the quota.
    """
    folder = steps_folder()
    _unseen[folder] = _unseen.get(folder, allowed) + written
    if _unseen[folder] < allowed / 100:
        return
    _unseen[folder] = 0
    entries = held()
    taken = sum(one.bytes for one in entries)
    if taken > allowed:
        remove(_first(entries[:-1], taken - int(_FULL * allowed)))  # not the newest


def _first(entries: Sequence[Held], size: int) -> list[Held]:
    """As many entries as have a size together."""
    before = itertools.accumulate((one.bytes for one in entries), initial=0)
    return [one for one, gone in zip(entries, before, strict=False) if gone < size]


def remove(entries: Iterable[Held]) -> int:
    """Remove entries, and what killed processes left; gives the bytes removed.

    A process that reads an entry keeps it open, and reads it to the end.
    """
    gone = 0
    for path, status in _files():
        if path.name.startswith(".partial-") and time.time() - status.st_mtime > _DAY:
            path.unlink(missing_ok=True)
    for one in entries:
        with contextlib.suppress(OSError):
            one.path.unlink()
            gone += one.bytes
    return gone


def to_remove(
    *, step: str | None = None, older_than: float | None = None, to: float | None = None
) -> list[Held]:
    """Entries of a step (the end of its name will do), unused for days, beyond so many GB in all.

    The least recently used are first.

    Raises
    ------
    RequestError
        If no step has that name.
    """
    every = held()
    chosen = [one for one in every if step is None or f".{one.step}".endswith(f".{step}")]
    if step is not None and not chosen:
        raise RequestError(
            f"nothing is kept of a step {step!r}",
            expected=", ".join(sorted({one.step for one in every})) or "a step that was cached",
        )
    if older_than is not None:
        chosen = [one for one in chosen if time.time() - one.used > older_than * _DAY]
    if to is None:
        return chosen
    return _first(chosen, sum(one.bytes for one in every) - int(to * GB))
