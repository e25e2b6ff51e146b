"""Seconds of a nested cross-validation in one process, in joblib's processes and over Dask.

    python benchmarks/dask_workers.py         # some minutes; writes benchmarks/results

The numbers must be the same, bit for bit. All processes are started, and have imported what they
need, before the clock is; that start is told apart. (This file is not called dask.py: Python
would import it in place of Dask.)
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from distributed import LocalCluster

from nextaim_kit.files import write_text
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.nested import NestedResult, nested_cv
from nextaim_kit.machine.cluster import disconnect
from nextaim_kit.machine.limits import cpu_count

PATIENTS, FEATURES, WORKERS = 160, 100, 2
METHOD, OUTER = Method("xgboost", ("mrmr", "xgboost"), ks=(5, 10, 20), inner=4), 5
NAMES = [f"f{number:03d}" for number in range(FEATURES)]


def cohort() -> pd.DataFrame:
    """Patients of four sites and both outcomes, which the first ten features tell a little."""
    rng = np.random.default_rng(0)
    label = rng.permutation(np.arange(PATIENTS) % 2)
    values = rng.normal(size=(PATIENTS, FEATURES))
    values[:, :10] += 0.4 * label[:, None]
    subjects = [f"P{number:03d}" for number in range(PATIENTS)]
    table = pd.DataFrame(values, columns=NAMES)
    return table.assign(subject=subjects, site=[f"S{k % 4}" for k in range(PATIENTS)], label=label)


@contextmanager
def dask_workers() -> Iterator[None]:
    """Two processes of this machine as Dask workers, to which the work goes."""
    local = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, **local) as cluster:
        os.environ["NEXTAIM_DASK"] = cluster.scheduler_address
        try:
            yield
        finally:
            disconnect()
            del os.environ["NEXTAIM_DASK"]


def clocked(n_jobs: int, repeats: int) -> tuple[float, float, NestedResult]:
    """Seconds to start, seconds to validate, and the result."""
    began = time.perf_counter()
    nested_cv(cohort(), NAMES[:3], Method(ks=(1,), inner=2), outer=2, n_jobs=n_jobs)
    started = time.perf_counter()
    result = nested_cv(cohort(), NAMES, METHOD, outer=OUTER, repeats=repeats, n_jobs=n_jobs)
    return started - began, time.perf_counter() - started, result


def same(one: NestedResult, other: NestedResult) -> bool:
    """Whether predictions, thresholds and choices are equal bit for bit."""
    return (
        one.predictions.equals(other.predictions)
        and one.chosen.equals(other.chosen)
        and one.selected == other.selected
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    found = {"one_process": clocked(1, options.repeats)}
    found["processes"] = clocked(WORKERS, options.repeats)
    began = time.perf_counter()
    with dask_workers():
        cluster = time.perf_counter() - began
        start, *rest = clocked(WORKERS, options.repeats)
        found["dask"] = (cluster + start, *rest)
    reference = found["one_process"][2]
    result = {
        "hardware": f"{cpu_count()} cores",
        "patients": PATIENTS,
        "features": FEATURES,
        **{name: getattr(METHOD, name) for name in ("selectors", "ks", "inner")},
        "outer": OUTER,
        "repeats": options.repeats,
        "workers": WORKERS,
        "seconds": {name: round(seconds, 1) for name, (_, seconds, _) in found.items()},
        "start_s": {name: round(start, 1) for name, (start, _, _) in found.items()},
        "equal": all(same(reference, other) for _, _, other in found.values()),
    }
    print(json.dumps(result, indent=1))
    write_text(options.out / "dask_workers.json", json.dumps(result, indent=1) + "\n")
    if not result["equal"]:
        raise SystemExit("Dask or joblib's processes gave other numbers than one process")


if __name__ == "__main__":
    main()
