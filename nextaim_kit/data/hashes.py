"""Digests of files, remembered while size and time stamp stay as they are."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from nextaim_kit.data.store import view
from nextaim_kit.errors import KitError, warn_once
from nextaim_kit.files import cache_folder, files_below, sha256_of, strangers_hand, write_text

# A file changed within the clock's grain keeps its time stamp, so the newest are not remembered.
SETTLED_NS = 2_000_000_000
_late: list[dict[str, str]] = []  # what `at_once` has still to note


def below(folder: Path) -> list[tuple[str, Path]]:
    """Relative paths and files below a folder; hidden ones are nobody's data."""
    files = [path for path in files_below(folder) if path.is_file()]
    return [(path.relative_to(folder).as_posix(), path) for path in files]


def content_hashes(paths: Iterable[Path]) -> list[str]:
    """SHA-256 of each file, from memory where size and time stamp are as when it was computed."""
    known, digests = _recall(), []
    fresh = _late[-1] if _late else {}
    for path in paths:
        if told := view.digest_of(path):
            digests.append(told)
            continue
        key = stamp(path)
        digest = known.get(key) or fresh.get(key) or sha256_of(path)
        if key not in known and settled(path):
            fresh[key] = digest
        digests.append(digest)
    if fresh and not _late:
        _remember(fresh)
    return digests


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """What is computed within is noted on disk at the end, not after every call."""
    _late.append({})
    try:
        yield
    finally:
        if fresh := _late.pop():
            _remember(fresh)


def stamp(path: Path) -> str:
    """What changes when a file does, without reading it; tells nothing of its name."""
    status = path.stat()
    parts = [os.path.realpath(path), status.st_ino, status.st_size, status.st_mtime_ns,
             status.st_ctime_ns]  # fmt: skip
    return hashlib.sha256("|".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()


def settled(path: Path) -> bool:
    """Whether a file is old enough that another change would show in its time stamp."""
    return time.time_ns() - path.stat().st_mtime_ns > SETTLED_NS


def _memo() -> Path:
    return cache_folder() / "hashes.json"


def _recall() -> dict[str, str]:
    try:
        if doubt := strangers_hand(_memo()):
            warn_once(f"hashes of files in {cache_folder()} are not used: {doubt}")
            return {}
        return _read(_memo(), _memo().stat().st_mtime_ns)
    except (OSError, ValueError):
        return {}  # absent or damaged: it only saves time


@functools.lru_cache(maxsize=1)
def _read(memo: Path, changed: int) -> dict[str, str]:
    known = json.loads(memo.read_text(encoding="utf-8"))
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str) and len(v) == 64}


def _remember(fresh: dict[str, str]) -> None:
    # Two processes may each lose what the other adds here; it is then computed once more.
    with contextlib.suppress(KitError, OSError):
        write_text(_memo(), json.dumps(_recall() | fresh, indent=0, sort_keys=True), mode=0o600)
