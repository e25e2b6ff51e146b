"""AUC with its 95 % interval over resampled patients: the kit, scikit-learn in a loop, SciPy.

    python benchmarks/intervals.py  # 2 minutes; writes benchmarks/results/intervals.json

Each way works in a process of its own, on one core, and draws as many resamples. What is measured
is processor time after the imports, the median of three, and the peak memory of the process. The
last row is all that `evaluate` measures: 14 metrics, which the others do not offer in one call.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.files import write_text

SIZES, RESAMPLES, TURNS = (300, 10_000), 1000, 3


def patients(n: int) -> tuple[NDArray, NDArray]:
    """Outcomes and predictions of an AUC of about 0.76."""
    rng = np.random.default_rng(n)
    y = rng.integers(0, 2, n)
    return y, 1 / (1 + np.exp(-rng.normal(y - 0.5, 1)))


def kit(y: NDArray, p: NDArray) -> tuple[float, ...]:
    """The kit's interval."""
    from nextaim_kit.learn.metrics import auc_interval

    return auc_interval(y, p, n_boot=RESAMPLES)


def everything(y: NDArray, p: NDArray) -> tuple[float, ...]:
    """All metrics of the kit."""
    from nextaim_kit.learn.metrics import evaluate

    return tuple(evaluate(y, p, act_at=0.3, n_boot=RESAMPLES).loc[0, ["value", "low", "high"]])


def loop(y: NDArray, p: NDArray) -> tuple[float, ...]:
    """What one writes with scikit-learn."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    rows = (rng.integers(0, len(y), len(y)) for _ in range(RESAMPLES))
    found = [roc_auc_score(y[k], p[k]) for k in rows]
    return (float(roc_auc_score(y, p)), *np.percentile(found, [2.5, 97.5]))


def scipy(y: NDArray, p: NDArray) -> tuple[float, ...]:
    """SciPy's bootstrap with an AUC by ranks, a hundred resamples at a time."""
    from scipy.stats import bootstrap, rankdata

    def auc(y: NDArray, p: NDArray, axis: int) -> NDArray:
        ranks, yes = rankdata(p, axis=axis), y.sum(axis)
        return ((ranks * y).sum(axis) - yes * (yes + 1) / 2) / (yes * (y.shape[axis] - yes))

    how: dict[str, Any] = {"paired": True, "method": "percentile", "n_resamples": RESAMPLES}
    found = bootstrap((y, p), auc, batch=100, rng=0, **how).confidence_interval
    return float(auc(y, p, 0)), float(found.low), float(found.high)


WAYS = {"this kit": kit, "scikit-learn, loop": loop, "SciPy": scipy, "evaluate": everything}


def measure(way: str, n: int) -> dict[str, Any]:
    """Run one way in this process."""
    y, p = patients(n)
    WAYS[way](y[:50], p[:50])  # imports
    seconds = []
    for _ in range(TURNS):
        began = time.process_time()
        found = WAYS[way](y, p)
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    row = {"way": way, "patients": n, "cpu_seconds": round(statistics.median(seconds), 3)}
    return row | {"peak_gb": round(peak, 2), "interval": [round(float(v), 4) for v in found]}


def main() -> None:
    """Measure all, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    rows = []
    for n in SIZES:
        for way in WAYS:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                row = pool.apply(measure, (way, n))
            ours = next((r for r in rows if r["patients"] == n), row)
            row["times_the_kit"] = round(row["cpu_seconds"] / ours["cpu_seconds"], 1)
            rows.append(row)
            print(row, flush=True)
    write_text(options.out / "intervals.json", json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
