"""AUC with its 95 % interval over resampled patients: the kit beside what one would write.

    python benchmarks/intervals.py  # 5 minutes; writes benchmarks/results/intervals.json
    python benchmarks/intervals.py --earlier NAME=FOLDER  # an earlier checkout's kit as well

Each way works in a process of its own, on one core, and draws as many resamples (DeLong's formula
draws none). What is measured is processor time after the imports, the median of three, and by how
much the process grew beyond its imports. An exponent tells how time grows: with patients from
1,000 to 10,000 at 2,000 resamples, with resamples from 200 to 2,000 at 10,000 patients. The rows
of `evaluate` are all that it measures: 14 metrics, which the others do not offer in one call.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

SIZES, RESAMPLES, TURNS = (100, 1000, 10_000), (200, 2000), 3
_ENOUGH, _LIMIT = 5, 90  # seconds: after which no turn is repeated, and after which none ends
_ROOT = Path(__file__).parents[1]


def patients(n: int) -> tuple[NDArray, NDArray, NDArray]:
    """Outcomes, predictions of an AUC of about 0.76, and others of 0.66."""
    rng = np.random.default_rng(n)
    y = rng.integers(0, 2, n)
    one, two = (1 / (1 + np.exp(-rng.normal(y - 0.5, sd))) for sd in (1, 1.7))
    return y, one, two


def kit(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """The kit's interval."""
    from nextaim_kit.learn.metrics import auc_interval

    return auc_interval(y, p, n_boot=n_boot)


def difference(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """The kit's paired difference of two models."""
    from nextaim_kit.learn.metrics import auc_interval

    return auc_interval(y, p, other=q, n_boot=n_boot)


def everything(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """All metrics of the kit."""
    from nextaim_kit.learn.metrics import evaluate

    return tuple(evaluate(y, p, act_at=0.3, n_boot=n_boot).loc[0, ["value", "low", "high"]])


def formula(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """The kit's interval by DeLong's formula."""
    from nextaim_kit.learn.delong import delong

    return delong(y, p)[:3]


def by_hand(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """Sorted once, each resample counted: the least that NumPy can do for scores without ties."""
    rng, y = np.random.default_rng(0), y[np.argsort(p)].astype(float)

    def auc(w: NDArray) -> float:
        negative = w * (1 - y)
        below = np.cumsum(negative)
        return float((w * y) @ (below - negative / 2) / ((w * y).sum() * below[-1]))

    drawn = (np.bincount(rng.integers(0, len(y), len(y)), minlength=len(y)) for _ in range(n_boot))
    return (auc(np.ones(len(y))), *np.percentile([auc(w) for w in drawn], [2.5, 97.5]))


def loop(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """What one writes with scikit-learn."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    rows = (rng.integers(0, len(y), len(y)) for _ in range(n_boot))
    found = [roc_auc_score(y[k], p[k]) for k in rows]
    return (float(roc_auc_score(y, p)), *np.percentile(found, [2.5, 97.5]))


def scipy(y: NDArray, p: NDArray, q: NDArray, n_boot: int) -> tuple[float, ...]:
    """SciPy's bootstrap with an AUC by ranks, a hundred resamples at a time."""
    from scipy.stats import bootstrap, rankdata

    def auc(y: NDArray, p: NDArray, axis: int) -> NDArray:
        ranks, yes = rankdata(p, axis=axis), y.sum(axis)
        return ((ranks * y).sum(axis) - yes * (yes + 1) / 2) / (yes * (y.shape[axis] - yes))

    how: dict[str, Any] = {"paired": True, "method": "percentile", "n_resamples": n_boot}
    found = bootstrap((y, p), auc, batch=100, rng=0, **how).confidence_interval
    return float(auc(y, p, 0)), float(found.low), float(found.high)


WAYS = {"auc": kit, "difference": difference, "evaluate": everything, "DeLong": formula,
        "NumPy, sorted once": by_hand, "scikit-learn, loop": loop, "SciPy": scipy}  # fmt: skip
OURS = ("auc", "difference", "evaluate")


def measure(way: str, n: int, n_boot: int) -> dict[str, Any]:
    """Run one way in this process."""
    few, many = patients(50), patients(n)
    WAYS[way](*few, 20)  # imports
    grown, seconds, found = _peak_mb(), list[float](), ()
    while len(seconds) < TURNS and sum(seconds) < _ENOUGH:
        began = time.process_time()
        found = WAYS[way](*many, n_boot)
        seconds.append(time.process_time() - began)
    row = {"cpu_seconds": round(statistics.median(seconds), 4)}
    row |= {"peak_mb": round(_peak_mb() - grown), "interval": [round(float(v), 4) for v in found]}
    return row


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_a_process(way: str, n: int, n_boot: int, code: Path) -> dict[str, Any]:
    """What `measure` finds with the kit of a checkout; why there is no time, where it has none."""
    asked = [sys.executable, __file__, "--one", way, str(n), str(n_boot)]
    how: dict[str, Any] = {"env": os.environ | {"PYTHONPATH": str(code)}, "timeout": _LIMIT}
    try:
        ran = subprocess.run(asked, capture_output=True, text=True, check=False, **how)
    except subprocess.TimeoutExpired:
        return {"cpu_seconds": None, "why": f"not done in {_LIMIT} s"}
    if ran.returncode and code == _ROOT:
        raise RuntimeError(ran.stderr)
    if ran.returncode:
        return {"cpu_seconds": None, "why": ran.stderr.strip().splitlines()[-1]}
    return dict(json.loads(ran.stdout))


def rows(codes: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """Every way at every size, the kits of several checkouts next to each other."""
    for n in SIZES:
        for n_boot in RESAMPLES:
            for way in WAYS:
                for code, path in codes.items():
                    if code == "this kit" or way in OURS:
                        whose = {"code": code} if way in (*OURS, "DeLong") else {"code": "peer"}
                        size = {"patients": n, "resamples": n_boot}
                        yield {"way": way, **whose, **size, **in_a_process(way, n, n_boot, path)}


def exponents(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How the time of each way grows, by the last of two sizes and of two numbers of resamples."""
    known = {(r["way"], r["code"], r["patients"], r["resamples"]): r["cpu_seconds"] for r in found}
    told, (few, many) = [], RESAMPLES
    for way, code in dict.fromkeys((r["way"], r["code"]) for r in found):
        small, large, fewer = (
            known[way, code, n, b] for n, b in ((1000, many), (10_000, many), (10_000, few))
        )
        if small and large and fewer:
            grown = {"in_patients": large / small, "in_resamples": large / fewer}
            told.append({"way": way, "code": code}
                        | {k: round(float(np.log10(v)), 2) for k, v in grown.items()})  # fmt: skip
    return told


def main() -> None:
    """Measure all, print, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--earlier", action="append", default=[])
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        way, n, n_boot = options.one
        print(json.dumps(measure(way, int(n), int(n_boot))))
        return
    named = (one.split("=", 1) for one in options.earlier)
    codes = {"this kit": _ROOT} | {name: Path(folder) for name, folder in named}
    found = []
    for row in rows(codes):
        found.append(row)
        print(row, flush=True)
    from nextaim_kit.files import write_text

    result = {"rows": found, "exponents": exponents(found)}
    print(*result["exponents"], sep="\n")
    write_text(options.out / "intervals.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
