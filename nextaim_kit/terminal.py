"""What the command line shows while it works: progress of runs, findings, data states."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import DownloadColumn, Progress
from rich.table import Table
from rich.text import Text

from nextaim_kit import catalog
from nextaim_kit.errors import KitError, RunError
from nextaim_kit.runs.parameters import read_parameters, refuse_unknown
from nextaim_kit.runs.record import FILES, REPORT
from nextaim_kit.runs.request import Request, prepare
from nextaim_kit.runs.runner import Observer, execute

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def run_all(
    notebook_ids: list[str],
    profile: str,
    given: Mapping[str, Any],
    out: Path | None,
    force: bool,
) -> int:
    """Run notebooks one after another and give the exit code of the worst.

    Everything that can be refused is refused before the first one starts.
    """
    out_console = Console(highlight=False, soft_wrap=True)
    own = _share_out(notebook_ids, given)
    for notebook_id in notebook_ids:
        prepare(notebook_id, profile, own[notebook_id], out)
    finished: dict[str, Path] = {}
    code = 0
    for notebook_id in notebook_ids:
        handed = _handed_over(notebook_id, finished)
        try:
            _require_sources(notebook_id, notebook_ids, finished, own[notebook_id])
            request = prepare(notebook_id, profile, {**handed, **own[notebook_id]}, out)
            record = _run_one(out_console, request, force)
        except KitError as error:
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"[bold red]error:[/] {escape(str(error))}"
            )
            code = max(code, error.exit_code)
            continue
        if record["outcome"] != "failed":
            finished[notebook_id] = request.folder
    return code


def _share_out(notebook_ids: list[str], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each notebook's own of the given parameters; a name that none has is refused."""
    declared = {i: read_parameters(catalog.find(i).path) for i in notebook_ids}
    every = dict.fromkeys(n for names in declared.values() for n in names)
    refuse_unknown(given, every, " ".join(notebook_ids))
    return {i: {n: v for n, v in given.items() if n in names} for i, names in declared.items()}


def _handed_over(notebook_id: str, finished: Mapping[str, Path]) -> dict[str, str]:
    """Parameters that results of notebooks run just before give to this one."""
    notebook = catalog.find(notebook_id)
    study = notebook_id.partition("/")[0]
    handed = {}
    for parameter, source in notebook.needs.items():
        stage, _, file = source.partition("/")
        if f"{study}/{stage}" in finished:
            handed[parameter] = str(finished[f"{study}/{stage}"] / FILES / file)
    return handed


def _require_sources(
    notebook_id: str, asked: list[str], finished: Mapping[str, Path], given: Mapping[str, Any]
) -> None:
    """Refuse to run on something else where the notebook that was to feed this one failed."""
    study = notebook_id.partition("/")[0]
    for parameter, source in catalog.find(notebook_id).needs.items():
        feeder = f"{study}/{source.partition('/')[0]}"
        before = asked[: asked.index(notebook_id)]
        if feeder in before and feeder not in finished and parameter not in given:
            raise RunError(
                f"{notebook_id} is not run",
                expected=f"{source.partition('/')[2]} from {feeder}",
                found="that notebook failed",
                mend=f"mend what failed there, or give -p {parameter}=...",
            )


def _run_one(console: Console, request: Request, force: bool) -> dict[str, Any]:
    began = time.monotonic()
    with _Progress(console, request.notebook) as progress:
        record, fresh = execute(request, force=force, observer=progress)
    seconds = time.monotonic() - began
    took = f"in {seconds // 60:.0f} min {seconds % 60:02.0f} s" if fresh else "already"
    left_out = (
        f", [yellow]incomplete, {record['failures']} left out (files/failures.csv)[/]"
        if record["failures"]
        else ""
    )
    console.print(f"[green]done[/] {took}{left_out}: {request.notebook}")
    console.print(f"     {escape(str(request.folder / REPORT))}", style="dim")
    return record


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
