"""What a sweep will take, from what such runs took before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.run_cost import Expected, earlier, taken
from nextaim_kit.runs.sweep.plan import Row
from nextaim_kit.runs.sweep.state import Progress


@dataclass(frozen=True)
class Estimate:
    """Of all rows that have not ended, of one notebook on its own data or on others.

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
    """An estimate for each notebook that has rows left, in the sweep's order.

    Rows on data of one's own stand apart from those on the synthetic twin: only runs on such data
    tell what they take.
    """
    plan = state.plan
    left = defaultdict(list)
    for row in plan.rows:
        if row.id not in state.endings:
            left[row.notebook, _given(row)].append(row)
    found = []
    for (notebook, given), rows in left.items():
        declared = plan.resources(rows[0])
        past = [
            record for record in earlier(plan.runs / notebook, plan.sweep.profile)
            if _own(rows[0], record["parameters"]) == given
        ]  # fmt: skip
        known = taken(past) if past else (declared.minutes, declared.memory_gb)
        twins = not past and bool(given - set(rows[0].needs))
        one = Expected(*known, len(past), twins)
        found.append(Estimate(notebook, len(rows), one, declared.memory_gb))
    return found


def _given(row: Row) -> frozenset[str]:
    """Parameters of a row that name other data than the profile's own."""
    return _own(row, row.parameters) | set(row.needs)


def _own(row: Row, parameters: Mapping[str, Any]) -> frozenset[str]:
    notebook = catalog.find(row.notebook)
    plain = resolve(notebook, row.profile, {})
    return frozenset(n for n in notebook.data if parameters.get(n, plain[n]) != plain[n])
