"""Sweeps as the command line shows them."""

from __future__ import annotations

import base64
import io
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.record import REPORT
from nextaim_kit.runs.sweep import controller
from nextaim_kit.runs.sweep.controller import Engine
from nextaim_kit.runs.sweep.plan import (
    PLAN,
    Plan,
    Row,
    expand,
    freeze,
    load,
    require_current,
    require_own,
    require_same,
    setting_text,
    sweep_folder,
    table_text,
)
from nextaim_kit.runs.sweep.state import LOGS, Ending, forget, progress
from nextaim_kit.runs.sweep.state import Progress as State

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.progress import Progress

_SHOWN = 5  # failures told in full


def plan(out: Console, file: Path, folder: Path | None) -> None:
    """Plan, freeze and describe a sweep."""
    now = expand(file, folder)
    before = load_or_none(now.folder)
    if before is not None:
        require_own(before, now)
    if before is None or table_text(before) != table_text(now) or before.sweep != now.sweep:
        with controller.held(now):
            freeze(now)
            forget(progress(now))
    _describe(out, now, anew=before is not None and before.rows != now.rows)


def load_or_none(folder: Path) -> Plan | None:
    """The frozen plan, where there is one that was not edited."""
    try:
        return load(folder)
    except RequestError:
        return None


def _describe(out: Console, plan: Plan, *, anew: bool) -> None:
    state = progress(plan)
    out.print(
        f"[bold]{escape(plan.name)}[/]  {escape(plan.sweep.title)}{'  (planned anew)' * anew}"
    )
    for name, values in _understood(plan).items():
        out.print(f"{name}: {escape(values)}", soft_wrap=True)
    out.print(f"{len(plan.rows)} runs: {_counts(state)}")
    from rich.table import Table

    from nextaim_kit.runs.run_cost import minutes_text
    from nextaim_kit.runs.sweep.sweep_cost import estimates

    table = Table("notebook", "left", "time each", "memory GB", "known from", box=None)
    total = 0.0
    for e in estimates(state):
        one = e.one
        runs = f"{one.runs} earlier run{'s' if one.runs > 1 else ''}"
        known = runs if one.runs else f"study.yaml{', for the synthetic twin' if one.twins else ''}"
        over = f" [yellow](declared: {e.declared_gb:g})[/]" if one.memory_gb > e.declared_gb else ""
        memory = f"{one.memory_gb:.2g}{over}"
        table.add_row(e.notebook, str(e.rows), minutes_text(one.minutes), memory, known)
        total += e.rows * one.minutes
    if table.row_count:
        out.print(table)
        out.print(f"about {minutes_text(total)} of work, one run after the other")
    out.print(f"[dim]frozen in {escape(str(plan.folder))}[/]", soft_wrap=True)


def _understood(plan: Plan) -> dict[str, str]:
    """Each parameter that the sweep sets, and its values as they were understood."""
    said: dict[str, dict[str, None]] = {}
    for row in plan.rows:
        for name, value in row.parameters.items():
            said.setdefault(name, {})[_short(value)] = None
    return {n: ", ".join(list(v)[:8]) + (" ..." if len(v) > 8 else "") for n, v in said.items()}


def _counts(state: State) -> str:
    return ", ".join(f"{n} {name}" for name, n in controller.summary(state).items() if n) or "none"


def _frozen(file: Path, folder: Path | None) -> Plan:
    """The plan that stands for a sweep file, or lies in a sweep's folder."""
    place = file if (file / PLAN).is_file() else sweep_folder(file, folder)
    plan = load(place)
    if plan is None:
        raise RequestError(
            f"{file} has no plan yet",
            expected="a sweep that was planned, or the folder of one",
            mend=f"nextaim sweep plan {shlex.quote(str(file))}",
        )
    return plan


def run(
    out: Console, file: Path, folder: Path | None, on: str, jobs: int | None, site: tuple[str, ...]
) -> int:
    """Run what is left, and give the exit code: 1 if a row failed."""
    engine = Engine.named(on, jobs, site)
    planned = _frozen(file, folder) if (file / PLAN).is_file() else _planned(out, file, folder)
    with _Shown(out, planned) as shown:
        after = controller.run(planned, engine, shown.heard, shown.waited)
    _say_the_end(out, after)
    return 0 if after.counts["done"] == len(planned.rows) else 1


