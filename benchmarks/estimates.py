"""Minutes that are told before a run beside those that are then seen, for every notebook.

    python benchmarks/estimates.py            # smoke, 5 minutes; writes results/estimates.json
    python benchmarks/estimates.py tutorial   # three quarters of an hour

Each notebook is run as a user types it, in a process of its own, alone, on data that nobody has
made before: cache and folder of runs are empty at the start. One run each. Told is what the command
tells: once a minute of three notebooks was run, at the pace that they had here. A notebook of which
more than 1.5 times as many minutes are told as seen, or the other way round, is named at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nextaim_kit import catalog
from nextaim_kit.catalog import Notebook
from nextaim_kit.files import write_text
from nextaim_kit.runs.record import hardware
from nextaim_kit.runs.run_cost import expect

FACTOR = 1.5


def seen(notebook: Notebook, profile: str, folder: Path) -> float:
    """Minutes of a run, from the command to its end."""
    places = {"NEXTAIM_RUNS": str(folder / "runs"), "NEXTAIM_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "nextaim_kit.cli", "run", notebook.id, "--profile", profile]
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, **places}, check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - began) / 60


def told_before(notebook: Notebook, profile: str, folder: Path) -> float:
    """Minutes that a user is told before a run."""
    expected = expect(notebook, profile, folder / "runs")
    assert expected is not None
    return expected.minutes


def measured(notebooks: list[Notebook], profile: str) -> list[dict[str, Any]]:
    """A row for each notebook: told, seen, and how many times as long it took."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for notebook in notebooks:
            told = told_before(notebook, profile, Path(folder))
            minutes = seen(notebook, profile, Path(folder))
            rows.append({"notebook": notebook.id, "profile": profile,
                         "told": round(told, 2),
                         "seen": round(minutes, 2), "ratio": round(minutes / told, 2)})  # fmt: skip
            print("{notebook:42} told {told:6.2f}  seen {seen:6.2f}  ratio {ratio:5.2f}".format(
                **rows[-1]), flush=True)  # fmt: skip
    return rows


def main() -> None:
    """Measure, print and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", nargs="?", choices=("smoke", "tutorial"), default="smoke")
    parser.add_argument("--only", nargs="*", default=[], help="notebooks; all by default")
    parser.add_argument("--quick", action="store_true", help="one notebook")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    every = [n for s in catalog.studies() for n in s.notebooks.values()]
    wanted = every[:1] if options.quick else every
    wanted = [n for n in wanted if not options.only or n.id in options.only]
    rows = measured(wanted, options.profile)
    path = options.out / "estimates.json"
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    new = {(row["notebook"], row["profile"]) for row in rows}
    kept = [row for row in before if (row["notebook"], row["profile"]) not in new]
    whole = {"hardware": hardware(), "factor": FACTOR, "runs": [*kept, *rows]}
    write_text(path, json.dumps(whole, indent=1) + "\n")
    off = [r["notebook"] for r in rows if not 1 / FACTOR <= r["ratio"] <= FACTOR]
    print(f"{len(rows) - len(off)} of {len(rows)} are within a factor of {FACTOR}; not: {off}")


if __name__ == "__main__":
    main()
