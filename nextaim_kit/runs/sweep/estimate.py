"""What a sweep will take, from what such runs took before."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextaim_kit.runs.record import RECORD, read_record
from nextaim_kit.runs.sweep.plan import Plan
from nextaim_kit.runs.sweep.state import Progress

_LOOKED_AT = 200  # latest records of a notebook


@dataclass(frozen=True)
class Estimate:
    """Of all rows that have not ended, of one notebook.

    Attributes
    ----------
    notebook : str
    rows : int
        How many are left.
    minutes : float
        Of one run: the median of earlier ones, else as declared.
    memory_gb : float
        Of one run: the highest of earlier ones, else as declared.
    runs : int
        Earlier runs that it comes from; 0 where the declared numbers stand in.
    declared_gb : float
        What the engine reserves.
    """

    notebook: str
    rows: int
    minutes: float
    memory_gb: float
    runs: int
    declared_gb: float


def estimates(state: Progress) -> list[Estimate]:
    """An estimate for each notebook that has rows left, in the sweep's order."""
    plan = state.plan
    left = defaultdict(list)
    for row in plan.rows:
        if row.id not in state.endings:
            left[row.notebook].append(row)
    found = []
    for notebook, rows in left.items():
        declared = plan.resources(rows[0])
        earlier = list(_earlier(plan, notebook))
        minutes = [sum(s["seconds"] for s in r["sections"]) / 60 for r in earlier]
        peaks = [s["peak_mb"] / 1000 for r in earlier for s in r["sections"]]
        found.append(
            Estimate(
                notebook,
                len(rows),
                statistics.median(minutes) if minutes else declared.minutes,
                max(peaks) if peaks else declared.memory_gb,
                len(earlier),
                declared.memory_gb,
            )
        )
    return found


def _earlier(plan: Plan, notebook: str) -> Iterator[dict[str, Any]]:
    paths = sorted((plan.runs / notebook).glob(f"*/{RECORD}"), key=_age)[:_LOOKED_AT]
    for path in paths:
        record = read_record(path.parent)
        if record and record["profile"] == plan.sweep.profile and record["outcome"] != "failed":
            yield record


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # a run that is made anew just now
        return 0.0
