"""Which state of this package runs."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import nextaim_kit

_State = tuple[str, int, int, int]  # of a file: its path, time of change, size and number


def kit_version() -> str:
    """Version with a digest of the package's sources, so that an edited kit is told apart."""
    return _of_process(os.getpid())


@cache
def _of_process(_process: int) -> str:
    """Looked up once in a process; a fork finds what its parent knew if no file changed since."""
    return _of_files(tuple(sorted(_sources(os.path.dirname(nextaim_kit.__file__)))))


def _sources(folder: str) -> list[_State]:
    found: list[_State] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += _sources(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                found.append((entry.path, status.st_mtime_ns, status.st_size, status.st_ino))
    return found


@cache
def _of_files(states: tuple[_State, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(state[0]) for state in states):
        digest.update(path.name.encode() + path.read_bytes())
    return f"{nextaim_kit.__version__}+{digest.hexdigest()[:8]}"
