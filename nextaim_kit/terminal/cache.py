"""The cache of steps on the command line: list, size, prune."""

from __future__ import annotations

import sys
import time

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit.data.cache import space
from nextaim_kit.data.cache.space import Held

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def show_list(console: Console) -> None:
    """Print what is kept of each step."""
    entries = space.held()
    if entries:
        _show(console, entries)
    else:
        console.print(f"nothing is kept in {escape(str(space.steps_folder()))}")


def show_size(console: Console) -> None:
    """Print what the cache takes and may take."""
    kept = sum(one.bytes for one in space.held())
    table = Table("", "size", "", box=None)
    total, free = space.disk()
    allowed = (
        f"of {size(space.quota())} (NEXTAIM_CACHE_GB; else a tenth of the disk, at most 50 GB)"
    )
    table.add_row("steps", size(kept), allowed)
    table.add_row("disk", size(free), f"free of {size(total)}")
    console.print(escape(str(space.cache_folder())))
    console.print(table)


def prune(
    console: Console, step: str | None, older_than: float | None, to: float | None, yes: bool
) -> None:
    """Say what would be removed, ask, and remove it."""
    chosen = space.to_remove(step=step, older_than=older_than, to=to)
    if not chosen:
        space.remove([])
        console.print("nothing to remove")
        return
    _show(console, chosen)
    if not yes and not sys.stdin.isatty():
        console.print("nothing was removed; --yes removes it")
        return
    if not yes and not typer.confirm("Remove them? They are made again when needed"):
        console.print("nothing was removed")
        return
    console.print(f"removed {size(space.remove(chosen))}")


def _show(console: Console, chosen: list[Held]) -> None:
    table = Table("step", "entries", "size", "last used", box=None)
    for step in sorted({one.step for one in chosen}):
        those = [one for one in chosen if one.step == step]
        taken = size(sum(one.bytes for one in those))
        table.add_row(escape(step), str(len(those)), taken, _ago(max(o.used for o in those)))
    console.print(table)


def size(count: int) -> str:
    """Bytes as a reader wants them: ``512 kB``, ``3.1 GB``."""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _ago(then: float) -> str:
    seconds = max(0, time.time() - then)
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' * (count > 1)} ago"
    return "just now"
