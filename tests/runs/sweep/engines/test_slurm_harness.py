"""The Slurm that the tests of batch runs start: its jobs, its stand-in GPUs, its addresses."""

from __future__ import annotations

import re

import pytest

from tests.runs.sweep.engines.slurm import until

pytestmark = pytest.mark.rest


def test_a_job_runs_and_is_told_of_one_gpu(slurm, tmp_path):
    printed = tmp_path / "printed"
    script = "echo done by $SLURM_JOB_ID on $CUDA_VISIBLE_DEVICES"
    job = slurm.submit(script, "--gres=gpu:mig:1", output=printed)
    assert slurm.wait(job, "COMPLETED", "FAILED") == "COMPLETED"
    assert re.fullmatch(rf"done by {job} on [01]\n", printed.read_text())


def test_two_jobs_hold_a_gpu_each_while_a_third_waits(slurm, tmp_path):
    script = f"echo $CUDA_VISIBLE_DEVICES >> {tmp_path / 'gpus'}; sleep 60"
    first, second, third = (slurm.submit(script, "--gpus=1") for _ in range(3))
    slurm.wait(first, "RUNNING")
    slurm.wait(second, "RUNNING")
    gpus = tmp_path / "gpus"
    until(lambda: gpus.is_file() and len(gpus.read_text().split()) == 2, 10, lambda: "no GPUs")
    assert sorted(gpus.read_text().split()) == ["0", "1"]
    assert slurm.state(third) == "PENDING"

    assert slurm.kill_job(first)
    assert slurm.wait(first, "FAILED", "COMPLETED") == "FAILED"
    slurm.wait(third, "RUNNING")
    slurm.run("scancel", second, third)
    assert slurm.wait(second, "CANCELLED") == slurm.wait(third, "CANCELLED")


def test_nothing_listens_beyond_loopback(slurm):
    job = slurm.submit("srun sleep 60")
    until(lambda: len(slurm.listening()) > 2, 20, lambda: "srun does not listen")
    addresses = {address for address, _ in slurm.listening()}
    slurm.run("scancel", job)
    assert addresses == {"127.0.0.1"}
