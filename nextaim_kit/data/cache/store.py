"""Where steps are kept: a file for each value, in the user's own folder, whole or not at all.

The folder is ``steps`` in the kit's cache (``NEXTAIM_CACHE``), open to the user alone, since
pixels lie in it. Files are named by hashes; nothing in their names or notes tells a patient or a
path. Any number of processes may read and write: a file takes its name when it is whole, its
checksums tell damage, and one that is read is locked, so that no other process removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextaim_kit.data.cache import chunks
from nextaim_kit.data.cache.room import make, quota, say, steps_folder
from nextaim_kit.data.files import atomic_path
from nextaim_kit.errors import DataError

_TOUCH = 60  # seconds for which the note of the last use may lag behind


@dataclass(frozen=True)
class Identity:
    """What stands for the value of a step.

    Attributes
    ----------
    step : str
        Name of the function.
    variant : str
        Hash of its code and parameters.
    key : str
        Hash of these and the inputs.
    sources : dict of str to int
        Bytes of each input, by the hash of its content.
    """

    step: str
    variant: str
    key: str
    sources: dict[str, int]

    @property
    def path(self) -> Path:
        """Where the value is kept."""
        return steps_folder() / re.sub(r"[^\w.-]", "_", self.step)[-150:] / f"{self.key}.zip"


def there(identity: Identity) -> bool:
    """Whether the value is kept."""
    return identity.path.is_file()


@contextlib.contextmanager
def opened(identity: Identity) -> Iterator[chunks.Entry | None]:
    """The kept value, locked while it is read; None where there is none.

    A block that meets damage is left by `DamagedError`, after the entry was removed.
    """
    try:
        descriptor = os.open(identity.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        _touch(descriptor)
        yield chunks.Entry(descriptor)
    except chunks.DamagedError:
        _remove_damaged(identity)
        raise
    finally:
        os.close(descriptor)


def _touch(descriptor: int) -> None:
    """Note that an entry was used, in its time of change: other times need not be kept."""
    with contextlib.suppress(OSError):
        if time.time() - os.fstat(descriptor).st_mtime > _TOUCH:
            os.utime(descriptor)


def _remove_damaged(identity: Identity) -> None:
    say(f"a damaged entry of {identity.step} in {steps_folder()} is made anew")
    with contextlib.suppress(OSError):
        identity.path.unlink(missing_ok=True)


def keep(identity: Identity, value: Any, arrays: list[np.ndarray]) -> None:
    """Keep a value; where that cannot be, say so once and go on."""
    if not quota():
        return
    note = {
        "step": identity.step, "variant": identity.variant, "sources": identity.sources,
        "bytes": sum(a.nbytes for a in arrays), "value": value,
    }  # fmt: skip
    try:
        _own(steps_folder())
        with atomic_path(identity.path) as partial:
            chunks.write(partial, arrays, note)
            _make_room(identity, partial.stat().st_size)
    except _NoRoomError as error:
        say(str(error))
    except DataError as error:
        say(
            f"steps are not kept and are done anew each time: {error.found} in {steps_folder()}; "
            "make room (nextaim data cache prune), or choose another folder by NEXTAIM_CACHE"
        )


class _NoRoomError(Exception):
    pass


def _make_room(identity: Identity, size: int) -> None:
    if not make(size):
        raise _NoRoomError(
            f"{identity.step} is not kept and is done anew each time: an entry of "
            f"{size / 1e6:.0f} MB has no room in the cache's {quota() / 1e9:g} GB; "
            "set NEXTAIM_CACHE_GB to more"
        )


def _own(folder: Path) -> None:
    """Make a folder that only the user may look into."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise DataError("no cache", found=error.strerror or str(error)) from error
