"""Runs that go on by themselves, each in a process of its own.

What is asked and how far it is lie in a folder of the run's own below ``runs/.background``, so
that a page that is loaded anew, a kernel that was started again or a second tab find it there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.data.files import write_text
from nextaim_kit.errors import KitError, RequestError
from nextaim_kit.machine.fitting import check_fits
from nextaim_kit.machine.limits import memory_kills
from nextaim_kit.runs import record as records
from nextaim_kit.runs.chain import run_row, share_out
from nextaim_kit.runs.request import Request, prepare
from nextaim_kit.runs.runner import Observer, execute

JOB, STATE, LOG = "job.json", "state.json", "log.txt"
_KEPT = 30  # runs that ended whose state is kept


@dataclass(frozen=True)
class State:
    """How far a run in the background is, as its process writes it."""

    ending: str = ""  # done, failed or cancelled; empty while it runs
    number: int = 0  # place of the notebook that runs
    cell: int = 0
    cells: int = 0
    heading: str = ""
    error: str = ""
    seconds: float = 0.0
    folders: list[str] = field(default_factory=list)  # of its runs so far, below the runs' folder


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
    kills : int
        Processes that the system had killed for want of memory when it began.
    """

    folder: Path
    notebooks: list[str]
    profile: str
    changed: dict[str, Any]
    began: float
    process: int
    clock: int
    kills: int
    state: State = field(default_factory=State)

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def runs(self) -> Path:
        """Folder of all runs."""
        return self.folder.parents[1]

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return _clock(self.process) == self.clock

    @property
    def outcome(self) -> str:
        """One of running, done, failed, cancelled, killed."""
        return self.state.ending or ("running" if self.alive else "killed")

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
        memory = memory_kills() > self.kills
        found = "the system has killed a process for want of memory meanwhile"
        return str(
            KitError(
                "the run's process is gone, without a word",
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
    found = [read(path.parent) for path in _folder(out).glob(f"*/{JOB}")]
    return sorted((job for job in found if job), key=lambda job: -job.began)


def read(folder: Path) -> Job | None:
    """The run in the background whose state lies in a folder."""
    try:
        job = json.loads((folder / JOB).read_text(encoding="utf-8"))
        path = folder / STATE
        state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return Job(folder=folder, state=State(**state), **job)
    except (OSError, ValueError, TypeError):  # removed just now, or written by another version
        return None


def begin(
    notebook_ids: Sequence[str],
    profile: str,
    given: Mapping[str, Any],
    out: str | Path | None = None,
    *,
    force: bool = False,
) -> Job:
    """Start a run in the background; give the one that is running where it was asked before.

    Raises
    ------
    KitError
        Where `nextaim run` would refuse it: nothing is started then.
    """
    own = share_out(notebook_ids, given)
    asked = [prepare(i, profile, own[i], out) for i in notebook_ids]
    for request in asked:
        if force or not records.is_done(request.folder):
            check_fits(catalog.find(request.notebook), profile)
    folder = _folder(out) / _key(asked)
    with records.locked_file(folder / ".lock"):
        folder.chmod(0o700)
        running = read(folder)
        if running and running.outcome == "running":
            return running
        (folder / STATE).unlink(missing_ok=True)
        order = {"notebooks": list(notebook_ids), "profile": profile, "own": own, "force": force}
        process = _spawn(folder, order | {"out": str(records.runs_folder(out).absolute())})
        changed = {n: v for r in asked for n, v in r.public()["parameters"].items() if n in given}
        job = Job(
            folder, list(notebook_ids), profile, changed, time.time(), process,
            _clock(process) or 0, memory_kills(),
        )  # fmt: skip
        described = {k: v for k, v in asdict(job).items() if k not in ("folder", "state")}
        write_text(folder / JOB, json.dumps(described, indent=1))
    for old in jobs(out)[_KEPT:]:
        if old.outcome != "running":
            shutil.rmtree(old.folder, ignore_errors=True)
    return job


def cancel(job: Job) -> None:
    """Ask a run to end; what it trained so far is kept.

    Raises
    ------
    RequestError
        If it has ended already.
    """
    if job.outcome != "running":
        raise RequestError("the run cannot be cancelled", found=f"it is {job.outcome} already")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.process, signal.SIGTERM)


def _folder(out: str | Path | None) -> Path:
    return records.runs_folder(out).absolute() / ".background"


def _key(asked: Sequence[Request]) -> str:
    names = [request.id for request in asked]
    return (
        names[0] if len(names) == 1 else hashlib.sha256("+".join(names).encode()).hexdigest()[:12]
    )


def _spawn(folder: Path, order: Mapping[str, Any]) -> int:
    """Start the process; what is asked goes through a pipe: it may hold paths of the user's."""
    # A kernel that ends, or a server that interrupts it, must not take the run along.
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("JPY_", "MPLBACKEND"))}
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=outer,
            cwd=catalog.project_folder(),
            start_new_session=True,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin:
        json.dump(order, process.stdin)
    return process.pid


def _clock(process: int) -> int | None:
    """When a process started, in the system's ticks; None if it has ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


class _Teller(Observer):
    """Writes down how far the run is."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.folder, self.out, self.state = folder, out, State()
        self._began = time.monotonic()

    def tell(self, **news: Any) -> None:
        seconds = round(time.monotonic() - self._began, 1)
        self.state = replace(self.state, **news, seconds=seconds)
        write_text(self.folder / STATE, json.dumps(asdict(self.state)))

    def cell(self, number: int, total: int, heading: str) -> None:
        if heading != self.state.heading:
            print(f"-- {heading}", flush=True)
        self.tell(cell=number, cells=total, heading=heading)

    def printed(self, line: str) -> None:
        print(line, flush=True)

    def failed(self, error: KitError) -> None:
        print(f"error: {error}", flush=True)
        self.tell(error=self.state.error or str(error), number=self.state.number + 1, cell=0)

    def run(self, request: Request, force: bool) -> dict[str, Any]:
        print(f"== {request.notebook}", flush=True)
        self.tell(folders=[*self.state.folders, request.folder.relative_to(self.out).as_posix()])
        record, fresh = execute(request, force=force, wait=True, observer=self)
        print("done" if fresh else "done already", flush=True)
        self.tell(number=self.state.number + 1, cell=0, heading="")
        return record


def _stop(*_: object) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # what it cleans up is not interrupted again
    raise KeyboardInterrupt


def _main(folder: Path) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _stop)
    order = json.load(sys.stdin)
    out = Path(order["out"])
    teller = _Teller(folder, out)
    try:
        endings = run_row(
            order["notebooks"],
            order["profile"],
            order["own"],
            out,
            run=lambda request: teller.run(request, order["force"]),
            failed=teller.failed,
        )
        teller.tell(ending="failed" if any(e.error for e in endings.values()) else "done")
    except KeyboardInterrupt:
        print("cancelled", flush=True)
        teller.tell(ending="cancelled")
    except BaseException as error:
        teller.tell(ending="failed", error=f"{type(error).__name__}: {error}")
        traceback.print_exc()
        raise


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
