"""ComBat of the kit beside neuroCombat 0.2.12: processor time, memory, and the same numbers.

    python benchmarks/combat.py  # 2 minutes; writes benchmarks/results/combat.json

neuroCombat (MIT) is installed into an environment of its own, which is thrown away; where it cannot
be, it is left out by name. Each works in a process of its own, on one core, on 1,000 subjects of
5,000 features and 1,500 of 20,000, five sites. What is measured is processor time after the imports
and the subjects' making, and by how much the process grew while it harmonized, what it gives
included: a result of the table's size is once the table. `tables_held` counts both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

SIZES, SITES, TURNS = ((1000, 5000), (1500, 20_000)), 5, 3
PEER = "neuroCombat==0.2.12"
_SHOWN = 50  # subjects and features that are compared
_ROOT = Path(__file__).parents[1]


def subjects(n: int, p: int) -> tuple[NDArray, NDArray]:
    """Features, shape (n, p), that each site moves and stretches; numbers of the sites."""
    rng, site = np.random.default_rng(0), np.arange(n) % SITES
    values = rng.normal(size=(n, p))
    values *= (1 + 0.2 * site)[:, None]
    values += 0.5 * site[:, None]
    return values, site


def kit(values: NDArray, site: NDArray) -> Any:
    """A run of the kit's on a DataFrame, as it takes them."""
    import pandas as pd

    from nextaim_kit.learn.harmonization import ComBat

    table = pd.DataFrame(values, columns=[f"f{k}" for k in range(values.shape[1])], copy=False)
    table["site"] = site.astype(str)
    return lambda: ComBat().fit_transform(table).to_numpy()


def peer(values: NDArray, site: NDArray) -> Any:
    """A run of neuroCombat's on an array of features by subjects, as it takes them."""
    import pandas as pd
    from neuroCombat import neuroCombat

    covariates = pd.DataFrame({"site": site + 1})
    return lambda: neuroCombat(values.T, covariates, "site")["data"].T


WAYS = {"this kit": kit, "neuroCombat": peer}


def measure(way: str, n: int, p: int, out: str) -> None:
    """Run one way in this process, and leave what it found."""
    WAYS[way](*subjects(60, 20))()  # imports
    run = WAYS[way](*subjects(n, p))
    grown, began = _peak_mb(), time.process_time()
    found = run()
    seconds = time.process_time() - began
    row = {"cpu_seconds": round(seconds, 2), "peak_mb": round(_peak_mb() - grown)}
    shown = found[:_SHOWN, :_SHOWN].tolist()
    Path(out).write_text(json.dumps({"row": row, "shown": shown}), encoding="utf-8")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def installed(folder: Path) -> tuple[str, str]:
    """Python of an environment with the peer in it, or nothing and why there is none."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin/python")
    asked = [python, "-m", "pip", "install", "--quiet", PEER, "numpy", "pandas"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    lines = ran.stderr.strip().splitlines()
    return ("", lines[-1] if lines else "pip failed") if ran.returncode else (python, "")


def main() -> None:
    """Measure both, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--one", nargs=4)
    options = parser.parse_args()
    if options.one:
        way, n, p, out = options.one
        measure(way, int(n), int(p), out)
        return
    from nextaim_kit.files import write_text

    with tempfile.TemporaryDirectory() as folder:
        python, why = installed(Path(folder) / "peer")
        result: dict[str, Any] = {"left_out": f"{PEER}: {why}" if why else "", "rows": []}
        for n, p in SIZES:
            row = beside(n, p, python, Path(folder))
            print(row, flush=True)
            result["rows"].append(row)
    write_text(options.out / "combat.json", json.dumps(result, indent=1) + "\n")


def beside(n: int, p: int, python: str, folder: Path) -> dict[str, Any]:
    """Medians of turns that alternate, and by how much the numbers differ."""
    pythons = {"this kit": sys.executable} | ({"neuroCombat": python} if python else {})
    several: dict[str, list[dict[str, Any]]] = {way: [] for way in pythons}
    shown = {}
    for _ in range(TURNS):
        for way, own in pythons.items():
            asked = [own, __file__, "--one", way, str(n), str(p), str(folder / "found.json")]
            where = os.environ | ({"PYTHONPATH": str(_ROOT)} if way == "this kit" else {})
            subprocess.run(asked, env=where, check=True, stdout=subprocess.DEVNULL)
            found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
            several[way].append(found["row"])
            shown[way] = np.array(found["shown"])
    row: dict[str, Any] = {"subjects": n, "features": p, "table_mb": round(n * p * 8 / 2**20)}
    for way, turns in several.items():
        row[way] = {k: float(np.median([turn[k] for turn in turns])) for k in turns[0]}
    row["tables_held"] = round(1 + row["this kit"]["peak_mb"] / row["table_mb"], 2)
    if python:
        ours, theirs = row["this kit"], row["neuroCombat"]
        row["ratio"] = {k: round(ours[k] / theirs[k], 2) for k in ours}
        row["largest_difference"] = float(np.abs(shown["this kit"] - shown["neuroCombat"]).max())
    return row


if __name__ == "__main__":
    main()
