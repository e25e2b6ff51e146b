"""The adapter to ``vkd``, against a stand-in: minutes become seconds, forgotten jobs are seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.sweep.controller import WORKFLOW, Engine
from nextaim_kit.runs.workflow import vkd
from tests.runs.sweep.conftest import command, folder, nextaim, records

pytestmark = pytest.mark.rest


@pytest.fixture
def platform(tmp_path, monkeypatch) -> Path:
    """Folder of the stand-in, which is on the path as ``vkd``."""
    place = tmp_path / "platform"
    place.mkdir()
    shutil.copy(Path(__file__).with_name("vkd_stand_in.py"), place / "stand_in.py")
    program = place / "vkd"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {place / "stand_in.py"} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return place


@pytest.fixture
def profile(tmp_path) -> Path:
    """The kit's own profile, asking more often."""
    mine = tmp_path / "ai-infn"
    shutil.copytree(WORKFLOW / "ai-infn", mine)
    text = (mine / "config.yaml").read_text()
    assert "seconds-between-status-checks: 20" in text
    often = text.replace("status-checks: 20", "status-checks: 1").replace("wait: 60", "wait: 5")
    (mine / "config.yaml").write_text(often)
    return mine


def requests(platform: Path) -> list[dict]:
    return [json.loads(line) for line in (platform / "requests.jsonl").read_text().splitlines()]


def test_a_sweep_through_vkd_gives_what_it_gives_here(
    toy, sweep, platform, profile, tmp_path, monkeypatch
):
    toy()
    monkeypatch.setenv("NEXTAIM_MIRROR", "https://ada:s3cret@example.org/sets")
    takes = {"minutes": 1, "memory_gb": 0.5, "vram_gb": 9}
    file = sweep(grid={"size": [4, 5]}, resources=takes)
    ran = nextaim("run", file, "--on", profile, "-r", "vkd_queue=gpu")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    left = {path: path.read_bytes() for path in folder().rglob("*") if path.is_file()}
    assert any(path.suffix == ".sh" for path in left)
    assert [path for path, content in left.items() if b"s3cret" in content] == []
    there = records()
    assert requests(platform) == [
        {"name": "run_gpu", "queue": "gpu", "priority": "lowest", "cpu_request": 1,
         "memory_request": "500Mi", "active_deadline_seconds": 14 * 60,
         "gpu_memory_request": "9000Mi"}
    ] * 2  # fmt: skip
    subprocess.run(
        command("run", file, "--out", tmp_path / "here"), check=True, capture_output=True
    )
    paths = tmp_path.glob("here/toy/draw/*/run.json")
    here = {path.parent.name: json.loads(path.read_text()) for path in paths}
    assert {i: r["metrics"] for i, r in there.items()} == {i: r["metrics"] for i, r in here.items()}


def test_jobs_that_the_platform_forgot_are_seen_to_have_ended(toy, sweep, platform, profile):
    toy()
    (platform / "forget").touch()
    ran = nextaim("run", sweep(grid={"size": [4, 5]}), "--on", profile, "-r", "vkd_queue=small",
                  timeout=120)  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(records()) == 2


def test_a_queue_that_is_not_there_stands_in_the_job_s_log(toy, sweep, platform, profile):
    toy()
    ran = nextaim("run", sweep(), "--on", profile, "-r", "vkd_queue=nowhere")
    assert ran.returncode == 1
    logs = "".join(p.read_text() for p in (folder() / vkd.JOBS).glob("*.log"))
    assert "no queue nowhere" in logs


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("# properties = " + json.dumps({"resources": {"runtime": 3}}) + "\n", "-r vkd_queue=NAME"),
        ("nothing\n", "no line of properties"),
    ],
)
def test_a_job_that_cannot_be_submitted_is_refused(
    platform, tmp_path, monkeypatch, properties, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.sh").write_text(properties)
    with pytest.raises(SystemExit, match=words):
        vkd.submit(tmp_path / "job.sh")


def test_without_the_command_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = json.dumps({"resources": {"vkd_queue": "small"}, "output": ["rows/a.json"]})
    (tmp_path / "job.sh").write_text(f"# properties = {line}\n")
    with pytest.raises(SystemExit, match="no command vkd"):
        vkd.submit(tmp_path / "job.sh")


def asked(tmp_path, monkeypatch, **files: str) -> str:
    """An id whose files are as given."""
    monkeypatch.chdir(tmp_path)
    vkd.JOBS.mkdir(parents=True)
    line = json.dumps({"output": ["rows/abc.json"], "resources": {}})
    for kind, text in {"sh": f"# properties = {line}\n", "pid": "999999999", **files}.items():
        (vkd.JOBS / f"j.{kind}").write_text(text)
    return "j"


def test_a_row_with_an_ending_has_succeeded_whatever_else_is_known(tmp_path, monkeypatch):
    job = asked(tmp_path, monkeypatch, exit="1")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "abc.json").touch()
    assert vkd.status(job) == "success"


@pytest.mark.parametrize("files", [{"exit": "1"}, {}])
def test_a_job_that_failed_or_that_nobody_knows_has_failed(tmp_path, monkeypatch, files):
    assert vkd.status(asked(tmp_path, monkeypatch, **files)) == "failed"


def test_a_job_runs_while_its_row_gives_signs_of_life_and_is_lost_without(tmp_path, monkeypatch):
    job = asked(tmp_path, monkeypatch)
    (tmp_path / "alive").mkdir()
    sign = tmp_path / "alive" / "abc"
    sign.touch()
    assert vkd.status(job) == "running"
    long_ago = time.time() - vkd.SILENT - 1
    os.utime(sign, (long_ago, long_ago))
    assert vkd.status(job) == "failed"


def test_an_ending_that_is_not_seen_yet_is_waited_for(tmp_path, monkeypatch):
    job = asked(tmp_path, monkeypatch, exit="0")
    assert vkd.status(job) == "running"
    long_ago = time.time() - 120
    os.utime(vkd.JOBS / "j.exit", (long_ago, long_ago))
    assert vkd.status(job) == "failed"


def test_a_sweep_to_the_platform_has_to_name_a_queue():
    with pytest.raises(
        RequestError, match=r"ai-infn wants to know a queue(.|\n)*-r vkd_queue=NAME"
    ):
        Engine.named("ai-infn")
