"""A sweep runs to its end within the machine's limits, whatever its rows do."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.sweep import controller
from nextaim_kit.runs.sweep.controller import Engine
from nextaim_kit.runs.sweep.plan import expand, load
from nextaim_kit.runs.sweep.state import progress, read_ending
from tests.conftest import absent
from tests.runs.sweep.conftest import command, folder, nextaim, records

pytestmark = pytest.mark.rest

BOTH = ["toy/draw", "toy/double"]
NOTE = """\
import time, pathlib
log = pathlib.Path({log!r})
began = time.time()
time.sleep({seconds})
with log.open("a") as file:
    file.write(f"{{size}} {{began}} {{time.time()}}\\n")
"""


def spans(log: Path) -> list[tuple[float, float]]:
    return sorted(tuple(map(float, line.split()[1:])) for line in log.read_text().splitlines())


def overlaps(found: list[tuple[float, float]]) -> int:
    return sum(b[0] < a[1] for a, b in itertools.pairwise(found))


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.05)


def test_a_chain_runs_to_its_end_and_said_again_answers_at_once(chain, sweep):
    chain()
    file = sweep(notebooks=BOTH, grid={"size": [4, 5], "times": [1.0, 2.0]})
    began = time.monotonic()
    first = nextaim("run", file)
    took = time.monotonic() - began
    assert first.returncode == 0, first.stderr
    assert "6 runs: 6 done" in first.stdout
    assert len(records()) == 2
    assert len(records("toy/double")) == 4
    before = {p: p.stat().st_mtime_ns for p in folder().parents[1].glob("toy/*/*/run.json")}
    began = time.monotonic()
    again = nextaim("run", file)
    assert again.returncode == 0
    assert time.monotonic() - began < took / 2
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_failing_row_stops_no_other_and_is_told_with_its_traceback(toy, sweep, tmp_path):
    flag = tmp_path / "mended"
    toy(
        f"import os\nmended = os.path.exists({str(flag)!r})\n"
        "if size == 5 and not mended:\n    raise ValueError('torn')"
    )
    file = sweep(grid={"size": [4, 5, 6]})
    ran = nextaim("run", file)
    assert ran.returncode == 1
    assert "2 done, 1 failed" in ran.stdout
    assert "row 1 toy/draw failed: toy/draw failed in the section 'More'" in ran.stdout
    assert "ValueError: torn" in ran.stdout
    nextaim("report", file)
    page = (folder() / "report.html").read_text()
    assert "What failed" in page
    assert "ValueError: torn" in page
    assert "1 failed" in nextaim("status", file).stdout
    flag.touch()
    assert nextaim("run", file).returncode == 1  # what failed is not run again unasked
    assert "1 failed rows run again" in nextaim("retry", file).stdout
    assert nextaim("run", file).returncode == 0
    assert len(records()) == 3


def test_runs_that_need_the_memory_of_the_machine_run_one_after_the_other(toy, sweep, tmp_path):
    from nextaim_kit.machine.limits import memory_available

    toy(NOTE.format(log=str(tmp_path / "log"), seconds=0.7))
    most = 0.6 * memory_available() / 1e9
    ran = nextaim("run", sweep(grid={"size": [4, 5, 6]}, resources={"memory_gb": most}))
    assert ran.returncode == 0, ran.stdout
    assert overlaps(spans(tmp_path / "log")) == 0
    assert len(spans(tmp_path / "log")) == 3


def test_a_row_killed_for_memory_runs_once_more_and_alone(toy, sweep, tmp_path):
    kill = (
        "import os, signal\n"
        f"died = pathlib.Path({str(tmp_path / 'died')!r})\n"
        "if size == 4 and not died.exists():\n"
        "    died.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    log = tmp_path / "log"
    before, after = NOTE.format(log=str(log), seconds=1.0).split("began =")
    toy(f"{before}{kill}began ={after}")
    ran = nextaim("run", sweep(grid={"size": [4, 5, 6, 7]}), "--jobs", "2")
    assert ran.returncode == 0, ran.stdout
    assert "row 0: killed" in ran.stdout
    assert "run once more" in ran.stdout
    alone = next(line for line in log.read_text().splitlines() if line.startswith("4 "))
    began, ended = map(float, alone.split()[1:])
    others = [span for span in spans(log) if span != (began, ended)]
    assert all(b >= ended or e <= began for b, e in others)


def test_a_run_larger_than_the_machine_is_refused_before_it_starts(toy, sweep):
    toy()
    ran = nextaim("run", sweep(resources={"memory_gb": 100_000}))
    assert ran.returncode == 2
    assert "takes more memory than there is" in ran.stderr
    assert records() == {}


def test_a_second_controller_on_a_sweep_is_told_and_a_canceled_one_can_go_on(toy, sweep, tmp_path):
    flag = tmp_path / "go"
    toy(f"import os, time\nwhile not os.path.exists({str(flag)!r}):\n    time.sleep(0.05)")
    file = sweep(grid={"size": [4, 5, 6]})
    first = subprocess.Popen(command("run", file), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)  # fmt: skip
    until(lambda: list(folder().parents[1].glob("toy/draw/*/files/numbers.txt")))
    assert "running" in nextaim("status", file).stdout
    second = nextaim("run", file)
    assert second.returncode == 1
    assert "is being run by another process" in second.stderr
    assert "ends now" in nextaim("cancel", file).stdout
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "was canceled" in errors
    until(lambda: not list(folder().parents[1].glob("toy/draw/*/.executing.ipynb")))
    assert records() == {}
    assert "nobody runs one" in nextaim("cancel", file).stdout
    flag.touch()
    assert nextaim("run", file).returncode == 0
    assert len(records()) == 3


def test_ctrl_c_ends_the_rows_and_leaves_nothing_half_made(toy, sweep, tmp_path):
    import signal

    toy("import time\nprint('ready')\ntime.sleep(60)")
    process = subprocess.Popen(command("run", sweep(grid={"size": [4, 5]})),
                               stdout=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    until(lambda: list(folder().parents[1].glob("toy/draw/*/files/numbers.txt")))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    until(lambda: not list(folder().parents[1].glob("toy/draw/*/.executing.ipynb")), 15)


def in_mounts(script: str) -> subprocess.CompletedProcess:
    """Run shell lines where they may mount what they like, seen by nobody else."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        absent("the right to mount file systems (unshare -m)")
    # A warm server would be outside.
    return subprocess.run(["unshare", "-m", "sh", "-ec", script], capture_output=True, text=True,
                          check=False, env=os.environ | {"NEXTAIM_WARM": "0"})  # fmt: skip


