"""Folders in memory for what is read of stores: found, taken in turn, gone with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from nextaim_kit.errors import DataError

_PLACES = [p for p in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR"), "/run/shm") if p]
ROOTS = tuple(f"{os.path.realpath(place)}/nextaim-store-{os.getuid()}/" for place in _PLACES)
_REAPER = 'cat >/dev/null; exec rm -rf -- "$0"'  # its input ends when this process does


def root() -> Path:
    """Folder for views of this user, in a file system that lies in memory."""
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        memory = {place for _, place, kind, *_ in mounts if kind in ("tmpfs", "ramfs")}
        for place in map(Path, ROOTS):
            if str(place.parent) in memory and os.access(place.parent, os.W_OK):
                place.mkdir(mode=0o700, exist_ok=True)
                status = place.lstat()
                if status.st_uid == os.getuid() and not status.st_mode & 0o077:
                    return place
    raise DataError(
        "this machine has no folder in memory for what is read of a store",
        expected="a tmpfs that this user may write to, such as /dev/shm",
        mend="run on Linux with /dev/shm; `nextaim data store open` writes the files in the clear",
    )


@contextlib.contextmanager
def turn(place: Path) -> Iterator[None]:
    """One process at a time makes and takes away views."""
    handle = os.open(place / ".turn", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def watch_over(folder: Path) -> subprocess.Popen:
    """Let the folder go when this process does, however it ends."""
    command = ["/bin/sh", "-c", _REAPER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)


def let_go(reaper: subprocess.Popen) -> None:
    """Have the folder go now."""
    if reaper.stdin:
        reaper.stdin.close()
    reaper.wait()


def without_places(text: str) -> str:
    """A text whose paths of views begin with the store's name."""
    for place in ROOTS:
        text = re.sub(rf"{re.escape(place)}\w+/data/", "", text)
    return text


def swaps() -> bool:
    """Whether memory may be written to a disk."""
    with contextlib.suppress(OSError):
        return any("zram" not in line for line in Path("/proc/swaps").read_text().split("\n")[1:-1])
    return False
