"""`nextaim run` killed at random moments: said again, each run is done once, without debris."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextaim_kit.runs import record as records

KILLS = int(os.environ.get("NEXTAIM_KILLS", "3"))  # make bench: 100
pytestmark = pytest.mark.rest


def run(seed: int) -> subprocess.Popen[bytes]:
    """`nextaim run toy/draw` in a process group of its own."""
    words = ["run", "toy/draw", "--profile", "smoke", "-p", f"seed={seed}"]
    command = [sys.executable, "-m", "nextaim_kit.cli", *words]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip


def everything(folder: Path) -> set[str]:
    """Names of all that lies in a folder; the run's own is the same for each."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_runs_killed_at_any_moment_are_done_once_by_the_next_and_leave_no_debris(toy, capsys):
    toy("import time; time.sleep(1)")
    assert run(0).wait() == 0  # and a process is warm from now on
    (whole,) = records.runs_folder().glob("toy/draw/*")
    began = time.monotonic()
    assert run(1).wait() == 0
    took = time.monotonic() - began
    usual, moment, early = everything(whole), random.Random(20), 0
    for seed in range(2, KILLS + 2):
        process = run(seed)
        time.sleep(moment.uniform(0.05, 1.2) * took)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = {path: path.stat().st_mtime_ns for path in whole.parent.glob("*/run.json")}
        early += len(before) == seed
        assert run(seed).wait() == 0
        after = {path: path.stat().st_mtime_ns for path in whole.parent.glob("*/run.json")}
        assert len(after) == seed + 1
        assert after.items() >= before.items()  # nothing that was done is run again
    assert early, "the kills came too late to mean anything"
    for folder in whole.parent.iterdir():
        assert everything(folder) == usual, folder
        assert json.loads((folder / "run.json").read_text())["outcome"] == "complete"
    assert {path.name for path in records.runs_folder().iterdir()} == {"toy"}
    with capsys.disabled():
        print(
            f"\n{KILLS} kills, {early} before the record was written; {len(after)} runs done once"
        )
