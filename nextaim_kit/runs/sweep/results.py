"""What came out of a sweep, as a table and as one page."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit import catalog
from nextaim_kit.data.cohort.cells import write_csv
from nextaim_kit.files import atomic_path
from nextaim_kit.runs.compare import in_words, is_synthetic, measured_interval, number
from nextaim_kit.runs.record import REPORT, read_record
from nextaim_kit.runs.request import data_name
from nextaim_kit.runs.schema import Metric
from nextaim_kit.runs.sweep.plan import Plan, Row, setting_text
from nextaim_kit.runs.sweep.state import Ending, Progress

if TYPE_CHECKING:
    import pandas as pd

RESULTS, PAGE = "results.csv", "report.html"
BEST = 10  # rows of the list of the best


@dataclass(frozen=True)
class Result:
    """One run of the sweep's last notebook, for a page."""

    row: Row
    settings: dict[str, Any]
    ending: Ending | None
    link: str
    synthetic: bool

    def metric(self, name: str) -> Metric | None:
        """A metric of the run, as it was recorded."""
        known = self.ending.metrics if self.ending else []
        return next((m for m in known if m["name"] == name), None)

    def value(self, name: str) -> float | None:
        """A metric's value."""
        found = self.metric(name)
        return float(found["value"]) if found else None

    def text(self, name: str) -> str:
        """A metric with its interval."""
        found = self.metric(name)
        if not found:
            return ""
        interval = measured_interval(found)
        bracket = f" [{number(interval[0])}, {number(interval[1])}]" if interval else ""
        return number(found["value"]) + bracket

    @property
    def outcome(self) -> str:
        return self.ending.outcome if self.ending else "not run yet"


def results(state: Progress) -> list[Result]:
    """Runs of the last notebook, in the plan's order."""
    plan = state.plan
    names = _public_names(plan)
    return [_result(state, row, names) for row in plan.last]


def _result(state: Progress, row: Row, names: Mapping[str, str]) -> Result:
    ending = state.endings.get(row.id)
    run = ending.run if ending else ""
    record = read_record(state.plan.runs / run) if run else None
    settings = state.plan.settings(row).items()
    public = {n: names.get(v, v) if isinstance(v, str) else v for n, v in settings}
    synthetic = record is not None and is_synthetic(record)
    return Result(row, public, ending, f"../../{run}/{REPORT}" if run else "", synthetic)


def _public_names(plan: Plan) -> dict[str, str]:
    """Names for the paths of a user's data: without folders, and each of them another."""
    data = {name for i in plan.sweep.notebooks for name in catalog.find(i).data}
    settings = [item for row in plan.last for item in plan.settings(row).items()]
    paths = dict.fromkeys(v for n, v in settings if n.rpartition(".")[2] in data)
    names: dict[str, str] = {}
    for path in paths:
        name = str(data_name(path))
        count = sum(other.partition(" (")[0] == name for other in names.values())
        names[str(path)] = f"{name} ({count + 1})" if count else name
    return names


def ranked(found: Sequence[Result], plan: Plan) -> list[Result]:
    """Runs that have the sweep's metric, the best first."""
    known = [r for r in found if r.value(plan.metric) is not None]
    sign = -1 if plan.sweep.better == "higher" else 1
    return sorted(known, key=lambda r: sign * (r.value(plan.metric) or 0.0))


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone."""

    settings: dict[str, Any]
    values: list[float]

    @property
    def text(self) -> str:
        """Mean, lowest and highest."""
        low, high = number(min(self.values)), number(max(self.values))
        return f"{number(statistics.mean(self.values))} ({low} to {high})"


def over_seeds(found: Sequence[Result], plan: Plan) -> list[Group]:
    """Runs grouped by everything but the seed, the best mean first; empty without seeds."""
    if not any(name.rpartition(".")[2] == "seed" for name in plan.sweep.varied()):
        return []
    groups: dict[str, Group] = {}
    for r in ranked(found, plan):
        rest = {n: v for n, v in r.settings.items() if n.rpartition(".")[2] != "seed"}
        group = groups.setdefault(json.dumps(rest), Group(rest, []))
        group.values.append(r.value(plan.metric) or 0.0)
    sign = -1 if plan.sweep.better == "higher" else 1
    return sorted(groups.values(), key=lambda g: sign * statistics.mean(g.values))


def as_table(found: Sequence[Result]) -> pd.DataFrame:
    """A row per run: settings, outcome, each metric with its interval, seconds, memory, run."""
    import pandas as pd

    return pd.DataFrame([dict(_columns(r)) for r in found])


def _columns(r: Result) -> Iterator[tuple[str, Any]]:
    yield "row", r.row.index
    yield from r.settings.items()
    yield "outcome", r.outcome
    for m in r.ending.metrics if r.ending else []:
        yield m["name"], m["value"]
        if m["low"] is not None:
            yield f"{m['name']}_low", m["low"]
            yield f"{m['name']}_high", m["high"]
    if r.ending:
        yield "seconds", r.ending.seconds
        yield "peak_mb", r.ending.peak_mb
        yield "run", r.ending.run


def write(state: Progress, figures: Mapping[str, tuple[str, str]]) -> tuple[Path, Path]:
    """Write ``results.csv`` and ``report.html`` into the sweep's folder.

    Parameters
    ----------
    state : Progress
    figures : mapping of str to (str, str)
        Heading -> picture as a data address, and its alternative text.

    Returns
    -------
    table, page : Path

    Raises
    ------
    DataError
        If they cannot be written.
    """
    from nextaim_kit.runs.pages import render

    plan, found = state.plan, results(state)
    table, page = plan.folder / RESULTS, plan.folder / PAGE
    write_csv(as_table(found), table)
    best = ranked(found, plan)
    text = render(
        "sweep.html.j2",
        plan=plan,
        state=state,
        text=setting_text,
        words=in_words,
        found=found,
        best=best[:BEST],
        groups=over_seeds(found, plan),
        names=list(dict.fromkeys(name for r in found for name in r.settings)),
        metrics=_metrics(plan, found),
        figures=figures,
        synthetic=any(r.synthetic for r in found),
        mixed=len({r.synthetic for r in found if r.link}) > 1,
    )
    with atomic_path(page) as partial:
        partial.write_text(text, encoding="utf-8")
    return table, page


def _metrics(plan: Plan, found: Sequence[Result]) -> list[str]:
    names = dict.fromkeys(m["name"] for r in found if r.ending for m in r.ending.metrics)
    first = [plan.metric] if plan.metric else []
    return [*first, *(name for name in names if name != plan.metric)][:4]