def shell(*words: object) -> str:
    return " ".join(command(*words))


def test_on_a_full_disk_the_sweep_fails_clearly_and_goes_on_when_there_is_room(
    toy, sweep, tmp_path
):
    toy()
    runs, file = os.environ["NEXTAIM_RUNS"], sweep(grid={"size": [4, 5]})
    ran = in_mounts(f"""
        mkdir -p {runs}; mount -t tmpfs -o size=6m none {runs}
        {shell("plan", file)} > {tmp_path}/said
        dd if=/dev/zero of={runs}/filler bs=64k 2>/dev/null || true
        code=0; {shell("run", file)} >> {tmp_path}/said 2>&1 || code=$?
        rm {runs}/filler
        {shell("retry", file)} >> {tmp_path}/said
        {shell("run", file)} >> {tmp_path}/said 2>&1
        cp -r {runs}/toy/draw {tmp_path}/draw
        exit $((code + 10))""")
    said = (tmp_path / "said").read_text()
    assert ran.returncode == 11, said
    assert "No space left on device" in said or "the disk is full" in said
    assert "Traceback" not in said
    assert "2 runs: 2 done" in said
    found = [json.loads(path.read_text())["outcome"] for path in tmp_path.glob("draw/*/run.json")]
    assert found == ["complete", "complete"]


def test_a_read_only_folder_is_refused_with_a_mend(toy, sweep, tmp_path):
    toy()
    runs, file = os.environ["NEXTAIM_RUNS"], sweep(grid={"size": [4, 5]})
    ran = in_mounts(f"""
        mkdir -p {runs}; mount -t tmpfs none {runs}; {shell("plan", file)}
        mount -o remount,ro {runs}; exec {shell("run", file)}""")
    assert ran.returncode in (1, 2)
    assert "Read-only file system" in ran.stderr
    assert "to mend" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_folder_of_runs_that_is_a_file_is_told(toy, sweep, tmp_path, monkeypatch):
    toy()
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEXTAIM_RUNS", str(tmp_path / "file"))
    ran = nextaim("run", sweep())
    assert ran.returncode == 2
    assert "cannot be made, or not written to" in ran.stderr
    assert "--out or NEXTAIM_RUNS" in ran.stderr


def test_without_a_warm_server_rows_run_cold(toy, sweep, monkeypatch):
    toy()
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    assert nextaim("run", sweep(grid={"size": [4, 5]})).returncode == 0
    assert len(records()) == 2


def test_a_warm_server_that_cannot_be_started_is_said_in_the_row_s_log(
    toy, sweep, tmp_path, monkeypatch
):
    toy()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"nextaim-{os.getuid()}").mkdir(mode=0o755)
    assert nextaim("run", sweep()).returncode == 0
    logs = "".join(path.read_text() for path in (folder() / "logs").glob("*.log"))
    assert "a cold one is started" in logs


