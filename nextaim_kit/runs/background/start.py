"""Runs in the background are started and cancelled."""

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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.errors import KitError, RequestError, RunError, mend_of
from nextaim_kit.files import write_json
from nextaim_kit.machine.limits import memory_kills
from nextaim_kit.places import absolute
from nextaim_kit.runs.background.job import (
    JOB,
    LOG,
    STATE,
    Job,
    clock_of,
    here,
    jobs,
    jobs_folder,
    read,
)
from nextaim_kit.runs.chain import check_row, share_out
from nextaim_kit.runs.record import locked_file, runs_folder
from nextaim_kit.runs.request import Request

_KEPT = 30  # runs that ended whose state is kept
_PROCESS = "nextaim_kit.runs.background.process"


def begin(
    notebook_ids: Sequence[str],
    profile: str,
    given: Mapping[str, Any],
    out: str | Path | None = None,
    *,
    force: bool = False,
    gpu: int | None = None,
) -> Job:
    """Start a run in the background; give the one that is running where it was asked before.

    Parameters
    ----------
    notebook_ids, profile, given, out, force
        As `nextaim run` takes them.
    gpu : int, optional
        Bytes of the GPU or slice, 0 without any; torch is asked unless they are given.

    Raises
    ------
    KitError
        Where `nextaim run` would refuse it, or no process can be started: nothing runs then.
    """
    own = share_out(notebook_ids, given)
    asked, _ = check_row(notebook_ids, profile, own, out, force, gpu)
    folder = jobs_folder(out) / _key(asked)
    with locked_file(folder / ".lock"):
        running = read(folder)
        if running and running.outcome == "running":
            return running
        order = {
            "notebooks": list(notebook_ids),
            "profile": profile,
            # As checked: a path that was given from here is another one from elsewhere.
            "own": {r.notebook: {n: r.parameters[n] for n in own[r.notebook]} for r in asked},
            "force": force,
            "out": str(runs_folder(out)),
        }
        try:
            job = _start(folder, order, _public(asked, given))
        except OSError as error:
            raise RunError(
                "the run cannot be started",
                expected="a process of its own, and a folder for its state in the runs' folder",
                found=error.strerror or str(error),
                mend=mend_of(error, "set NEXTAIM_RUNS to another folder"),
            ) from error
    _forget(jobs(out)[_KEPT:])
    return job


def cancel(job: Job) -> None:
    """Ask a run to end; what it trained so far is kept.

    Raises
    ------
    RequestError
        If it has ended already, or runs on another machine.
    """
    job = read(job.folder) or job
    if job.outcome != "running":
        raise RequestError("the run cannot be cancelled", found=f"it is {job.outcome} already")
    if job.elsewhere:
        raise RequestError(
            "the run cannot be cancelled from here",
            found="it runs on another machine, or in another pod, that shares this folder",
            mend="cancel it on the server that started it",
        )
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.process, signal.SIGTERM)


def _start(folder: Path, order: Mapping[str, Any], changed: Mapping[str, Any]) -> Job:
    folder.chmod(0o700)
    for name in (JOB, STATE):  # of the run before: it is no run until the new one is described
        (folder / name).unlink(missing_ok=True)
    process = _spawn(folder, order)
    described = {
        "notebooks": order["notebooks"],
        "profile": order["profile"],
        "changed": changed,
        "began": time.time(),
        "process": process,
        "clock": clock_of(process) or 0,
        "machine": here(),
        "kills": memory_kills(),
    }
    try:
        write_json(folder / JOB, described)
    except KitError:  # nobody would find it
        os.killpg(process, signal.SIGTERM)
        raise
    return Job(folder, **described, alive=True)


def _spawn(folder: Path, order: Mapping[str, Any]) -> int:
    """Start the process; what is asked goes through a pipe: it may hold paths of the user's."""
    # A kernel that ends, or a server that interrupts it, must not take the run along.
    outer = {**os.environ, **absolute()}
    outer = {k: v for k, v in outer.items() if not k.startswith(("JPY_", "MPLBACKEND"))}
    with (folder / LOG).open("wb") as log, _signals_held():
        os.fchmod(log.fileno(), 0o600)  # an unexpected error's text may hold paths
        process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, str(folder)],
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


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """A process that is started here hears only once it asks that it was told to end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _key(asked: Sequence[Request]) -> str:
    names = [request.id for request in asked]
    return (
        names[0] if len(names) == 1 else hashlib.sha256("+".join(names).encode()).hexdigest()[:12]
    )


def _public(asked: Sequence[Request], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that were given, of a user's own data only the name."""
    return {n: v for r in asked for n, v in r.public()["parameters"].items() if n in given}


def _forget(ended: Sequence[Job]) -> None:
    for job in ended:
        if job.outcome != "running":
            shutil.rmtree(job.folder, ignore_errors=True)
