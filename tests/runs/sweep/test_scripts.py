"""Submit files name every row, and are what the batch systems' own readers take."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.sweep.plan import expand
from nextaim_kit.runs.sweep.scripts import submit_file

TAKES = {"cores": 2, "memory_gb": 3, "vram_gb": 9, "minutes": 5}


@pytest.fixture
def plan(toy, sweep):
    toy()
    return expand(sweep("A sweep, mine", grid={"size": [4, 5, 6]}, resources=TAKES))


def test_the_slurm_script_is_an_array_over_all_rows(plan, tmp_path):
    script = submit_file(plan, "slurm", 2)
    for line in ("--array=0-2%2", "--cpus-per-task=2", "--mem=3000", "--time=30", "--gpus=1"):
        assert f"#SBATCH {line}\n" in script
    (tmp_path / "array.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "array.sh"], check=False).returncode == 0
    assert script.splitlines()[-1].endswith('--index "$SLURM_ARRAY_TASK_ID"')


@pytest.mark.filterwarnings("ignore:.*CONDOR_CONFIG.*")
def test_the_htcondor_file_is_read_by_htcondor(plan):
    import htcondor2

    text = submit_file(plan, "htcondor")
    read = htcondor2.Submit(text)
    assert read["request_gpus"] == "1"
    assert read["request_memory"] == "3000MB"
    assert read["arguments"].endswith('--index $(Process)"')
    assert read.getQArgs() == "3"


def test_the_kubernetes_manifest_is_an_indexed_job(plan):
    job = yaml.safe_load(submit_file(plan, "kubernetes", 2))
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 2)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == 1
    assert container["command"][2].endswith("--index $JOB_COMPLETION_INDEX")
    assert job["metadata"]["name"] == "a-sweep--mine"


def test_what_a_run_reads_from_the_environment_is_handed_to_the_jobs(plan, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DATA", "/a place/for data")
    assert "export NEXTAIM_DATA='/a place/for data'\n" in submit_file(plan, "slurm")
    job = yaml.safe_load(submit_file(plan, "kubernetes"))
    env = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "NEXTAIM_DATA", "value": "/a place/for data"} in env


def test_another_batch_system_is_refused(plan):
    with pytest.raises(RequestError, match=r"'pbs'(.|\n)*slurm, htcondor, kubernetes"):
        submit_file(plan, "pbs")
