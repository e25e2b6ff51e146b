"""How much room steps may take, what lies there, and what goes first when it is used up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nextaim_kit.data.files import cache_folder
from nextaim_kit.errors import RequestError

GB = 10**9
_SHARE, _MOST = 10, 50 * GB  # a tenth of the disk, but not of a shared one of 100 TB
_FULL = 0.9  # of the quota is left, so that not every new entry has to make room
_STALE = 86_400  # seconds after which an unfinished file is nobody's
_RECENT = 3600
_left: dict[tuple[str, int], float] = {}
_said: set[str] = set()


@dataclass(frozen=True)
class Held:
    """A kept value: its file, its bytes on disk, and when it was used last (seconds, epoch)."""

    path: Path
    bytes: int
    used: float

    @property
    def folder(self) -> str:
        """The step's folder, which has its name."""
        return self.path.parent.name


def steps_folder() -> Path:
    """Folder of all kept values."""
    return cache_folder() / "steps"


def quota() -> int:
    """Bytes that kept values may take: ``NEXTAIM_CACHE_GB``, else a tenth of the disk, <= 50 GB.

    Zero keeps nothing.

    Raises
    ------
    RequestError
        If the variable holds no number.
    """
    said = os.environ.get("NEXTAIM_CACHE_GB", "").strip()
    if not said:
        return min(disk()[0] // _SHARE or _MOST, _MOST)
    with contextlib.suppress(ValueError, OverflowError):
        if float(said) >= 0:
            return int(float(said) * GB)
    raise RequestError(
        "NEXTAIM_CACHE_GB is no size",
        expected="gigabytes, such as 20; 0 keeps nothing",
        found=repr(said),
    )


def disk() -> tuple[int, int]:
    """Size and free bytes of the disk that the cache lies on."""
    folder = cache_folder().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = shutil.disk_usage(folder)
    return found.total, found.free


def held() -> list[Held]:
    """All kept values, the least recently used first."""
    found = []
    for path, status in _files():
        if path.suffix == ".zip" and not path.name.startswith("."):
            found.append(Held(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda one: (one.used, one.path))


def unfinished() -> list[Path]:
    """Files that a killed process left half written, a day ago or earlier."""
    now = time.time()
    return [
        path
        for path, status in _files()
        if path.name.startswith(".partial-") and now - status.st_mtime > _STALE
    ]


def _files() -> Iterator[tuple[Path, os.stat_result]]:
    for path in steps_folder().glob("*/*"):
        with contextlib.suppress(OSError):  # another process removed it
            yield path, path.stat()


def make(size: int) -> bool:
    """Make room for an entry, removing the least recently used; False where there is none.

    The folder is looked through when a quarter of what was free has been written: up to four
    processes that write at once then stay within the quota.
    """
    allowed = quota()
    where = str(steps_folder()), allowed
    if size > _left.get(where, 0):
        entries = held()
        taken = sum(one.bytes for one in entries)
        if taken + size > allowed:
            taken -= _remove_until(entries, taken + size - _FULL * allowed)
        if taken + size > allowed:
            return False
        _left[where] = max(size, (allowed - taken) / 4)
    _left[where] -= size
    return True


def _remove_until(entries: Iterable[Held], enough: float) -> int:
    gone, recent = 0, False
    for path in unfinished():
        path.unlink(missing_ok=True)
    for one in entries:
        if gone >= enough:
            break
        if remove(one.path):
            gone += one.bytes
            recent |= time.time() - one.used < _RECENT
    if recent:
        say(
            f"the cache holds {quota() / GB:g} GB, which is too little for what works here now: "
            "steps done within the last hour were removed; set NEXTAIM_CACHE_GB to more"
        )
    return gone


def remove(path: Path) -> bool:
    """Remove an entry, unless a process reads it; tells whether it was removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not _locked(descriptor):
            return False
        path.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def say(text: str) -> None:
    """Warn, once in this process."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, stacklevel=2)
