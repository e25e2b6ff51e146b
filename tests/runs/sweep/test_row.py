"""A row is run once, whoever asks, and its ending says what an engine has to know."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path

import nbformat
import pytest

from nextaim_kit.cli import main
from nextaim_kit.errors import KernelDied, RequestError, RunError
from nextaim_kit.runs.sweep import row as rows
from nextaim_kit.runs.sweep.plan import expand, freeze
from nextaim_kit.runs.sweep.row import run_row
from nextaim_kit.runs.sweep.state import CANCELED, SLOTS, forget, progress, read_ending
from tests.runs.sweep.conftest import command, folder, records

pytestmark = pytest.mark.rest

BOTH = ["toy/draw", "toy/double"]


def frozen(file):
    plan = expand(file)
    freeze(plan)
    return plan


def test_a_row_leaves_a_run_like_any_other_and_its_ending(toy, sweep):
    toy()
    plan = frozen(sweep(grid={"size": [4]}))
    ending = run_row(plan, plan.rows[0])
    assert ending.outcome == "complete"
    assert [m["name"] for m in ending.metrics] == ["mean"]
    assert list(records()) == [plan.rows[0].id]
    assert read_ending(plan.folder, plan.rows[0].id) == ending
    assert progress(plan).counts == {"done": 1}


def test_a_row_that_is_done_is_not_run_again(toy, sweep, tmp_path):
    toy(f"open({str(tmp_path / 'count')!r}, 'a').write('x')")
    plan = frozen(sweep())
    assert run_row(plan, plan.rows[0]) == run_row(plan, plan.rows[0])
    assert (tmp_path / "count").read_text() == "x"


def test_a_run_that_is_gone_makes_its_row_run_again(toy, sweep):
    toy()
    plan = frozen(sweep())
    ending = run_row(plan, plan.rows[0])
    (plan.runs / ending.run / "run.json").unlink()
    assert read_ending(plan.folder, plan.rows[0].id) is None
    run_row(plan, plan.rows[0])
    assert len(records()) == 1


def test_a_row_that_is_fed_runs_its_feeder_first_in_whatever_order_rows_come(chain, sweep):
    chain()
    plan = frozen(sweep(notebooks=BOTH, grid={"times": [3.0]}))
    ending = run_row(plan, plan.last[0])
    drawn = float(
        (plan.runs / "toy/draw" / plan.rows[0].id / "files/numbers.txt").open().readline()
    )
    assert ending.metrics[0]["value"] == pytest.approx(3 * drawn, rel=1e-12)
    assert progress(plan).counts == {"done": 2}


def test_two_processes_that_want_one_row_run_it_once(toy, sweep, tmp_path):
    toy(f"import time; time.sleep(1); open({str(tmp_path / 'count')!r}, 'a').write('x')")
    frozen(sweep())
    both = [subprocess.Popen(command("row", folder(), "--index", 0)) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / "count").read_text() == "x"


def test_a_failing_row_tells_the_last_lines_of_its_traceback(toy, sweep, capsys):
    toy("def look():\n    raise ValueError('no lungs here')\nlook()")
    plan = frozen(sweep())
    ending = run_row(plan, plan.rows[0])
    assert ending.outcome == "failed"
    assert "'More'" in ending.error
    assert ending.traceback[-1] == "ValueError: no lungs here"
    assert any("look()" in line for line in ending.traceback)
    assert str(plan.runs) not in json.dumps([ending.error, ending.traceback])
    assert main(["sweep", "row", str(plan.folder), "--index", "0"]) == 1
    assert "no lungs here" in capsys.readouterr().err


def test_an_engine_is_not_asked_to_repeat_what_failed_by_itself(toy, sweep):
    toy("raise ValueError('no lungs here')")
    plan = frozen(sweep())
    assert main(["sweep", "row", str(plan.folder), "--index", "0", "--attempt", "1"]) == 0
    assert read_ending(plan.folder, plan.rows[0].id).outcome == "failed"


def test_a_row_whose_feeder_failed_is_skipped_and_both_are_tried_again(chain, sweep, tmp_path):
    flag = tmp_path / "mended"
    chain(f"assert __import__('os').path.exists({str(flag)!r}), 'not yet'")
    plan = frozen(sweep(notebooks=BOTH))
    ending = run_row(plan, plan.last[0])
    assert ending.outcome == "skipped"
    assert "row 0 (toy/draw), which feeds it, failed" in ending.error
    assert [e.outcome for _, e in progress(plan).failures()] == ["failed", "skipped"]
    flag.touch()
    assert forget(progress(plan), everything=True) == 2
    assert run_row(plan, plan.last[0]).outcome == "complete"


def test_a_notebook_that_changed_after_planning_is_not_run(toy, sweep):
    path = toy()
    plan = frozen(sweep())
    document = nbformat.read(path, 4)
    document.cells[3].source += "\n# another thought"
    nbformat.write(document, path)
    ending = run_row(plan, plan.rows[0])
    assert ending.outcome == "failed"
    assert "no longer holds: toy/draw changed" in ending.error
    assert records() == {}


DIES = "import os, signal; os.path.exists({flag!r}) or os.kill(os.getpid(), signal.SIGKILL)"


def test_a_killed_row_is_given_to_the_engine_once_more_and_then_done(toy, sweep, tmp_path):
    flag = str(tmp_path / "room")
    toy(DIES.format(flag=flag))
    plan = frozen(sweep())
    with pytest.raises(KernelDied, match="was killed"):
        run_row(plan, plan.rows[0], attempt=1)
    assert read_ending(plan.folder, plan.rows[0].id) is None
    Path(flag).touch()
    ending = run_row(plan, plan.rows[0], attempt=2)
    assert ending.outcome == "complete"
    assert ending.notes == [
        "killed, most often for memory, and run once more, with more memory or alone"
    ]


def test_a_row_killed_for_memory_twice_is_reported_as_that(toy, sweep, tmp_path, monkeypatch):
    toy(DIES.format(flag=str(tmp_path / "never")))
    plan = frozen(sweep(resources={"memory_gb": 3}))
    kills = iter(range(100))
    monkeypatch.setattr(rows, "memory_kills", lambda: next(kills))
    with pytest.raises(KernelDied):
        run_row(plan, plan.rows[0], attempt=1)
    ending = run_row(plan, plan.rows[0], attempt=2)
    assert ending.outcome == "killed"
    assert (
        "killed for memory, also when run with more memory or alone; declared are 3 GB"
        in ending.error
    )


def test_a_run_has_the_cores_that_its_profile_declares(toy, sweep, monkeypatch):
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    toy("from nextaim_kit.machine.limits import cpu_count; run.metric('cores', cpu_count())")
    plan = frozen(sweep(resources={"cores": 1}))
    ending = run_row(plan, plan.rows[0])
    assert {m["name"]: m["value"] for m in ending.metrics}["cores"] == 1
    assert "CPU_LIMIT" not in os.environ


def test_runs_share_gpus_out_and_no_slot_is_taken_twice(toy, sweep, monkeypatch):
    toy()
    plan = frozen(sweep())
    (plan.folder / "alive").mkdir()
    monkeypatch.setenv(SLOTS, "0,0,MIG-1")
    held = [contextlib.ExitStack() for _ in range(4)]
    assert [rows._take_slot(plan.folder, one) for one in held[:3]] == ["0", "0", "MIG-1"]
    fourth = threading.Thread(target=rows._take_slot, args=(plan.folder, held[3]))
    fourth.start()
    fourth.join(0.5)
    assert fourth.is_alive()
    held[1].close()
    fourth.join(5)
    assert not fourth.is_alive()
    for one in held:
        one.close()


def test_a_run_with_a_gpu_sees_the_one_it_was_given(toy, sweep, monkeypatch):
    toy("import os; run.metric('device', int(os.environ['CUDA_VISIBLE_DEVICES']))")
    plan = frozen(sweep(resources={"vram_gb": 4}))
    monkeypatch.setenv(SLOTS, "3")
    ending = run_row(plan, plan.rows[0])
    assert {m["name"]: m["value"] for m in ending.metrics}["device"] == 3


def test_no_row_starts_in_a_sweep_that_was_canceled(toy, sweep):
    toy()
    plan = frozen(sweep())
    (plan.folder / CANCELED).touch()
    with pytest.raises(RunError, match="was canceled"):
        run_row(plan, plan.rows[0])


@pytest.mark.parametrize("asked", [["--index", "9"], ["--id", "nothing"], []])
def test_a_row_that_is_not_there_is_said(toy, sweep, asked, capsys):
    toy()
    plan = frozen(sweep())
    assert main(["sweep", "row", str(plan.folder), *asked]) == 2
    assert "--index from 0 to 0" in capsys.readouterr().err


def test_a_sweep_without_a_plan_has_no_rows(toy, sweep, capsys):
    toy()
    assert main(["sweep", "row", str(sweep()), "--index", "0"]) == 2
    assert "nextaim sweep plan" in capsys.readouterr().err


def test_an_ending_that_is_damaged_counts_as_none(toy, sweep):
    toy()
    plan = frozen(sweep())
    run_row(plan, plan.rows[0])
    path = plan.folder / "rows" / f"{plan.rows[0].id}.json"
    path.write_text(path.read_text()[:30])
    assert read_ending(plan.folder, plan.rows[0].id) is None


def test_a_feeder_s_run_that_is_gone_is_made_again_before_its_row(chain, sweep):
    chain()
    plan = frozen(sweep(notebooks=BOTH))
    first = run_row(plan, plan.rows[0])
    (plan.runs / first.run / "run.json").unlink()
    with pytest.raises(RequestError, match="has nothing to start from"):
        rows._request(plan, plan.last[0])
    assert run_row(plan, plan.last[0]).outcome == "complete"
