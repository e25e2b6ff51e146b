"""Seconds from the start of a run to its end: warm kernels beside plain papermill.

    python benchmarks/sweep.py         # some minutes; writes benchmarks/results

One cell that imports torch and MONAI, as every notebook of networks does. Both ways in turns.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

import nbformat
import papermill

from nextaim_kit.data.files import write_text
from nextaim_kit.machine.limits import cpu_count
from nextaim_kit.runs.warm.client import hold
from nextaim_kit.runs.warm.place import KERNEL

CELL = "import torch, monai\nprint(torch.ones(3).sum().item())"
ATLEAST = 10.0  # times


def started(folder: Path, kernel: str) -> float:
    """Seconds that papermill takes for the cell in a kernel."""
    began = time.perf_counter()
    found = papermill.execute_notebook(
        str(folder / "cell.ipynb"), str(folder / "out.ipynb"), kernel_name=kernel,
        language="python", progress_bar=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if found.cells[-1].outputs[-1]["text"].strip() != "3.0":
        raise SystemExit(f"{kernel} gave another result")
    return seconds


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    logging.getLogger("papermill").setLevel(logging.ERROR)
    found: dict[str, list[float]] = {"python3": [], KERNEL: []}
    began = time.perf_counter()
    with hold(), tempfile.TemporaryDirectory() as place:
        server = time.perf_counter() - began
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        nbformat.write(notebook, Path(place) / "cell.ipynb")
        for turn in range(1 + options.turns):
            for kernel, seconds in found.items():
                took = started(Path(place), kernel)
                seconds += [took] if turn else []  # the first turn fills the disk's cache
    median = {kernel: statistics.median(seconds) for kernel, seconds in found.items()}
    result = {
        "hardware": f"{cpu_count()} cores",
        "turns": options.turns,
        "papermill_s": round(median["python3"], 2),
        "warm_s": round(median[KERNEL], 2),
        "faster": round(median["python3"] / median[KERNEL], 1),
        "server_start_s": round(server, 1),
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "sweep.json", json.dumps(result, indent=1) + "\n")
    if result["faster"] < ATLEAST:
        raise SystemExit(f"less than {ATLEAST:g} times faster")


if __name__ == "__main__":
    main()
