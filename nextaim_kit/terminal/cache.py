"""The cache of steps on the command line: list, size, prune."""

from __future__ import annotations

import sys
import time

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nextaim_kit.data.cache import inventory, room
from nextaim_kit.data.cache.room import Held

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def show_list(console: Console) -> None:
    """Print the kept steps, and how much they are beside what they were made from."""
    rows = inventory.summaries()
    if not rows:
        console.print(f"nothing is kept in {escape(str(room.steps_folder()))}")
        return
    table = Table("step", "variants", "entries", "size", "of the inputs", "last used", box=None)
    for row in rows:
        share = f"{row.bytes / row.input_bytes:.2f}" if row.input_bytes else ""
        table.add_row(
            escape(row.step), str(row.variants), str(row.entries), size(row.bytes), share,
            _ago(row.used),
        )  # fmt: skip
    console.print(table)


def show_size(console: Console) -> None:
    """Print what the cache takes and may take."""
    kept = sum(one.bytes for one in room.held())
    table = Table("", "size", "", box=None)
    total, free = room.disk()
    allowed = f"of {size(room.quota())} (NEXTAIM_CACHE_GB; else a tenth of the disk, at most 50 GB)"
    table.add_row("steps", size(kept), allowed)
    for name, taken in inventory.beside().items():
        table.add_row(escape(name), size(taken), "not counted, and not removed by prune")
    table.add_row("disk", size(free), f"free of {size(total)}")
    console.print(escape(str(room.cache_folder())))
    console.print(table)


def prune(
    console: Console, step: str | None, older_than: float | None, to: float | None, yes: bool
) -> None:
    """Say what would be removed, ask, and remove it."""
    chosen = inventory.to_remove(step=step, older_than=older_than, to=to)
    if not chosen:
        inventory.remove_all([])
        console.print("nothing to remove")
        return
    _show(console, chosen)
    if not yes and not sys.stdin.isatty():
        console.print("nothing was removed; --yes removes it")
        return
    if not yes and not typer.confirm("Remove them? They are made again when needed"):
        console.print("nothing was removed")
        return
    gone, in_use = inventory.remove_all(chosen)
    console.print(f"removed {size(gone)}" + (f"; {in_use} entries are in use" if in_use else ""))


def _show(console: Console, chosen: list[Held]) -> None:
    table = Table("step", "entries", "size", "last used", box=None)
    for folder in sorted({one.folder for one in chosen}):
        those = [one for one in chosen if one.folder == folder]
        taken = size(sum(one.bytes for one in those))
        table.add_row(escape(folder), str(len(those)), taken, _ago(max(o.used for o in those)))
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
