"""Runs in the background are found again, told apart, and end as they say."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time

import pytest

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.runs.background import begin, cancel, jobs, process, read, start
from nextaim_kit.runs.background.job import JOB, LOG, STATE
from nextaim_kit.runs.record import is_done, runs_folder
from nextaim_kit.runs.request import prepare

pytestmark = pytest.mark.rest

SLOW = "import time; print('ready', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def cold(monkeypatch):
    """A kernel for so little a notebook is there before a warm server would be."""
    monkeypatch.setenv("NEXTAIM_WARM", "0")


def wait(job, until=lambda job: job.outcome != "running"):
    for _ in range(6000):
        job = read(job.folder)
        if until(job):
            return job
        time.sleep(0.1)
    raise AssertionError(f"{job.outcome}: {job.log}")


def test_a_run_goes_on_by_itself_and_its_end_is_found(toy):
    toy("print('some news', flush=True)")
    job = wait(begin(["toy/draw"], "smoke", {"seed": 3}))
    assert (job.outcome, job.share, job.why) == ("done", 1.0, "")
    assert job.changed == {"seed": 3}
    assert "some news" in job.log
    request = prepare("toy/draw", "smoke", {"seed": 3})
    assert [runs_folder() / name for name in job.state.folders] == [request.folder]
    assert is_done(request.folder)


def test_the_same_request_asked_twice_is_one_run_and_its_state_is_live(toy):
    toy(SLOW)
    first = begin(["toy/draw"], "smoke", {})
    second = begin(["toy/draw"], "smoke", {})
    assert (first.process, first.clock) == (second.process, second.clock)
    live = wait(first, lambda job: job.line == "ready")
    assert [job.key for job in jobs()] == [first.key]
    assert live.state.heading == "More"
    assert 0 < live.share < 1
    cancel(live)
    wait(live)


def test_a_run_that_is_cancelled_says_so_and_leaves_nothing_half_made(toy):
    toy(SLOW)
    job = wait(begin(["toy/draw"], "smoke", {}), lambda job: job.line == "ready")
    cancel(job)
    job = wait(job)
    assert job.outcome == "cancelled"
    assert not is_done(prepare("toy/draw", "smoke", {}).folder)
    with pytest.raises(RequestError, match="it is cancelled already"):
        cancel(job)


def test_a_run_whose_process_was_killed_is_told_as_such_and_can_be_started_again(toy):
    toy(SLOW)
    job = wait(begin(["toy/draw"], "smoke", {}), lambda job: job.line == "ready")
    os.killpg(job.process, signal.SIGKILL)
    killed = wait(job)
    assert killed.outcome == "killed"
    assert "ended without a message" in killed.why
    again = begin(["toy/draw"], "smoke", {})
    assert again.process != job.process
    wait(again, lambda job: job.line == "ready")
    cancel(again)
    wait(again)


def test_a_notebook_that_fails_says_where_and_why(toy):
    toy("raise ValueError('too few')")
    job = wait(begin(["toy/draw"], "smoke", {}))
    assert job.outcome == "failed"
    assert "failed in the section 'More'" in job.why
    assert "too few" in job.why


def test_a_request_that_cannot_be_is_refused_before_anything_starts(toy):
    toy()
    with pytest.raises(RequestError, match=r"int in \[1, 100\]"):
        begin(["toy/draw"], "smoke", {"size": 1000})
    assert jobs() == []


def test_no_path_of_the_users_lies_in_the_state(toy, tmp_path):
    toy("pass")
    table = tmp_path / "secret place" / "patients.csv"
    table.parent.mkdir()
    table.write_text("subject\nP1\n")
    job = wait(begin(["toy/draw"], "smoke", {"cohort": str(table)}))
    assert job.changed == {"cohort": "patients.csv"}
    for file in job.folder.iterdir():
        assert "secret place" not in file.read_text()
    assert job.folder.stat().st_mode & 0o077 == 0


def test_a_run_that_fails_keeps_paths_of_the_users_out_of_its_state(toy, tmp_path):
    toy("raise ValueError(f'cannot read {cohort}')")
    table = tmp_path / "secret place" / "patients.csv"
    table.parent.mkdir()
    table.write_text("subject\nP1\n")
    job = wait(begin(["toy/draw"], "smoke", {"cohort": str(table)}))
    assert "cannot read patients.csv" in job.why
    for name in (JOB, STATE):
        assert str(tmp_path) not in (job.folder / name).read_text()
    assert (job.folder / LOG).stat().st_mode & 0o077 == 0


def test_of_an_unexpected_error_the_state_holds_only_the_kind(tmp_path, monkeypatch):
    def break_off(*_, **__):
        raise ValueError("/secret place/patients.csv")

    order = {"out": str(tmp_path), "own": {}, "notebooks": [], "profile": "smoke"}
    monkeypatch.setattr(process, "run_row", break_off)
    monkeypatch.setattr(process, "_hear", lambda: None)
    monkeypatch.setattr(process.sys, "stdin", io.StringIO(json.dumps(order)))
    with pytest.raises(ValueError, match="secret place"):
        process.main(tmp_path)
    state = (tmp_path / STATE).read_text()
    assert "unexpected ValueError" in state
    assert "secret" not in state


def test_a_process_that_cannot_be_started_is_told_and_is_no_run(toy, monkeypatch):
    def refuse(*_, **__):
        raise OSError(11, "no more processes")

    toy()
    monkeypatch.setattr(start.subprocess, "Popen", refuse)
    with pytest.raises(RunError, match="no more processes"):
        begin(["toy/draw"], "smoke", {})
    assert jobs() == []


def test_a_process_that_a_full_disk_lets_nobody_describe_is_ended(toy, monkeypatch):
    started = []

    def spawn(*_):
        started.append(subprocess.Popen(["sleep", "60"], start_new_session=True))
        return started[0].pid

    def no_room(*_, **__):
        raise DataError("cannot write job.json", mend="free space on that disk")

    toy()
    monkeypatch.setattr(start, "_spawn", spawn)
    monkeypatch.setattr(start, "write_json", no_room)
    with pytest.raises(DataError, match="free space"):
        begin(["toy/draw"], "smoke", {})
    assert started[0].wait(10) == -signal.SIGTERM
    assert jobs() == []


@pytest.mark.parametrize("text", ["", "{}", '{"of": "another version"}'])
def test_state_that_cannot_be_read_is_no_run(tmp_path, text):
    assert read(tmp_path) is None
    (tmp_path / "job.json").write_text(text)
    assert read(tmp_path) is None


def test_a_run_that_is_cancelled_while_it_comes_up_says_so(toy):
    toy(SLOW)
    job = begin(["toy/draw"], "smoke", {})
    cancel(job)
    assert wait(job).outcome == "cancelled"


def test_a_run_that_ended_since_it_was_looked_at_is_not_taken_for_killed(toy):
    toy("pass")
    job = begin(["toy/draw"], "smoke", {})
    wait(job)
    assert job.outcome == "running"
    with pytest.raises(RequestError, match="it is done already"):
        cancel(job)


def test_a_path_is_one_from_where_it_was_given(toy, tmp_path, monkeypatch):
    toy("pass")
    (tmp_path / "patients.csv").write_text("subject\nP1\n")
    monkeypatch.chdir(tmp_path)
    job = wait(begin(["toy/draw"], "smoke", {"cohort": "./patients.csv"}))
    assert (job.outcome, job.why) == ("done", "")


def test_a_run_in_another_pod_is_known_by_its_signs_of_life_and_not_cancelled(toy, monkeypatch):
    toy(SLOW)
    job = wait(begin(["toy/draw"], "smoke", {}), lambda job: job.line == "ready")
    with monkeypatch.context() as there:
        there.setattr("nextaim_kit.runs.background.job.here", lambda: "another pod")
        assert read(job.folder).outcome == "running"
        with pytest.raises(RequestError, match="in another pod"):
            cancel(job)
        os.killpg(job.process, signal.SIGKILL)
        for name in (JOB, STATE):
            os.utime(job.folder / name, (0, 0))
        assert read(job.folder).outcome == "killed"


def test_a_run_gives_signs_of_life_while_a_long_cell_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "PULSE", 0.01)
    process._Teller(tmp_path, tmp_path, [])
    state = tmp_path / STATE
    os.utime(state, (0, 0))
    for _ in range(1000):
        if state.stat().st_mtime > 0:
            return
        time.sleep(0.01)
    raise AssertionError("no sign of life")
