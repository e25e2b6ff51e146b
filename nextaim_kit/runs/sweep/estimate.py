"""What a sweep will take, from what such runs took before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from nextaim_kit.runs.estimate import earlier, taken
from nextaim_kit.runs.sweep.state import Progress


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
        past = list(earlier(plan.runs / notebook, plan.sweep.profile))
        minutes, memory_gb = taken(past) if past else (declared.minutes, declared.memory_gb)
        found.append(
            Estimate(notebook, len(rows), minutes, memory_gb, len(past), declared.memory_gb)
        )
    return found
