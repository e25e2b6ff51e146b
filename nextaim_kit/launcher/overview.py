"""What is here: the studies, the machine, recent runs, the board."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from IPython.display import HTML, display

from nextaim_kit import catalog, doctor
from nextaim_kit.errors import DataError, KitError, RequestError
from nextaim_kit.files import private_folder
from nextaim_kit.launcher.later import gpu_found, when_gpu_is_found
from nextaim_kit.launcher.look import OUTCOMES, ending, moment, style
from nextaim_kit.launcher.result import frame, link, opened, reachable
from nextaim_kit.memory.fitting import check_fits
from nextaim_kit.runs.background import Job, jobs
from nextaim_kit.runs.board import Row, board_page, collect, render_board
from nextaim_kit.runs.cards import cards
from nextaim_kit.runs.pages import render
from nextaim_kit.runs.record import RECORD, REPORT, read_record, runs_folder, strange_records
from nextaim_kit.runs.run_cost import age, minutes_text
from nextaim_kit.runs.side_by_side import SideBySide, newest_of

_RECENT = 12


def studies() -> None:
    """Show a card for each study: question, picture, what was published, minutes here."""
    every = cards(runs_folder(), catalog.studies())
    page = render(
        "cards.html.j2", package=__package__, cards=every, minutes=minutes_text, opened=opened
    )
    display(HTML(style() + page))


def machine() -> None:
    """Show this machine as found, and what fits it."""
    shown = display(HTML(_machine()), display_id=True)
    if gpu_found() is None and shown is not None:
        when_gpu_is_found(lambda: shown.update(HTML(_machine())))


def _machine() -> str:
    findings = [doctor.processor(), doctor.memory(), *_gpu(), doctor.shared_memory()]
    known = gpu_found()
    fits = _what_fits(known.total) if known else []
    page = render("machine.html.j2", package=__package__, findings=findings, fits=fits)
    return style() + page


def _gpu() -> list[doctor.Finding]:
    known = gpu_found()
    return doctor.graphics(known) if known else [doctor.Finding("GPU", "ok", "looking for one …")]


def _what_fits(gpu: int) -> list[tuple[str, list[str], list[str]]]:
    """By profile: the notebooks that fit, and what is to be known of others."""
    found = []
    for profile in catalog.PROFILES:
        fit: list[str] = []
        notes: list[str] = []
        for notebook in (n for s in catalog.studies() for n in s.notebooks.values()):
            if profile not in notebook.resources:
                continue
            try:
                note = check_fits(notebook, profile, gpu)
            except KitError as error:
                note = f"{notebook.id}: needs {error.expected}, {error.found}"
            (notes if note else fit).append(note or notebook.id)
        found.append((profile, fit, notes))
    return found


def runs() -> None:
    """Show the latest runs: those that are made now, and those that ended, well or not."""
    table = widgets.Output()
    again = widgets.Button(description="Refresh", tooltip="read the list of runs again")
    again.on_click(lambda _: _list_runs(table))
    _list_runs(table)
    display(widgets.VBox([again, table]))


def _list_runs(table: widgets.Output) -> None:
    folder = runs_folder()
    lines = sorted([*_background(), *_recorded(folder)], key=lambda line: -line["when"])[:_RECENT]
    lines += _strange(folder)[:_RECENT]
    page = render("runs.html.j2", package=__package__, lines=lines, moment=moment)
    table.outputs = ()
    table.append_display_data(HTML(style() + page))


def _background() -> list[dict[str, Any]]:
    """Runs that left no record, or none yet."""
    return [
        {"when": job.began, "notebook": job.notebooks[-1], "profile": job.profile,
         "ended": OUTCOMES[job.outcome], "why": job.why.partition("\n")[0], "link": ""}
        for job in jobs() if not _left_records(job)
    ]  # fmt: skip


def _left_records(job: Job) -> bool:
    """Whether all that a run came to say is in the records of its notebooks."""
    if job.outcome != "failed":
        return job.outcome == "done"
    folders = [job.runs / name for name in job.state.folders]
    return bool(folders) and all(map(read_record, folders))


def _recorded(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(folder.glob(f"*/*/*/{RECORD}"), key=age)
    found = ((path, record) for path in paths if (record := read_record(path.parent)))
    return [
        {"when": -age(path), "notebook": record["notebook"],
         "profile": record["profile"], "ended": ending(record),
         "why": (record["error"] or {}).get("what", "").partition("\n")[0],
         "link": _report_link(path.parent)}
        for path, record in islice(found, _RECENT)
    ]  # fmt: skip


def _strange(folder: Path) -> list[dict[str, Any]]:
    return [
        {"when": -age(folder / run / RECORD), "notebook": run.rpartition("/")[0], "profile": "",
         "ended": OUTCOMES["strange"], "why": why, "link": escape(run.rpartition("/")[2])}
        for run, why in strange_records(folder).items()
    ]  # fmt: skip


def _report_link(folder: Path) -> str:
    there = (folder / REPORT).is_file() and reachable(folder)
    return link(folder / REPORT, f"report of {folder.name}") if there else escape(folder.name)


def board() -> None:
    """Show all results beside the published numbers, and the ways to the page and the reports."""
    folder = runs_folder()
    studies = catalog.studies()
    rows = collect(folder, studies)
    several = newest_of(folder, studies)
    # In a frame without an address of its own a relative link leads nowhere: they stand above it.
    shown = frame(board_page(rows, folder, several=several), "the board")
    display(HTML(style() + _ways(rows, folder, several) + shown))


def _ways(rows: Sequence[Row], folder: Path, several: Mapping[str, SideBySide]) -> str:
    """Links to the board as a page and to its reports; why there is no page, if there is none."""
    page, ways = folder / "board.html", []
    reports = {row.report: row.notebook.id for row in rows if row.report}
    if reachable(folder):
        ways = [link(report, f"report of {name}") for report, name in reports.items()]
    with contextlib.suppress(RequestError):  # which the board's page will tell
        private_folder(folder)
    try:
        render_board(rows, page, folder, several)
    except DataError as error:  # runs that can be read and not written beside
        ways.append(f"the board cannot be kept as a page: {escape(error.found)}")
    else:
        ways = [link(page, "the board as a page"), *ways] if reachable(folder) else ways
    return f"<p>{' · '.join(ways)}</p>" if ways else ""
