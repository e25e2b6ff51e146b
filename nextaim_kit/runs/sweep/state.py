"""How far a sweep is: what its rows left in its folder, as a file each."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat

from nextaim_kit.errors import without_user
from nextaim_kit.files import read_json, sha256_of, write_json
from nextaim_kit.places import absolute
from nextaim_kit.runs.record import RECORD
from nextaim_kit.runs.schema import Inside, Metric, Text, checked, printable
from nextaim_kit.runs.sweep.plan import Plan, Row

ENDED, ALIVE, LOGS, CANCELED = "rows", "alive", "logs", "canceled"
SLOTS = "NEXTAIM_GPU_SLOTS"  # devices that rows may take, one number for each run that fits
# What a job elsewhere has to know of this process's environment.
PASSED_ON = (
    "NEXTAIM_CACHE", "NEXTAIM_DATA", "NEXTAIM_MANIFESTS", "NEXTAIM_NOTEBOOKS",
    "NEXTAIM_DASK", "NEXTAIM_DASK_WAIT", "NEXTAIM_MIRROR", "NEXTAIM_SHARED",
    "NEXTAIM_STORE_PASSPHRASE_FILE",
)  # fmt: skip
BEAT = 5.0  # seconds between two signs of life of a running row
_DEAD = 90.0  # seconds without one after which it does not run; file systems in a network lag

Outcome = Literal["complete", "incomplete", "failed", "killed", "skipped"]
State = Literal["done", "failed", "running", "waiting"]


@dataclass(frozen=True)
class Ending:
    """How a row ended; written last and whole, so that a row without one has not ended.

    Attributes
    ----------
    outcome : {"complete", "incomplete", "failed", "killed", "skipped"}
        Incomplete is done too, but for some subjects; skipped is one whose feeder failed.
    run : str
        Folder of the run, below the folder of all runs.
    record : str
        SHA-256 of the run's record.
    error : str
        What went wrong.
    traceback : list of str
        Its last lines, where a cell raised.
    notes : list of str
        What else a reader should know, such as a first attempt that was killed.
    """

    outcome: Outcome
    run: Inside | Literal[""] = ""
    record: str = ""
    seconds: FiniteFloat = 0.0
    peak_mb: FiniteFloat = 0.0
    metrics: list[Metric] = field(default_factory=list)
    error: Text = ""
    traceback: list[Text] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.outcome in ("complete", "incomplete")


def passed_on() -> dict[str, str]:
    """The variables of ``PASSED_ON`` that are set, folders as absolute ones."""
    known = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    return known | {name: place for name, place in absolute().items() if name in known}


def tellable(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that may stand in a job's script or command: no password is in their address."""
    return {name: value for name, value in variables.items() if without_user(value) == value}


def ending_path(folder: Path, row_id: str) -> Path:
    """Where a row's ending stands."""
    return folder / ENDED / f"{row_id}.json"


def write_ending(folder: Path, row_id: str, ending: Ending) -> None:
    """Write how a row ended."""
    write_json(ending_path(folder, row_id), printable(asdict(ending)))


def read_ending(folder: Path, row_id: str) -> Ending | None:
    """How a row ended; None if it has not, or the run it speaks of is gone or changed."""
    try:
        ending = checked(read_json(ending_path(folder, row_id)), Ending)
    except (OSError, ValueError):
        return None
    return None if ending.good and not _is_there(folder.parents[1] / ending.run, ending) else ending


def _is_there(run: Path, ending: Ending) -> bool:
    try:
        return sha256_of(run / RECORD) == ending.record
    except OSError:
        return False


@dataclass(frozen=True)
class Progress:
    """States of all rows at one moment."""

    plan: Plan
    endings: Mapping[str, Ending]
    running: frozenset[str]

    def state(self, row: Row) -> State:
        """State of one row."""
        ending = self.endings.get(row.id)
        if ending:
            return "done" if ending.good else "failed"
        return "running" if row.id in self.running else "waiting"

    @cached_property
    def counts(self) -> Counter[str]:
        """Rows by state."""
        return Counter(self.state(row) for row in self.plan.rows)

    @property
    def over(self) -> bool:
        return len(self.endings) == len(self.plan.rows)

    def failures(self) -> list[tuple[Row, Ending]]:
        """Rows that failed, and how; first those that failed by themselves."""
        found = [(row, e) for row in self.plan.rows if (e := self.endings.get(row.id))]
        bad = [(row, e) for row, e in found if not e.good]
        return sorted(bad, key=lambda pair: pair[1].outcome == "skipped")


def progress(plan: Plan) -> Progress:
    """Look at all rows."""
    found = {row.id: read_ending(plan.folder, row.id) for row in plan.rows}
    endings = {row_id: ending for row_id, ending in found.items() if ending}
    return Progress(plan, endings, frozenset(_alive(plan.folder) - set(endings)))


def _alive(folder: Path) -> set[str]:
    now = time.time()
    beats = {path.name: path.stat().st_mtime for path in (folder / ALIVE).glob("*")}
    return {row_id for row_id, last in beats.items() if now - last < _DEAD}


def forget(state: Progress, *, everything: bool = False) -> int:
    """Forget how rows ended whose runs are gone or changed, and that the sweep was canceled.

    With `everything` also how failed ones ended, so that they run again; gives how many.
    """
    folder, count = state.plan.folder, 0
    (folder / CANCELED).unlink(missing_ok=True)
    for row in state.plan.rows:
        ending = state.endings.get(row.id)
        if ending and (ending.good or not everything):
            continue
        path = ending_path(folder, row.id)
        if path.exists():
            path.unlink()
            path.with_suffix(".killed").unlink(missing_ok=True)
            count += ending is not None
    return count