def test_a_warm_server_that_dies_under_a_sweep_loses_no_row(toy, sweep, tmp_path):
    from nextaim_kit.runs.warm.client import stop

    server = (
        "import os, signal\n"
        f"died = {str(tmp_path / 'died')!r}\n"
        "if not os.path.exists(died):\n"
        "    open(died, 'w').close(); os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    toy(f"{server}import time; time.sleep(0.5)")
    ran = nextaim("run", sweep(grid={"size": [4, 5, 6, 7]}))
    stop()
    assert ran.returncode == 0, ran.stdout
    assert (tmp_path / "died").exists()
    assert {record["outcome"] for record in records().values()} == {"complete"}
    assert len(records()) == 4


def test_a_stale_plan_is_refused_also_by_its_folder_and_for_a_job_array(toy, sweep):
    path = toy()
    assert nextaim("plan", sweep()).returncode == 0
    path.write_text(path.read_text().replace("numbers.mean()", "numbers.mean() + 1"))
    for words in (["run", folder()], ["script", folder()], ["run", sweep()]):
        ran = nextaim(*words)
        assert ran.returncode == 2
        assert "no longer holds: toy/draw changed" in ran.stderr
    assert not (folder() / "rows").exists()


def test_folders_with_strange_names_are_no_obstacle(toy, sweep, tmp_path, monkeypatch):
    toy()
    monkeypatch.setenv("NEXTAIM_RUNS", str(tmp_path / "my runs {1,2}: #3 'x' é"))
    ran = nextaim("run", sweep("a {best} of 'all'"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(records()) == 1


def test_folders_given_as_relative_ones_are_found_by_the_rows(toy, sweep, tmp_path, monkeypatch):
    toy()
    monkeypatch.setenv("NEXTAIM_NOTEBOOKS", "notebooks")
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    ran = nextaim("run", sweep(), cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(records()) == 1


def test_cold_rows_end_with_their_controller_too(toy, sweep, monkeypatch):
    toy("import time\nprint('ready')\ntime.sleep(60)")
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    process = subprocess.Popen(command("run", sweep()), stdout=subprocess.DEVNULL)
    until(lambda: list(folder().parents[1].glob("toy/draw/*/files/numbers.txt")))
    process.kill()
    process.wait()
    until(lambda: not list(folder().parents[1].glob("toy/draw/*/.executing.ipynb")), 20)


def test_an_engine_that_fails_later_on_is_told_too(toy, sweep, tmp_path):
    toy()
    assert nextaim("run", sweep(grid={"size": [4]})).returncode == 0
    file = sweep(grid={"size": [4, 5]})
    assert nextaim("plan", file).returncode == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("executor: nonsense\n")
    ran = nextaim("run", file, "--on", tmp_path / "mine")
    assert "the engine of the sweep one ended with" in ran.stderr
    assert ran.returncode == 1


def test_what_a_site_wants_is_a_name_and_a_value():
    with pytest.raises(RequestError, match=r"cannot read -r gpu(.|\n)*NAME=VALUE"):
        Engine.named("local", None, ("gpu",))


def test_an_engine_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        RequestError, match=r"no engine 'slrum'(.|\n)*ai-infn, htcondor, local, slurm"
    ):
        Engine.named("slrum")


def test_a_folder_with_a_profile_is_an_engine_too(toy, sweep, tmp_path):
    toy()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("executor: local\ncores: 1\n")
    ran = nextaim("run", sweep(), "--on", tmp_path / "mine")
    assert ran.returncode == 0, ran.stderr
    assert len(records()) == 1


def test_an_engine_that_cannot_work_is_told_with_its_last_words(toy, sweep, tmp_path):
    toy()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("executor: nonsense\n")
    ran = nextaim("run", sweep(), "--on", tmp_path / "mine")
    assert ran.returncode == 1
    assert "the engine of the sweep one ended with" in ran.stderr
    assert "nonsense" in ran.stderr


def test_slurm_that_is_not_there_is_said(toy, sweep, monkeypatch):
    toy()
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    ran = nextaim("run", sweep(), "--on", "slurm")
    assert ran.returncode == 2
    assert "there is no Slurm here" in ran.stderr


def test_a_gpu_is_shared_by_as_many_runs_as_fit_into_its_memory(monkeypatch):
    monkeypatch.setattr(
        "nextaim_kit.machine.gpu.device_memories", lambda: {"0": 20 * 10**9, "MIG-a": 9 * 10**9}
    )
    assert controller._slots(9.0) == ("0", "0", "MIG-a")
    with pytest.raises(RequestError, match="more GPU memory than there is"):
        controller._slots(30.0)
    monkeypatch.setattr("nextaim_kit.machine.gpu.device_memories", dict)
    assert controller._slots(9.0) == ()


def test_a_plan_is_described_with_what_earlier_runs_took(chain, sweep):
    chain()
    file = sweep(notebooks=BOTH, grid={"times": [1.0, 2.0]})
    said = nextaim("plan", file).stdout
    assert "3 runs: 3 waiting" in said
    assert "study.yaml" in said
    assert nextaim("run", file, "--jobs", "1").returncode == 0
    more = nextaim("plan", sweep(notebooks=BOTH, grid={"times": [1.0, 2.0, 3.0]})).stdout
    assert "4 runs: 3 done, 1 waiting" in more
    assert "2 earlier runs" in more
    plan = load(folder())
    assert plan.rows == expand(file.with_name("one.yaml")).rows
    assert progress(plan).counts["done"] == 3
    assert all(
        read_ending(folder(), r.id) is None for r in plan.rows if r.parameters.get("times") == 3
    )
