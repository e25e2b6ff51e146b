"""Runs as the command line shows them: one line that lives, then what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from nextaim_kit import catalog
from nextaim_kit.runs.chain import Ending, check_row, run_row, share_out
from nextaim_kit.runs.execution import Observer
from nextaim_kit.runs.parameters import read_parameters
from nextaim_kit.runs.record import REPORT, outcome_text
from nextaim_kit.runs.request import Request
from nextaim_kit.runs.run_cost import expect
from nextaim_kit.runs.runner import execute


def run_all(
    notebook_ids: list[str],
    profile: str,
    given: Mapping[str, Any],
    out: Path | None,
    force: bool,
) -> int:
    """Run notebooks as `run_each` does, and give the exit code of the worst."""
    endings = run_each(notebook_ids, profile, given, out, force)
    return max((ending.exit_code for ending in endings.values()), default=0)


def run_each(
    notebook_ids: list[str],
    profile: str,
    given: Mapping[str, Any],
    out: Path | None = None,
    force: bool = False,
) -> dict[str, Ending]:
    """Run notebooks one after another, each whose feeders did not fail.

    Everything that can be refused is refused before the first one starts.
    """
    out_console = Console(highlight=False, soft_wrap=True)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    own = share_out(notebook_ids, given)
    requests, notes = check_row(notebook_ids, profile, own, out, force)
    for request in requests:
        out_console.print(escape(_understood(request)), style="dim")
    for note in notes:
        out_console.print(f"[yellow]note:[/] {escape(note)}")
    return run_row(
        notebook_ids,
        profile,
        own,
        out,
        run=lambda request: _run_one(out_console, request, force),
        failed=lambda error: errors.print(f"[bold red]error:[/] {escape(str(error))}"),
    )


def _understood(request: Request) -> str:
    """A line with the values, as they were understood, that are not the notebook's own."""
    declared = read_parameters(catalog.find(request.notebook).path)
    values = {n: v for n, v in request.parameters.items() if v != declared[n].default}
    said = "  ".join(f"{n}={declared[n].text(v)}" for n, v in values.items())
    takes = expect(
        catalog.find(request.notebook), request.profile, request.folder.parents[2],
        {n: v for n, v in values.items() if v is not None},
    )  # fmt: skip
    about = f"  (about {takes.text})" if takes else ""
    return f"{request.notebook}: {said or 'with its defaults'}{about}"


def _run_one(console: Console, request: Request, force: bool) -> dict[str, Any]:
    began = time.monotonic()
    with _Progress(console, request.notebook) as progress:
        record, fresh = execute(request, force=force, observer=progress)
    seconds = time.monotonic() - began
    took = f"in {seconds // 60:.0f} min {seconds % 60:02.0f} s" if fresh else "already"
    how = outcome_text(record)
    more = f", [yellow]{how}[/]" if how != "complete" else ""
    files = ", ".join(f"files/{t}.csv" for t in _told(record))
    where = f" ({files})" if files else ""
    console.print(f"[green]done[/] {took}{more}{where}: {request.notebook}")
    console.print(f"     {escape(str(request.folder / REPORT))}", style="dim")
    return record


def _told(record: Mapping[str, Any]) -> list[str]:
    """Tables that name the subjects that were left out, or that are to be looked at."""
    warned = (record.get("warned") or {}).get("table")
    return [name for name in ("failures" if record["failures"] else "", warned) if name]


class _Progress(Observer):
    """One live line in a terminal; one line per section where output goes to a file."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._began = time.monotonic()
        self._place, self._line = "starting", ""
        self._live = Live(get_renderable=lambda: self, console=console, transient=True)

    def __enter__(self) -> _Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def cell(self, number: int, total: int, heading: str) -> None:
        changed = heading and not self._place.endswith(heading)
        self._place, self._line = f"cell {number}/{total}  {heading}", ""
        if changed and not self._console.is_terminal:
            self._console.print(f"{self._clock()}  {self._title}  {escape(self._place)}")
            sys.stdout.flush()

    def printed(self, line: str) -> None:
        self._line = line

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def __rich__(self) -> Group:
        now = Text(f" {self._clock()}  {self._title}  {self._place}")
        return Group(now, Text(f"   {self._line[:100]}", style="dim", no_wrap=True))