def _planned(out: Console, file: Path, folder: Path | None) -> Plan:
    now = expand(file, folder)
    frozen = load(now.folder)
    if frozen is None:
        with controller.held(now):
            freeze(now)
        _describe(out, now, anew=False)
        return now
    require_same(frozen, now)
    return frozen


class _Shown:
    """A bar in a terminal; a line for each row where output goes to a file."""

    def __init__(self, out: Console, plan: Plan) -> None:
        self._out, self._plan, self._done = out, plan, 0
        self._bar = _bar(out) if out.is_terminal else None
        if self._bar:
            self._bar.add_task(plan.name, total=len(plan.rows))

    def __enter__(self) -> _Shown:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def heard(self, row: Row, ending: Ending) -> None:
        """A row ended."""
        self._done += 1
        word = "[green]done[/]" if ending.good else f"[bold red]{ending.outcome}[/]"
        settings = "  ".join(f"{n}={_short(v)}" for n, v in self._plan.settings(row).items())
        number = self._plan.metric
        value = next((m["value"] for m in ending.metrics if m["name"] == number), None)
        result = f"  {number} {value:.3f}" if value is not None else ""
        line = f"[{self._done}/{len(self._plan.rows)}] "
        self._out.print(
            f"{escape(line)}{word} {row.notebook}  [dim]{escape(settings)}[/]{result}"
            f"  {ending.seconds:.1f} s"
        )
        sys.stdout.flush()

    def waited(self, state: State) -> None:
        """Nothing new, perhaps; the bar's clock goes on."""
        self._done = len(state.endings)
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=self._done)


def _bar(out: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), console=out, transient=True, refresh_per_second=4,
    )  # fmt: skip


def _short(value: object) -> str:
    text = setting_text(value)
    return text if len(text) < 25 else f"{text[:22]}..."


def _say_the_end(out: Console, state: State) -> None:
    out.print(f"{len(state.plan.rows)} runs: {_counts(state)}")
    for row, ending in state.failures()[:_SHOWN]:
        _say_failure(out, row, f"{ending.outcome}: {ending.error}", ending.traceback)
    if len(state.failures()) > _SHOWN:
        out.print(f"... and {len(state.failures()) - _SHOWN} more: nextaim sweep report")
    for row, lines in controller.lost(state)[:_SHOWN]:
        why = "lost: its job ended and left no result, most often for memory or time; its log ends:"
        _say_failure(out, row, why, lines)
    if controller.lost(state):
        out.print(f"the engine's log: {escape(str(state.plan.folder / controller.LOG))}")
    notes = [(row, note) for row in state.plan.rows for note in _notes(state, row)]
    for row, note in notes[:_SHOWN]:
        out.print(f"row {row.index}: {note}")


def _notes(state: State, row: Row) -> list[str]:
    ending = state.endings.get(row.id)
    return ending.notes if ending and ending.good else []


def _say_failure(out: Console, row: Row, why: str, lines: list[str]) -> None:
    out.print(f"[bold red]row {row.index}[/] {row.notebook} {escape(why)}", soft_wrap=True)
    for line in lines:
        out.print(f"    {escape(line)}", style="dim", soft_wrap=True)


def status(out: Console, file: Path, folder: Path | None) -> None:
    """How far a sweep is."""
    plan = _frozen(file, folder)
    state = progress(plan)
    out.print(f"[bold]{escape(plan.name)}[/]  {escape(plan.sweep.title)}")
    out.print(f"{len(plan.rows)} runs: {_counts(state)}")
    for row, ending in state.failures()[:_SHOWN]:
        _say_failure(out, row, f"{ending.outcome}: {ending.error}", ending.traceback[-3:])
    for row in [r for r in plan.rows if state.state(r) == "running"][:_SHOWN]:
        settings = "  ".join(f"{n}={_short(v)}" for n, v in plan.settings(row).items())
        out.print(f"row {row.index} runs: {row.notebook}  [dim]{escape(settings)}[/]")


