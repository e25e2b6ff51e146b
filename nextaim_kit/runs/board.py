"""The board: each study's latest results beside what was published."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nextaim_kit.catalog import Notebook, Study
from nextaim_kit.files import write_text
from nextaim_kit.runs.compare import Comparison, compare, data_text, is_synthetic, terms_text
from nextaim_kit.runs.record import (
    RECORD,
    REPORT,
    is_done,
    outcome_text,
    read_record,
    record_files,
    strange_records,
)
from nextaim_kit.runs.side_by_side import SideBySide

_NONE: Mapping[str, SideBySide] = MappingProxyType({})


@dataclass(frozen=True)
class Row:
    """One metric of one notebook: ours, from the latest run, beside the published."""

    study: Study
    notebook: Notebook
    comparison: Comparison
    record: Mapping[str, Any] | None = None  # None where nothing was run yet
    report: Path | None = None
    when: float = 0.0  # seconds since the epoch at which the run ended

    @property
    def synthetic(self) -> bool:
        """Whether the run's data are synthetic."""
        return self.record is not None and is_synthetic(self.record)

    @property
    def data(self) -> str:
        """The data in words, synthetic ones in capitals."""
        if self.record is None:
            return ""
        name = data_text(self.record)
        if not self.synthetic:
            return f"real: {name}" if self.record["data"] else name
        return "SYNTHETIC" if name == "synthetic" else f"SYNTHETIC: {name}"

    @property
    def terms(self) -> str:
        """On which terms real data were used, where these are known."""
        return terms_text(self.record) if self.record else ""

    @property
    def run(self) -> str:
        """Profile and outcome, the outcome only where there is more to it than complete."""
        if self.record is None:
            return ""
        outcome = outcome_text(self.record)
        return self.record["profile"] + ("" if outcome == "complete" else f", {outcome}")


def collect(runs_folder: Path, studies: Sequence[Study]) -> list[Row]:
    """Gather the rows of the board.

    For each notebook the latest whole run on synthetic data and the latest on real data count;
    a failed or damaged run never does. A notebook that was not run yet has a row for each
    published number.

    Parameters
    ----------
    runs_folder : Path
        Holds ``<study>/<stage>/<run id>/run.json``; it need not exist.
    studies : sequence of Study

    Returns
    -------
    list of Row
        The newest run first; then metric with the published ones first. At the end what was not
        run yet, by study and stage.
    """
    rows = [row for study in studies for row in _of_study(runs_folder, study)]
    return sorted(rows, key=lambda row: -row.when)


def _of_study(runs_folder: Path, study: Study) -> Iterator[Row]:
    for notebook in study.notebooks.values():
        yield from rows_of(study, notebook, latest_runs(runs_folder / notebook.id))


def rows_of(
    study: Study, notebook: Notebook, runs: Sequence[tuple[Path, Mapping[str, Any]]]
) -> Iterator[Row]:
    """Rows of a notebook's runs, each a folder and a record; without any, what was published."""
    for folder, record in runs:
        report = folder / REPORT if (folder / REPORT).is_file() else None
        ended = (folder / RECORD).stat().st_mtime if (folder / RECORD).is_file() else 0.0
        for comparison in compare(record, study):
            yield Row(study, notebook, comparison, record, report, ended)
    if not runs:
        nothing = {"stage": notebook.stage, "metrics": []}
        for comparison in compare(nothing, study):
            yield Row(study, notebook, comparison)


def latest_runs(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Latest whole run on synthetic data, then on real data, where there are any.

    A run in JupyterLab, where cells may have been changed, stands back behind a headless one; a
    run of the smoke profile, which only tries the notebook, behind both; and behind it one that
    ended early, without the notebook's results.
    """
    found: dict[bool, tuple[Path, dict[str, Any]]] = {}
    paths = sorted(record_files(folder), key=lambda p: (p.stat().st_mtime_ns, str(p)))
    records = [(p.parent, record) for p in paths[::-1] if (record := read_record(p.parent))]
    for path, record in sorted(records, key=lambda r: _stands_back(r[1])):
        synthetic = is_synthetic(record)
        if synthetic not in found and is_done(path):
            found[synthetic] = (path, record)
    return [found[kind] for kind in (True, False) if kind in found]


def _stands_back(record: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    profile = record.get("profile")
    return "ended" in record, profile == "smoke", profile == "interactive"


def strange_text(runs_folder: Path) -> str:
    """Runs whose record cannot be read, a line each with the reason; empty where all can be."""
    found = strange_records(runs_folder).items()
    return "\n".join(f"cannot be read, and is left out: {run} ({why})" for run, why in found)


def render_board(
    rows: Sequence[Row], to: Path, runs_folder: Path, several: Mapping[str, SideBySide] = _NONE
) -> None:
    """Write the board as one HTML page with relative links to the reports.

    Parameters
    ----------
    rows : sequence of Row
        As `collect` gives them.
    to : Path
        The page to write.
    runs_folder : Path
        Named on the page where it holds no run yet.
    several : mapping, optional
        Runs of a notebook beside each other, by its id: they stand folded below its result.

    Raises
    ------
    DataError
        If the page cannot be written.
    """
    write_text(to, board_page(rows, runs_folder, Path(to).resolve().parent, several))


def board_page(
    rows: Sequence[Row],
    runs_folder: Path,
    beside: Path | None = None,
    several: Mapping[str, SideBySide] = _NONE,
) -> str:
    """The board as one HTML page, with links from the folder `beside` to the reports if given."""
    from nextaim_kit.runs.chart import interval_chart
    from nextaim_kit.runs.compare import TAGS
    from nextaim_kit.runs.pages import render

    groups = _groups(rows, beside)
    studies = {row.study.id: row.study for row in rows if row.record}
    run = [g for g in groups if g["first"].record]
    return render(
        "board.html.j2",
        studies=[(s, [g for g in run if g["study"] == s.id]) for s in studies.values()],
        several=several,
        waiting=[g for g in groups if not g["first"].record],
        chart=interval_chart,
        tags=TAGS,
        empty=not any(row.record for row in rows),
        folder=runs_folder.name,
        strange=strange_text(runs_folder),
    )


def _groups(rows: Sequence[Row], beside: Path | None) -> list[dict[str, Any]]:
    """Rows of one run together, with the way from the page to its report."""
    groups: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        key = (row.notebook.id, row.record["id"] if row.record else "")
        new = {"study": row.study.id, "first": row, "link": _way(row.report, beside), "rows": []}
        groups.setdefault(key, new)["rows"].append(row)
    return list(groups.values())


def _way(report: Path | None, beside: Path | None) -> str:
    if report is None or beside is None:
        return ""
    return Path(os.path.relpath(report.resolve(), beside)).as_posix()
