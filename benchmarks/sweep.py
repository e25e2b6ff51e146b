"""Batch runs: warm kernels and sweeps, beside plain papermill and papermill under Snakemake.

    python benchmarks/sweep.py         # about 20 minutes; writes benchmarks/results

Measured with cells that import torch and MONAI, as every notebook of networks does:

1. From the start of a run to its end, a warm kernel beside a cold one, in turns.
2. 24 short runs on this machine: ``nextaim sweep run``, which also checks parameters and writes
   record and report, beside a loop over papermill, and beside papermill as Snakemake's jobs.
3. A sweep of 1000 runs of a notebook that does nothing: seconds and memory that a run costs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
import yaml

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.runs.warm.client import hold, stop
from nextaim_kit.runs.warm.place import KERNEL

IMPORTS = "import torch, monai"
PARAMETERS = "seed: int = 1  # random seed [0, 100000]\n"
WORK = "print(torch.manual_seed(seed), torch.rand(1).item())"
START = 'from nextaim_kit.runs.context import start\nrun = start("bench/{}", parameters=globals(), '
START += 'seed=seed)\nrun.metric("value", seed / 7)\nrun.finish()'
ATLEAST = 10.0  # times
SNAKEFILE = """\
rule all:
    input: [f"out/{i}.ipynb" for i in range(%d)]
rule run:
    output: "out/{i}.ipynb"
    shell: "%s -m papermill %s {output} -p seed {wildcards.i} --no-progress-bar >/dev/null 2>&1"
"""


def notebook(path: Path, *cells: str) -> None:
    """Write a notebook whose first cell holds its parameters."""
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made[0].metadata["tags"] = ["parameters"]
    document = nbformat.v4.new_notebook(cells=made)
    document.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python"
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(document, path)


def study(folder: Path) -> None:
    """A study of two notebooks: one with the imports, one with nothing."""
    notebook(folder / "bench" / "1_short.ipynb", PARAMETERS, f"{IMPORTS}\n{WORK}",
             START.format("short"))  # fmt: skip
    notebook(folder / "bench" / "2_nothing.ipynb", PARAMETERS, START.format("nothing"))
    takes = {"tutorial": {"minutes": 0.1, "memory_gb": 0.5}}
    declared = {"title": "t", "outputs": {"metrics": ["value"]}, "resources": takes}
    whole = {"title": "b", "question": "q"}
    whole["notebooks"] = {"short": declared, "nothing": declared}
    (folder / "bench" / "study.yaml").write_text(yaml.safe_dump(whole))


def timed(command: list[str], folder: Path) -> float:
    """Seconds that a command takes; it has to succeed."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)  # fmt: skip
    return time.perf_counter() - began


def watched(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of a command, and the highest MB that it and the engine it starts held together."""
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        listed = subprocess.run(["ps", "-eo", "pid,ppid,rss,args"], capture_output=True, text=True,
                                check=True).stdout.splitlines()  # fmt: skip
        lines = [line.split(maxsplit=3) for line in listed[1:]]
        own = str(process.pid)
        engine = [int(r) for p, pp, r, a in lines if own in (p, pp) and "warm.server" not in a]
        peak = max(peak, sum(engine) / 1000)
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - began, peak


def sweep(folder: Path, name: str, stage: str, runs: int, first: int = 0) -> list[str]:
    """The command that runs a sweep of so many seeds."""
    said = {"notebook": f"bench/{stage}", "seeds": list(range(first, first + runs))}
    (folder / f"{name}.yaml").write_text(json.dumps(said))
    return [sys.executable, "-m", "nextaim_kit.cli", "sweep", "run", f"{name}.yaml"]


def started(folder: Path, kernel: str) -> float:
    """Seconds that papermill takes for one cell in a kernel."""
    began = time.perf_counter()
    found = papermill.execute_notebook(
        str(folder / "cell.ipynb"), str(folder / "out.ipynb"), kernel_name=kernel,
        language="python", progress_bar=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if found.cells[-1].outputs[-1]["text"].strip() != "3.0":
        raise SystemExit(f"{kernel} gave another result")
    return seconds


def starts(folder: Path, turns: int) -> dict[str, float]:
    """Medians of starts, cold and warm."""
    found: dict[str, list[float]] = {"python3": [], KERNEL: []}
    notebook(folder / "cell.ipynb", "", f"{IMPORTS}\nprint(torch.ones(3).sum().item())")
    began = time.perf_counter()
    with hold():
        server = time.perf_counter() - began
        for turn in range(1 + turns):
            for kernel, seconds in found.items():
                took = started(folder, kernel)
                seconds += [took] if turn else []  # the first turn fills the disk's cache
    median = {kernel: statistics.median(seconds) for kernel, seconds in found.items()}
    return {
        "papermill_s": round(median["python3"], 2),
        "warm_s": round(median[KERNEL], 2),
        "faster": round(median["python3"] / median[KERNEL], 1),
        "server_start_s": round(server, 1),
    }


def short_runs(folder: Path, runs: int) -> dict[str, float]:
    """Runs per minute of 24 short runs, by each way."""
    plain = folder / "plain.ipynb"
    notebook(plain, PARAMETERS, f"{IMPORTS}\n{WORK}")
    stop()
    time.sleep(2)
    cold = timed(sweep(folder, "first", "short", runs), folder)
    warm = timed(sweep(folder, "second", "short", runs, first=1000), folder)
    began = time.perf_counter()
    for seed in range(runs):
        papermill.execute_notebook(
            str(plain), str(folder / "loop.ipynb"), {"seed": seed}, kernel_name="python3",
            language="python", progress_bar=False,
        )  # fmt: skip
    loop = time.perf_counter() - began
    (folder / "Snakefile").write_text(SNAKEFILE % (runs, sys.executable, plain))
    snakemake = timed(
        [sys.executable, "-m", "snakemake", "--cores", str(cpu_count()), "--quiet", "all"], folder
    )
    return {
        "runs": runs,
        "sweep_per_minute": round(60 * runs / cold, 1),
        "sweep_server_up_per_minute": round(60 * runs / warm, 1),
        "papermill_loop_per_minute": round(60 * runs / loop, 1),
        "papermill_snakemake_per_minute": round(60 * runs / snakemake, 1),
    }


def many_runs(folder: Path, runs: int) -> dict[str, float]:
    """What a run of nothing costs in a sweep of many, and a look at one that is done."""
    command = sweep(folder, "many", "nothing", runs)
    planning = timed([*command[:-2], "plan", command[-1]], folder)
    seconds, peak = watched(command, folder)
    resume = timed(command, folder)
    return {
        "runs": runs,
        "planning_s": round(planning, 1),
        "sweep_s": round(seconds, 1),
        "per_run_s": round(seconds / runs, 3),
        "controller_peak_mb": round(peak),
        "resume_of_finished_s": round(resume, 1),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--short", type=int, default=24)
    parser.add_argument("--many", type=int, default=1000)
    options = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        study(folder / "notebooks")
        os.environ["NEXTAIM_NOTEBOOKS"] = str(folder / "notebooks")
        os.environ["NEXTAIM_RUNS"] = str(folder / "runs")
        result = {"hardware": f"{cpu_count()} cores", "turns": options.turns}
        result |= starts(folder, options.turns)
        result["short"] = short_runs(folder, options.short)
        result["many"] = many_runs(folder, options.many)
    print(json.dumps(result, indent=1))
    write_text(options.out / "sweep.json", json.dumps(result, indent=1) + "\n")
    if result["faster"] < ATLEAST:
        raise SystemExit(f"less than {ATLEAST:g} times faster")


if __name__ == "__main__":
    main()
