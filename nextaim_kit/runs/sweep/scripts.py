"""Submit files for sites where one submits job arrays by hand."""

from __future__ import annotations

import json
import math
import shlex
import sys
from typing import Any

from nextaim_kit.errors import RequestError
from nextaim_kit.places import plain
from nextaim_kit.runs.pages import render_text
from nextaim_kit.runs.sweep.plan import Plan
from nextaim_kit.runs.sweep.state import LOGS, passed_on, tellable

SYSTEMS = ("slurm", "htcondor", "kubernetes")


def submit_file(plan: Plan, system: str, jobs: int | None = None) -> str:
    """A file that runs every row of a sweep as one job of an array.

    A job first runs what feeds its row, or waits where another job does so already, so that the
    order of the jobs does not matter. Rows that are done end at once.

    Parameters
    ----------
    plan : Plan
    system : {"slurm", "htcondor", "kubernetes"}
    jobs : int, optional
        At most so many at once.

    Raises
    ------
    RequestError
        If there is no such batch system, or a path could end a line of the file.
    """
    if system not in SYSTEMS:
        raise RequestError(f"no batch system {system!r}", expected=f"one of {', '.join(SYSTEMS)}")
    known = passed_on() | {"NEXTAIM_WARM": "0"}
    exports = {name: plain(value, name) for name, value in tellable(known).items()}
    plain(str(plan.folder), "the sweep's folder")
    command = [sys.executable, "-m", "nextaim_kit.cli", "sweep", "row", str(plan.folder)]
    return render_text(
        f"{system}.j2",
        name=_label(plan.name),
        command=shlex.join(command),
        program=command[0],
        arguments=shlex.join(command[1:]),
        quoted=json.dumps(f"exec {shlex.join(command)} --index $JOB_COMPLETION_INDEX"),
        exports=exports,
        secret=sorted(known.keys() - exports.keys()),
        count=len(plan.rows),
        runs=str(plan.runs),
        logs=str(plan.folder / LOGS),
        jobs=jobs,
        **_largest(plan),
    )


def _label(name: str) -> str:
    """A name that every batch system takes: small letters, digits and dashes."""
    letters = [c if c.isalnum() and c.isascii() else "-" for c in name.lower()]
    return "".join(letters)[:50].strip("-") or "sweep"


def _largest(plan: Plan) -> dict[str, Any]:
    """What the job of any row may take; all jobs of an array are alike."""
    all_rows = [plan.resources(row) for row in plan.rows]
    return {
        "cores": max(takes.cores for takes in all_rows),
        "memory_mb": math.ceil(1000 * max(takes.memory_gb for takes in all_rows)),
        "minutes": math.ceil(10 + 4 * max(takes.longest for takes in all_rows)),
        "gpu": any(takes.vram_gb for takes in all_rows),
    }