def retry(file: Path, folder: Path | None) -> None:
    """Forget how failed rows ended."""
    plan = _frozen(file, folder)
    with controller.held(plan):
        count = forget(progress(plan), everything=True)
    print(
        f"{count} failed rows run again with: nextaim sweep run {shlex.quote(str(file))}"
        if count
        else "none failed"
    )


def cancel(file: Path, folder: Path | None) -> None:
    """Ask a sweep to end."""
    plan = _frozen(file, folder)
    here = controller.cancel(plan)
    print(
        f"{plan.name} ends now"
        if here
        else f"nobody runs {plan.name} from here; rows that a cluster still holds end as they start"
    )


def row(
    file: Path,
    folder: Path | None,
    index: int | None,
    row_id: str | None,
    attempt: int | None,
    local: bool,
) -> int:
    """Run one row and give its exit code, or 0 to an engine that finds its ending written."""
    from nextaim_kit.runs.sweep.row import run_row

    plan = _frozen(file, folder)
    wanted = [r for r in plan.rows if r.id == row_id or r.index == index]
    if len(wanted) != 1:
        raise RequestError(
            f"the sweep {plan.name} has no such row",
            expected=f"--index from 0 to {len(plan.rows) - 1}, or --id",
            found=f"index {index}, id {row_id}",
        )
    began = time.monotonic()
    ending = run_row(plan, wanted[0], attempt=attempt, local=local)
    where = plan.runs / ending.run / REPORT if ending.run else ""
    print(f"row {wanted[0].index}: {ending.outcome} in {time.monotonic() - began:.1f} s  {where}")
    if not ending.good:
        print("\n".join([ending.error, *ending.traceback]), file=sys.stderr)
    codes = {"failed": 1, "skipped": 1, "killed": 138}
    return codes.get(ending.outcome, 0) if attempt is None else 0


def report(out: Console, file: Path, folder: Path | None) -> None:
    """Write table and page."""
    from nextaim_kit.runs.sweep import results

    state = progress(_frozen(file, folder))
    table, page = results.write(state, _figures(state))
    plan = state.plan
    for place, r in enumerate(results.ranked(results.results(state), plan)[:_SHOWN], 1):
        settings = "  ".join(f"{n}={_short(v)}" for n, v in r.settings.items())
        shown = f"{plan.metric} {r.text(plan.metric)}"
        out.print(f"{place}. {escape(shown)}  [dim]{escape(settings)}[/]")
    out.print(f"table: {escape(str(table))}\npage:  {escape(str(page))}", soft_wrap=True)


def _figures(state: State) -> dict[str, tuple[str, str]]:
    """Figures for the page: heading -> picture as a data address, alternative text."""
    from nextaim_kit.runs.sweep import results
    from nextaim_kit.show.style import alt_of
    from nextaim_kit.show.sweeps import marginals, parallel_coordinates

    plan = state.plan
    table = results.as_table(results.results(state))
    varied = [n for n in plan.sweep.varied() if n in table and table[n].map(str).nunique() > 1]
    if plan.metric not in table or not varied or table[plan.metric].notna().sum() < 2:
        return {}
    higher = plan.sweep.better == "higher"
    drawn = {
        "Which settings led where": parallel_coordinates(table, varied, plan.metric, higher=higher),
        "Each setting by itself": marginals(table, varied, plan.metric),
    }
    return {heading: (_address(figure), alt_of(figure)) for heading, figure in drawn.items()}


def _address(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def script(file: Path, folder: Path | None, on: str, jobs: int | None) -> None:
    """Print a submit file."""
    from nextaim_kit.runs.sweep import scripts

    plan = _frozen(file, folder)
    require_current(plan, plan.rows)
    (plan.folder / LOGS).mkdir(exist_ok=True)  # Slurm drops a job whose log has no folder
    print(scripts.submit_file(plan, on, jobs), end="")
