"""The workflow gives every engine the rows that are left, with what they take."""

from __future__ import annotations

import re
import subprocess

import pytest

from nextaim_kit.runs.sweep import controller
from nextaim_kit.runs.sweep.controller import Engine, engines
from nextaim_kit.runs.sweep.plan import expand, freeze
from nextaim_kit.runs.sweep.row import run_row

pytestmark = pytest.mark.rest

BOTH = ["toy/draw", "toy/double"]


def dry(plan, engine: str, *resources: str) -> str:
    """What Snakemake says it would do."""
    chosen = Engine.named(engine, None, resources)
    limits = controller._Limits(2, 20_000, ()) if chosen.is_local else None
    command = [*controller._command(plan, chosen, limits), "--dry-run"]
    command += [] if chosen.is_local else ["--cores", "8"]  # a dry run counts this machine's
    ran = subprocess.run(command, cwd=plan.folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("engine", engines())
def test_every_engine_s_profile_is_read_and_asks_for_what_a_row_takes(
    chain, sweep, engine, monkeypatch
):
    monkeypatch.setattr(controller, "_slurm_options", list)
    chain()
    takes = {"memory_gb": 3, "vram_gb": 9, "minutes": 5, "cores": 2}
    plan = expand(sweep(notebooks=BOTH, grid={"times": [1.0, 2.0]}, resources=takes))
    freeze(plan)
    said = dry(plan, engine, "vkd_queue=mine", "gpu_model=slice")
    assert re.search(r"run_gpu +3\n", said)
    for word in ("threads: 2", "mem_mb=3000", "runtime=30", "gpu=1", "gpu_mb=9000",
                 "gpu_model=slice", "vkd_queue=mine"):  # fmt: skip
        assert word in said


def test_rows_that_are_done_are_no_jobs(chain, sweep):
    chain()
    plan = expand(sweep(notebooks=BOTH, grid={"times": [1.0, 2.0]}))
    freeze(plan)
    run_row(plan, plan.last[0])
    assert re.search(r"run +1\n", dry(plan, "local"))


def test_a_row_without_a_gpu_asks_for_none(toy, sweep):
    toy()
    plan = expand(sweep(grid={"size": [4]}))
    freeze(plan)
    said = dry(plan, "local", "gpu_model=slice")
    assert "mem_mb=2000" in said
    assert "gpu=" not in said
    assert "gpu_model=slice" not in said
