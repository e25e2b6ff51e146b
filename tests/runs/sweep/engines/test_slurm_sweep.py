"""A sweep on a real Slurm gives what it gives here, also when workers and controller are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nextaim_kit.runs.sweep.controller import WORKFLOW
from tests.runs.sweep.conftest import command
from tests.runs.sweep.engines.slurm import PARTITION, Slurm

pytestmark = pytest.mark.rest

BODY = """\
import os, time
time.sleep(3)
run.metric("gpus", len(os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")))
"""


@pytest.fixture
def profile(tmp_path) -> Path:
    """The kit's own profile, asking more often."""
    mine = tmp_path / "slurm"
    shutil.copytree(WORKFLOW / "slurm", mine)
    text = (mine / "config.yaml").read_text()
    assert text.count("status-checks: 5") == 2
    (mine / "config.yaml").write_text(text.replace("status-checks: 5", "status-checks: 1"))
    return mine


@pytest.fixture
def file(toy, tmp_path, slurm, monkeypatch) -> Path:
    """A sweep of 4 runs, each with a GPU; Slurm's commands are found."""
    toy(BODY)
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, slurm.environment[name])
    said = {
        "notebook": "toy/draw", "profile": "smoke", "grid": {"size": [3, 4], "seed": [1, 2]},
        "resources": {"vram_gb": 9.5, "memory_gb": 0.3, "minutes": 1},
    }  # fmt: skip
    (tmp_path / "four.yaml").write_text(json.dumps(said))
    return tmp_path / "four.yaml"


def metrics(runs: Path) -> dict[str, list]:
    """Metrics of all runs, by the run's id."""
    found = {p.parent.name: json.loads(p.read_text()) for p in runs.glob("toy/draw/*/run.json")}
    assert all(record["outcome"] == "complete" for record in found.values())
    return {run: record["metrics"] for run, record in sorted(found.items())}


def here(file: Path, runs: Path) -> dict[str, list]:
    """The same sweep on this machine."""
    subprocess.run(command("run", file, "--out", runs), check=True, capture_output=True)
    return metrics(runs)


def running(slurm: Slurm) -> list[str]:
    """Jobs that run, by number."""
    return slurm.run("squeue", "--noheader", "--states=R", "--format=%A").split()


def until(condition, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.1)


def test_killed_workers_and_a_killed_controller_lose_nothing_and_change_nothing(
    file, slurm, profile, tmp_path, capsys
):
    runs = Path(os.environ["NEXTAIM_RUNS"])
    endings = runs / "sweeps" / "four" / "rows"
    start = command("run", file, "--on", profile, "-r", f"slurm_partition={PARTITION}")
    began = time.monotonic()
    said = [f"4 runs on Slurm, 2 stand-in GPUs, profile slurm: {' '.join(start[3:])}"]

    def tell(what: str) -> None:
        done = len(list(endings.glob("*.json")))
        said.append(f"{time.monotonic() - began:5.1f} s  {done} of 4 done  {what}")

    first = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: running(slurm))
    tell("jobs run; a worker is killed (SIGKILL)")
    slurm.kill_job(running(slurm)[0])
    until(lambda: list(endings.glob("*.json")))
    assert len(running(slurm)) <= 2
    tell("the controller is killed (SIGKILL)")
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: not slurm.run("squeue", "--noheader").strip())
    tell("Slurm's queue is empty: the engine took its jobs back")
    assert len(list(endings.glob("*.json"))) < 4
    second = subprocess.run(start, capture_output=True, text=True, check=False)
    tell(f"resumed and ended with exit code {second.returncode}")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "4 runs: 4 done" in second.stdout
    there = metrics(runs)
    assert len(there) == 4
    assert {m["value"] for ms in there.values() for m in ms if m["name"] == "gpus"} == {1}
    assert there == here(file, tmp_path / "here")
    said.append("metrics of all 4 runs equal those of the same sweep on this machine")
    with capsys.disabled():
        print("\n" + "\n".join(said))


def test_a_job_array_submitted_by_hand_makes_every_row_once(file, slurm, tmp_path):
    runs = Path(os.environ["NEXTAIM_RUNS"])
    file.write_text(file.read_text().replace("[3, 4]", "[3]"))
    subprocess.run(command("plan", file), check=True, capture_output=True)
    script = subprocess.run(command("script", file, "--on", "slurm"), check=True,
                            capture_output=True, text=True).stdout  # fmt: skip
    assert "#SBATCH --gpus=1" in script
    (tmp_path / "array.sh").write_text(script)
    job = slurm.run("sbatch", "--parsable", str(tmp_path / "array.sh")).strip()
    until(lambda: not slurm.run("squeue", "--noheader", f"--jobs={job}").strip(), 180)
    assert len(metrics(runs)) == 2
    assert metrics(runs) == here(file, tmp_path / "here")


def test_a_canceled_sweep_leaves_the_queue_empty(file, slurm, toy, tmp_path):
    toy("import time; time.sleep(120)")
    start = command("run", file, "--on", "slurm", "-r", f"slurm_partition={PARTITION}")
    process = subprocess.Popen(start, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    until(lambda: running(slurm))
    subprocess.run(command("cancel", file), check=True, capture_output=True)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "was canceled" in errors
    until(lambda: not slurm.run("squeue", "--noheader").strip())
