"""A controller killed at random moments, time and again: every row is done exactly once."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nextaim_kit.runs import record as runs
from nextaim_kit.runs.sweep.plan import load
from nextaim_kit.runs.sweep.row import run_row
from nextaim_kit.runs.sweep.state import ALIVE, ending_path, progress
from tests.runs.sweep.conftest import command, folder, nextaim, records

KILLS = int(os.environ.get("NEXTAIM_KILLS", "4"))  # make bench: 20
ROWS = 4 * KILLS
pytestmark = pytest.mark.rest


def done() -> dict[Path, int]:
    """Records that are there, with the time of their writing."""
    return {p: p.stat().st_mtime_ns for p in folder().parents[1].glob("toy/draw/*/run.json")}


def held() -> list[str]:
    """Rows whose lock a process holds still."""
    found = []
    for path in sorted((folder() / ALIVE).iterdir()):
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(path.name)
    return found


def test_kills_lose_no_row_and_run_none_twice(toy, sweep, capsys):
    toy("import time; time.sleep(0.3)")
    file = sweep(seeds=list(range(1, ROWS + 1)))
    assert nextaim("plan", file).returncode == 0
    moment = random.Random(20)
    before: dict[Path, int] = {}
    table = ["kill   after   records before -> after"]
    for number in range(1, KILLS + 1):
        process = subprocess.Popen(command("run", file), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        began = time.monotonic()
        if number % 2:
            time.sleep(moment.uniform(0.2, 5.0))
        else:  # while rows end, however long the machine takes to begin
            while len(done()) == len(before) and time.monotonic() < began + 120:
                time.sleep(0.05)
            time.sleep(moment.uniform(0, 0.5))
        seconds = time.monotonic() - began
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = done()
        assert {path: after.get(path) for path in before} == before  # nothing was run again
        table.append(f"{number:4d}  {seconds:5.2f} s  {len(before):3d} -> {len(after):3d}")
        before = after
    assert 0 < len(before) < ROWS, "the kills came too early or too late to mean anything"
    last = nextaim("run", file)
    assert last.returncode == 0, last.stdout + last.stderr
    assert f"{ROWS} runs: {ROWS} done" in last.stdout
    after = done()
    assert {path: after.get(path) for path in before} == before
    table.append(f" end          {len(before):3d} -> {len(after):3d}")
    plan = load(folder())
    assert {path.parent.name for path in after} == {row.id for row in plan.rows}
    assert all(runs.is_done(path.parent) for path in after)
    assert progress(plan).counts == {"done": ROWS}
    assert held() == []
    with capsys.disabled():
        print("\n" + "\n".join(table))


def test_a_row_that_was_killed_after_its_record_is_done_by_writing_its_ending(toy, sweep):
    toy()
    file = sweep()
    assert nextaim("run", file).returncode == 0
    plan = load(folder())
    written = done()
    ending_path(plan.folder, plan.rows[0].id).unlink()
    assert run_row(plan, plan.rows[0]).outcome == "complete"
    assert done() == written
    assert len(records()) == 1
