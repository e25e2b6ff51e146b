"""What lies in the cache, step by step, and what to remove of it."""

from __future__ import annotations

import contextlib
import difflib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.data.cache.chunks import DamagedError, Entry
from nextaim_kit.data.cache.room import GB, Held, held, remove, steps_folder, unfinished
from nextaim_kit.data.files import cache_folder
from nextaim_kit.errors import RequestError

_DAY = 86_400


@dataclass(frozen=True)
class StepSummary:
    """What is kept of a step.

    Attributes
    ----------
    step : str
    variants : int
        Versions of its code and parameters.
    entries : int
    bytes : int
        On disk.
    input_bytes : int
        Of the different files and arrays that they were made from.
    used : float
        When one was used last, in seconds since the epoch.
    """

    step: str
    variants: int
    entries: int
    bytes: int
    input_bytes: int
    used: float


def summaries() -> list[StepSummary]:
    """What is kept of each step, the largest first; damaged entries are left out."""
    by_step: dict[str, list[tuple[Held, dict[str, Any]]]] = {}
    for one in held():
        with contextlib.suppress(DamagedError, OSError):
            note = _note(one.path)
            by_step.setdefault(note["step"], []).append((one, note))
    found = [_summary(step, entries) for step, entries in by_step.items()]
    return sorted(found, key=lambda summary: -summary.bytes)


def _note(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return Entry(descriptor).note
    finally:
        os.close(descriptor)


def _summary(step: str, entries: Sequence[tuple[Held, dict[str, Any]]]) -> StepSummary:
    sources: dict[str, int] = {}
    for _, note in entries:
        sources |= note["sources"]
    return StepSummary(
        step,
        len({note["variant"] for _, note in entries}),
        len(entries),
        sum(one.bytes for one, _ in entries),
        sum(sources.values()),
        max(one.used for one, _ in entries),
    )


def beside() -> dict[str, int]:
    """Bytes of what else the kit keeps in its cache folder: twins, features, hashes of files."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for path in sorted(cache_folder().iterdir()):
            if path != steps_folder():
                files = [path] if path.is_file() else path.rglob("*")
                found[path.name] = sum(map(_bytes, files))
    return found


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # removed meanwhile
        return 0


def to_remove(
    *, step: str | None = None, older_than: float | None = None, to: float | None = None
) -> list[Held]:
    """Entries that a request means, the least recently used first.

    Parameters
    ----------
    step : str, optional
        Only of this step; the end of its name will do.
    older_than : float, optional
        Only what was not used for so many days.
    to : float, optional
        Only so many that this many gigabytes are left of all that is kept.

    Raises
    ------
    RequestError
        If no step has that name; names the nearest ones.
    """
    every = held()
    chosen = every if step is None else _of_step(every, step)
    if older_than is not None:
        chosen = [one for one in chosen if time.time() - one.used > older_than * _DAY]
    if to is None:
        return chosen
    excess, found = sum(one.bytes for one in every) - to * GB, []
    for one in chosen:
        if excess <= 0:
            break
        excess -= one.bytes
        found.append(one)
    return found


def _of_step(every: Sequence[Held], step: str) -> list[Held]:
    names = sorted({one.folder for one in every})
    found = [one for one in every if one.folder == step or one.folder.endswith(f".{step}")]
    if found:
        return found
    ends = {name.rpartition(".")[2]: name for name in names}
    near = difflib.get_close_matches(step.rpartition(".")[2], ends, n=3)
    raise RequestError(
        f"nothing is kept of a step {step!r}",
        expected=", ".join(names[:8]) or "a step that was cached",
        mend=f"did you mean {' or '.join(ends[n] for n in near)}?"
        if near
        else "nextaim data cache list shows the names",
    )


def remove_all(entries: Sequence[Held]) -> tuple[int, int]:
    """Remove entries, and what killed processes left; gives bytes removed and entries in use."""
    for path in unfinished():
        path.unlink(missing_ok=True)
    gone = [one for one in entries if remove(one.path)]
    return sum(one.bytes for one in gone), len(entries) - len(gone)
