"""Findings about the machine, and data sets with their files, as the command line shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import DownloadColumn, Progress
from rich.table import Table

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def print_findings(console: Console, findings: list[Any]) -> None:
    """Print what `nextaim doctor` found, a line each, with the mend below what is wrong."""
    table = Table("", "what", "found", box=None)
    for f in findings:
        mend = f"\n[dim]to mend: {escape(f.mend)}[/]" if f.mend and f.verdict != "ok" else ""
        table.add_row(_MARKS[f.verdict], f.name, escape(f.detail) + mend)
    console.print(table)


def print_states(console: Console, states: list[Any]) -> None:
    """Print the state of a data set's files."""
    table = Table("file", "state", "", box=None)
    for s in states:
        color = "red" if s.bad else "green" if s.state == "ok" else "yellow"
        table.add_row(escape(s.path), f"[{color}]{s.state}[/]", escape(s.detail))
    console.print(table)


def print_manifest(console: Console, manifest: Any) -> None:
    """Print all that a manifest says of a data set."""
    console.print(f"[bold]{manifest.name}[/]  {escape(manifest.title)} ({manifest.version})")
    table = Table(box=None, show_header=False)
    for key in ("access", "terms", "licence", "citation", "doi", "deidentified", "size_note"):
        if getattr(manifest, key):
            table.add_row(key, escape(str(getattr(manifest, key))))
    for number, step in enumerate(manifest.how_to_get, 1):
        table.add_row(f"step {number}", escape(step))
    for caveat in manifest.caveats:
        table.add_row("caveat", escape(caveat))
    for file in manifest.files:
        size = f"{file.bytes:,} bytes" if file.bytes is not None else "size unknown"
        known = "sha256 known" if file.sha256 else "sha256 unknown"
        table.add_row("file", escape(f"{file.path}: {size}, {known}"))
    console.print(table)


@contextlib.contextmanager
def download_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar per file, fed with (file, bytes so far, bytes in all)."""
    with Progress(*Progress.get_default_columns(), DownloadColumn(), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield report
