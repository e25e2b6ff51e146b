"""One row of a sweep: a run like any other, whose ending is written for the engine to see."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from nextaim_kit.errors import KernelDied, KitError, RequestError, RunError
from nextaim_kit.files import sha256_of, write_text
from nextaim_kit.machine.limits import cpu_count, memory_kills
from nextaim_kit.runs.execution import Observer, without_colors
from nextaim_kit.runs.record import FILES, NOTEBOOK, RECORD, locked_file, read_record
from nextaim_kit.runs.request import Request, data_name, prepare
from nextaim_kit.runs.runner import environ, execute
from nextaim_kit.runs.sweep.plan import Plan, Row, require_current
from nextaim_kit.runs.sweep.state import (
    ALIVE,
    BEAT,
    CANCELED,
    ENDED,
    SLOTS,
    Ending,
    read_ending,
    write_ending,
)  # fmt: skip

_TRACEBACK = 12  # lines of it that a report shows


def run_row(
    plan: Plan,
    row: Row,
    *,
    attempt: int | None = None,
    local: bool = False,
    observer: Observer | None = None,
) -> Ending:
    """Run a row once, whoever else wants it too, and write how it ended.

    Rows that feed it and have not ended are run first, so that rows may be asked for in any
    order. One that failed before is tried again.

    Parameters
    ----------
    plan : Plan
    row : Row
    attempt : int, optional
        An engine's count. A kernel that was killed in the first attempt is told to the engine,
        which gives it another: with more memory, or alone.
    local : bool
        Whether all rows run on this machine, so that one in its second attempt has to be alone.
    observer : Observer, optional

    Raises
    ------
    KernelDied
        If it was killed and the engine has another attempt.
    RunError
        If the sweep was canceled.
    """
    with _only_here(plan.folder, row):
        known = read_ending(plan.folder, row.id)
        if known and known.good:
            return known
        if (plan.folder / CANCELED).exists():
            raise RunError(
                f"the sweep {plan.name} was canceled", mend="nextaim sweep run FILE goes on with it"
            )
        bad = [feeder for feeder, _ in row.needs.values() if not _fed(plan, feeder, observer)]
        if bad:
            fed_by = plan.by_id[bad[0]]
            words = f"not run: row {fed_by.index} ({fed_by.notebook}), which feeds it, failed"
            ending = Ending("skipped", error=words)
        else:
            with _beside_others(plan.folder, attempt or 1) if local else contextlib.nullcontext():
                ending = _ended(plan, row, attempt, observer or Observer())
        write_ending(plan.folder, row.id, ending)
        return ending


def _fed(plan: Plan, feeder: str, observer: Observer | None) -> bool:
    ending = read_ending(plan.folder, feeder)
    if ending is None:
        ending = run_row(plan, plan.by_id[feeder], observer=observer)
    return ending.good


def _ended(plan: Plan, row: Row, attempt: int | None, observer: Observer) -> Ending:
    killed = plan.folder / ENDED / f"{row.id}.killed"
    notes = [killed.read_text(encoding="utf-8")] if killed.exists() else []
    before = memory_kills()
    request = None
    try:
        request = _request(plan, row)
        with _share(plan, row):
            record, _ = execute(request, wait=True, observer=observer)
    except KernelDied as error:
        why = "killed for memory" if memory_kills() > before else "killed, most often for memory"
        if attempt == 1:
            write_text(killed, f"{why}, and run once more, with more memory or alone")
            raise
        alone = ", also when run with more memory or alone" if notes else ""
        takes = plan.resources(row).memory_gb
        words = f"{why}{alone}; declared are {takes:g} GB; {error.mend}"
        return replace(_failure(plan, row, request, error), outcome="killed", error=words)
    except KitError as error:
        return _failure(plan, row, request, error)
    killed.unlink(missing_ok=True)
    sections = record["sections"]
    return Ending(
        record["outcome"],
        run=request.folder.relative_to(plan.runs).as_posix(),
        record=sha256_of(request.folder / RECORD),
        seconds=round(sum(s["seconds"] for s in sections), 3),
        peak_mb=max((s["peak_mb"] for s in sections), default=0.0),
        metrics=record["metrics"],
        notes=notes,
    )


def _request(plan: Plan, row: Row) -> Request:
    """What the row asks for now, if that is what was planned."""
    require_current(plan, [row])
    handed = {}
    for parameter, (feeder, file) in row.needs.items():
        ending = read_ending(plan.folder, feeder)
        if ending is None or not ending.good:
            raise RequestError(
                f"row {row.index} has nothing to start from",
                expected=f"{file} of row {plan.by_id[feeder].index}",
                found="its run is gone",
                mend="run the sweep again",
            )
        handed[parameter] = str(plan.runs / ending.run / FILES / file)
    return prepare(row.notebook, row.profile, {**row.parameters, **handed}, plan.runs)


def _failure(plan: Plan, row: Row, request: Request | None, error: KitError) -> Ending:
    record = read_record(request.folder) if request else None
    if request is None or record is None or record["outcome"] != "failed":
        return Ending("failed", error=_public(str(error), plan, row))
    run = request.folder.relative_to(plan.runs).as_posix()
    said = str(record["error"]["what"])  # without paths, as a record holds it
    return Ending("failed", run=run, error=said, traceback=_traceback(request.folder))


def _public(text: str, plan: Plan, row: Row) -> str:
    """A text for the sweep's page: without the folders of a user's data."""
    for value in row.parameters.values():
        if isinstance(value, str) and "/" in value:
            text = text.replace(value, data_name(value))
    return text.replace(str(plan.runs), "<runs>")


def _traceback(run: Path) -> list[str]:
    """Last lines of what the failing cell raised."""
    try:
        cells = json.loads((run / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return []
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    raised = [output for output in outputs if output["output_type"] == "error"]
    text = "\n".join(raised[-1]["traceback"]) if raised else ""
    return without_colors(text).splitlines()[-_TRACEBACK:]


@contextlib.contextmanager
def _only_here(folder: Path, row: Row) -> Iterator[None]:
    """Hold the row for this process, give signs of life, and end when the sweep is canceled."""
    sign = folder / ALIVE / row.id
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):  # a file system in a network may hesitate
                os.utime(sign)
            if (folder / CANCELED).exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    with locked_file(sign):
        os.utime(sign)
        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            os.utime(sign, (0, 0))


@contextlib.contextmanager
def _beside_others(folder: Path, attempt: int) -> Iterator[None]:
    """Run beside other rows of this machine; alone, if this one was killed beside them.

    Snakemake's own count of memory goes wrong where a second attempt asks for more than the first.
    """
    with (folder / ALIVE / "others").open("a") as others:
        with locked_file(folder / ALIVE / "turn"):  # who waits to be alone lets nobody pass
            fcntl.flock(others, fcntl.LOCK_EX if attempt > 1 else fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def _share(plan: Plan, row: Row) -> Iterator[None]:
    """Give the run the cores that it declares, and a GPU of its own where slots are shared out."""
    takes = plan.resources(row)
    changes: dict[str, Any] = {"CPU_LIMIT": str(min(takes.cores, cpu_count()))}
    with contextlib.ExitStack() as held:
        if takes.vram_gb and os.environ.get(SLOTS):
            changes["CUDA_VISIBLE_DEVICES"] = _take_slot(plan.folder, held)
        with environ(changes):
            yield


def _take_slot(folder: Path, held: contextlib.ExitStack) -> str:
    """Number of a device that has room; the engine starts no more rows than there are slots."""
    devices = os.environ[SLOTS].split(",")
    paths = [folder / ALIVE / f"slot-{number}" for number in range(len(devices))]
    handles = [held.enter_context(path.open("a")) for path in paths]
    while True:
        for handle, device in zip(handles, devices, strict=True):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return device
        time.sleep(0.2)
