"""What a sweep will take, from what such runs took before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from nextaim_kit.runs.run_cost import Expected, earlier, taken
from nextaim_kit.runs.sweep.state import Progress


@dataclass(frozen=True)
class Estimate:
    """Of all rows that have not ended, of one notebook.

    Attributes
    ----------
    notebook : str
    rows : int
        How many are left.
    one : Expected
        What one run takes, from earlier ones on whatever machine.
    declared_gb : float
        What the engine reserves.
    """

    notebook: str
    rows: int
    one: Expected
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
        known = taken(past) if past else (declared.minutes, declared.memory_gb)
        one = Expected(*known, len(past))
        found.append(Estimate(notebook, len(rows), one, declared.memory_gb))
    return found
