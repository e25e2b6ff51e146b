"""Runs from a terminal, and in batches, beside papermill and papermill under Snakemake.

    python benchmarks/sweep.py         # about 10 minutes; writes benchmarks/results

1. The commands, from the shell to the prompt, in turns: `nextaim run` with a warm server, which
   also checks parameters and writes record and report; papermill; papermill with the warm kernel.
   Of an empty notebook, and of one that imports torch and MONAI, as every one of networks does.
   Seconds, and CPU seconds, of which those of forks are the warm server's to tell.
2. 16 short runs on this machine: ``nextaim sweep run``, which also checks parameters and writes
   record and report, beside a loop over papermill, and beside papermill as Snakemake's jobs.
3. A sweep of 1000 runs of a notebook that does nothing: seconds and memory that a run costs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import resource
import socket
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
from nextaim_kit.runs.warm.place import KERNEL, socket_paths

IMPORTS = "import torch, monai"
PARAMETERS = "seed: int = 1  # random seed [0, 100000]\n"
WORK = "print(torch.manual_seed(seed), torch.rand(1).item())"
START = 'from nextaim_kit.runs.context import start\nrun = start("bench/{}", parameters=globals(), '
START += 'seed=seed)\nrun.metric("value", seed / 7)\nrun.finish()'
ATLEAST = {"nothing": 2.0, "short": 5.0}  # times of `nextaim run` that papermill takes
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
    """A study of two notebooks, one with the imports, one with nothing; beside it plain ones."""
    notebook(folder / "bench" / "1_short.ipynb", PARAMETERS, f"{IMPORTS}\n{WORK}",
             START.format("short"))  # fmt: skip
    notebook(folder / "bench" / "2_nothing.ipynb", PARAMETERS, START.format("nothing"))
    takes = {"tutorial": {"minutes": 0.1, "memory_gb": 0.5}}
    notebook(folder.parent / "short.ipynb", PARAMETERS, f"{IMPORTS}\n{WORK}")
    notebook(folder.parent / "nothing.ipynb", PARAMETERS, "pass")
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


def commands(folder: Path, stage: str) -> dict[str, list[str]]:
    """The commands that run a notebook, by their names; SEED stands for a seed."""
    plain = [
        sys.executable,
        "-m",
        "papermill",
        str(folder / f"{stage}.ipynb"),
        str(folder / "alone.ipynb"),
    ]
    plain += ["-p", "seed", "SEED", "--no-progress-bar", "-k"]
    kit = [sys.executable, "-m", "nextaim_kit.cli", "run", f"bench/{stage}", "-p", "seed=SEED"]
    return {"nextaim": kit, "papermill": [*plain, "python3"], "papermill_warm": [*plain, KERNEL]}


def servers() -> list[int]:
    """Processes of the warm servers that are there."""
    found = []
    for path in socket_paths():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            found.append(int.from_bytes(said[:4], sys.byteorder))
    return found


def cpu() -> float:
    """CPU seconds of what ran here and ended, and of the warm servers and their forks."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    stats = [Path(f"/proc/{server}/stat").read_text() for server in servers()]
    ticks = [int(t) for stat in stats for t in stat.rpartition(")")[2].split()[11:15]]
    return own.ru_utime + own.ru_stime + sum(ticks) / os.sysconf("SC_CLK_TCK")


def starts(folder: Path, stage: str, turns: int) -> dict[str, float]:
    """Medians of each command, and of how many times of `nextaim run` papermill takes."""
    took: dict[str, list[tuple[float, float]]] = {}
    with hold():
        for turn in range(1 + turns):
            for name, command in commands(folder, stage).items():
                before = cpu()
                seconds = timed([part.replace("SEED", str(turn)) for part in command], folder)
                time.sleep(0.3)  # a fork that ended is counted then
                spent = cpu() - before
                took.setdefault(name, []).extend([(seconds, spent)] if turn else [])
    result = {}
    for k, unit in enumerate(("s", "cpu_s")):
        median = {name: statistics.median(one[k] for one in done) for name, done in took.items()}
        result |= {f"{name}_{unit}": round(value, 2) for name, value in median.items()}
        pairs = zip(took["papermill"], took["nextaim"], strict=True)
        ratio = statistics.median(p[k] / n[k] for p, n in pairs)
        result[f"faster_{unit}"] = round(ratio, 1)
    return result


def short_runs(folder: Path, runs: int) -> dict[str, float]:
    """Runs per minute of short runs, by each way."""
    plain = folder / "short.ipynb"
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
    # Again where another process took the port that Jupyter had chosen for a kernel.
    jobs = ["snakemake", "--cores", str(cpu_count()), "--retries", "2", "--quiet", "all"]
    snakemake = timed([sys.executable, "-m", *jobs], folder)
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
    before = cpu()
    resume = timed(command, folder)
    spent = cpu() - before
    return {
        "runs": runs,
        "planning_s": round(planning, 1),
        "sweep_s": round(seconds, 1),
        "per_run_s": round(seconds / runs, 3),
        "controller_peak_mb": round(peak),
        "resume_of_finished_s": round(resume, 2),
        "resume_of_finished_cpu_s": round(spent, 2),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--short", type=int, default=16)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--commands", action="store_true", help="only these; writes nothing")
    options = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        study(folder / "notebooks")
        os.environ["NEXTAIM_NOTEBOOKS"] = str(folder / "notebooks")
        os.environ["NEXTAIM_RUNS"] = str(folder / "runs")
        result = {"hardware": f"{cpu_count()} cores", "turns": options.turns}
        for stage in ("nothing", "short"):
            result[f"command_{stage}"] = starts(folder, stage, options.turns)
            print(stage, result[f"command_{stage}"], flush=True)
        if options.commands:
            return
        result["short"] = short_runs(folder, options.short)
        result["many"] = many_runs(folder, options.many)
    print(json.dumps(result, indent=1))
    write_text(options.out / "sweep.json", json.dumps(result, indent=1) + "\n")
    slow = [s for s, times in ATLEAST.items() if result[f"command_{s}"]["faster_s"] < times]
    if slow:
        raise SystemExit(f"papermill takes less than {ATLEAST} times as long: {', '.join(slow)}")


if __name__ == "__main__":
    main()
