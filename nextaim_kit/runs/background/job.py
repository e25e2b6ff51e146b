"""A run in the background as its folder tells of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat

from nextaim_kit.errors import KitError
from nextaim_kit.files import read_json
from nextaim_kit.machine.limits import memory_kills
from nextaim_kit.runs.record import runs_folder
from nextaim_kit.runs.schema import Inside, checked

JOB, STATE, LOG = "job.json", "state.json", "log.txt"
PULSE = 20.0  # seconds between two signs of life, for those who cannot see the process


@dataclass(frozen=True)
class State:
    """How far a run in the background is, as its process writes it."""

    ending: Literal["", "done", "failed", "cancelled"] = ""  # empty while it runs
    number: int = 0  # place of the notebook that runs
    cell: int = 0
    cells: int = 0
    heading: str = ""
    error: str = ""
    seconds: FiniteFloat = 0.0
    folders: list[Inside] = field(default_factory=list)  # below the runs' folder


@dataclass(frozen=True)
class Job:
    """A run in the background.

    Attributes
    ----------
    key : str
        Alike for the same request.
    notebooks, profile, changed
        What is asked: notebooks in their order, and the parameters that were given, of a user's
        own data only the name.
    began : float
        Seconds since the epoch.
    process, clock : int
        Its process, and when that started by the system's clock: numbers are used again.
    machine : str
        Where its process is: processes of another machine or pod cannot be seen.
    kills : int
        Processes that the system had killed for want of memory when it began.
    state : State
    alive : bool
        Whether its process was there, or elsewhere gave a sign of life, looked at before the state
        was: a run that has ended since is not taken for one that was killed.
    """

    folder: Path
    notebooks: Annotated[list[str], Field(min_length=1)]
    profile: str
    changed: dict[str, Any]
    began: FiniteFloat
    process: int
    clock: int
    machine: str
    kills: int
    state: State = field(default_factory=State)
    alive: bool = False

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.folder.parents[1]

    @property
    def outcome(self) -> str:
        """One of running, done, failed, cancelled, killed."""
        return self.state.ending or ("running" if self.alive else "killed")

    @property
    def elsewhere(self) -> bool:
        """Whether its process is on another machine, or in another pod of this one."""
        return self.machine != here()

    @property
    def share(self) -> float:
        """How much of its cells is behind it, from 0 to 1."""
        here = max(0, self.state.cell - 1) / self.state.cells if self.state.cells else 0.0
        return min(1.0, (self.state.number + here) / len(self.notebooks))

    @property
    def seconds(self) -> float:
        """For how long it has run, or ran."""
        return time.time() - self.began if self.outcome == "running" else self.state.seconds

    @property
    def why(self) -> str:
        """What went wrong, in full; empty if nothing did."""
        if self.outcome != "killed":
            return self.state.error
        memory = not self.elsewhere and memory_kills() > self.kills
        found = "the system killed a process for lack of memory in the meantime"
        return str(
            KitError(
                "the run's process ended without a message",
                found=found if memory else "it was killed, or this machine was started again",
                mend="run a smaller profile, or ask for more memory"
                if memory
                else "start it again: it goes on from its last checkpoint, where it trains",
            )
        )

    @property
    def line(self) -> str:
        """What its running cell printed last; empty if nothing yet."""
        last = self.log.rstrip().rpartition("\n")[2]
        return "" if last.startswith(("== ", "-- ")) else last

    @property
    def log(self) -> str:
        """What the run said, the last 20 000 characters."""
        with contextlib.suppress(FileNotFoundError), (self.folder / LOG).open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 20_000))
            return stream.read().decode(errors="replace")
        return ""


def jobs(out: str | Path | None = None) -> list[Job]:
    """All runs in the background whose state is kept, the latest first."""
    found = [read(path.parent) for path in jobs_folder(out).glob(f"*/{JOB}")]
    return sorted((job for job in found if job), key=lambda job: -job.began)


def read(folder: Path) -> Job | None:
    """The run in the background whose state lies in a folder."""
    try:
        job = checked({"folder": folder, **read_json(folder / JOB)}, Job)
        alive = _alive(folder, job.process, job.clock, job.machine)
        state = read_json(folder / STATE) if (folder / STATE).exists() else {}
        return replace(job, state=checked(state, State), alive=alive)
    except (OSError, ValueError, TypeError):  # removed just now, strange, or another version's
        return None


def _alive(folder: Path, process: int, clock: int, machine: str) -> bool:
    if machine == here():
        return clock_of(process) == clock
    signs = [path.stat().st_mtime for name in (JOB, STATE) if (path := folder / name).exists()]
    return time.time() - max(signs) < 6 * PULSE


def here() -> str:
    """What tells this machine, or pod, from another: alike while it is up, and says no name."""
    booted = Path("/proc/sys/kernel/random/boot_id")
    parts = [booted.read_text() if booted.exists() else "", str(_namespace())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def _namespace() -> int:
    with contextlib.suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0


def jobs_folder(out: str | Path | None = None) -> Path:
    """Folder with a folder for each run in the background."""
    return runs_folder(out) / ".background"


def clock_of(process: int) -> int | None:
    """When a process started, in the system's ticks; None if it has ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])
