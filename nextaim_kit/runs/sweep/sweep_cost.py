"""What a sweep will take, from what such runs took before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.runs.parameters import resolve
from nextaim_kit.runs.run_cost import Expected, earlier, taken
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
    names = {row.notebook for row in plan.rows}
    usual = {name: _usual(name, plan.sweep.profile) for name in names}
    left = defaultdict(list)
    for row in plan.rows:
        if row.id not in state.endings:
            given = _own(row.parameters, usual[row.notebook]) | set(row.needs)
            left[row.notebook, given].append(row)
    found = []
    for (notebook, given), rows in left.items():
        declared = plan.resources(rows[0])
        past = [
            record for record in earlier(plan.runs / notebook, plan.sweep.profile)
            if _own(record["parameters"], usual[notebook]) == given
        ]  # fmt: skip
        known = taken(past) if past else (declared.minutes, declared.memory_gb)
        twins = not past and bool(given - set(rows[0].needs))
        one = Expected(*known, len(past), twins)
        found.append(Estimate(notebook, len(rows), one, declared.memory_gb))
    return found


def _usual(notebook_id: str, profile: str) -> dict[str, Any]:
    """The parameters that name data, where a sweep says nothing of them."""
    notebook = catalog.find(notebook_id)
    known = resolve(notebook, profile, {})
    return {name: known[name] for name in notebook.data}


def _own(parameters: Mapping[str, Any], usual: Mapping[str, Any]) -> frozenset[str]:
    """Names of the parameters that name other data than usual."""
    return frozenset(name for name, value in usual.items() if parameters.get(name, value) != value)
