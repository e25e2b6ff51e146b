"""Nested cross-validation on 19,900 edges beside plain scikit-learn; edges beside nilearn's.

    python benchmarks/connectivity.py            # half a minute; writes benchmarks/results
    python benchmarks/connectivity.py --quick    # seconds: fewer subjects and edges

Each side runs in a process of its own, whose time and peak memory are taken after the imports. The
folds, strengths and inner folds are the same, and so must the probabilities be. Noise with a faint
outcome stands for edges: the cost does not depend on what they mean.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.files import write_text
from nextaim_kit.machine.limits import cpu_count

STRENGTHS = [1e-4, 1e-3, 1e-2]
OUTER, INNER, SEED = 3, 3, 0
SIZES = {False: (1035, 19900), True: (200, 3000)}
SERIES = {False: (200, 200, 200), True: (20, 100, 60)}  # subjects, volumes, regions
EQUAL = 1e-6


def edges(n: int, p: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Correlated noise of `n` subjects and `p` edges, and an outcome that a tenth of them tell."""
    rng = np.random.default_rng(SEED)
    y = rng.permutation(np.arange(n) % 2)
    X = rng.standard_normal((n, 40), np.float32) @ rng.standard_normal((40, p), np.float32) / 10
    X += rng.standard_normal((n, p), np.float32)
    X[:, : p // 10] += 0.1 * y[:, None].astype(np.float32)
    return X, y


def ours() -> Any:
    """The kit's model, with scikit-learn's way of counting strengths."""
    from nextaim_kit.learn.dual import DualLogistic

    return DualLogistic(STRENGTHS, relative=False, folds=INNER, seed=SEED)


def plain() -> Any:
    """What one would write with scikit-learn alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    inner = StratifiedKFold(INNER, shuffle=True, random_state=SEED)
    model = LogisticRegression(solver="newton-cg", tol=1e-10, max_iter=500)
    return GridSearchCV(model, {"C": STRENGTHS}, scoring="roc_auc", cv=inner)


def nested(make: Any, quick: bool) -> dict[str, Any]:
    """Time, peak memory and probabilities of the outer folds."""
    from sklearn.model_selection import StratifiedKFold

    X, y = edges(*SIZES[quick])
    make().fit(X[:60, :50], y[:60])  # imports and first calls
    before, began = _peak(), time.perf_counter()
    p = np.zeros(len(y))
    for train, test in StratifiedKFold(OUTER, shuffle=True, random_state=SEED).split(X, y):
        p[test] = make().fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "extra_gb": (_peak() - before) / 1e9, "p": p.tolist()}


def series(side: str, quick: bool) -> dict[str, Any]:
    """Time for the Fisher z of the correlations of many series."""
    n, volumes, regions = SERIES[quick]
    rng = np.random.default_rng(SEED)
    given = [rng.standard_normal((volumes, regions)) for _ in range(n)]
    if side == "ours":
        from nextaim_kit.studies.asd_fusion.connectivity import edges_of

        began = time.perf_counter()
        made = np.array([edges_of(one) for one in given])
        return {"seconds": time.perf_counter() - began, "mean": float(np.abs(made).mean())}
    from nilearn.connectome import ConnectivityMeasure
    from sklearn.covariance import EmpiricalCovariance

    began = time.perf_counter()
    measure = ConnectivityMeasure(
        EmpiricalCovariance(), kind="correlation", vectorize=True, discard_diagonal=True,
        standardize="zscore_sample",
    )  # fmt: skip
    found = np.arctanh(measure.fit_transform(given))
    return {"seconds": time.perf_counter() - began, "mean": float(np.abs(found).mean())}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(part: str, side: str, quick: bool) -> dict[str, Any]:
    """What one side measures in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--part", part, *["--quick"] * quick]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    """Measure both, print ratios, write them; 1 where the probabilities differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--side", choices=["ours", "plain"])
    parser.add_argument("--part", choices=["nested", "series"])
    asked = parser.parse_args()
    if asked.side:
        if asked.part == "series":
            print(json.dumps(series(asked.side, asked.quick)))
        else:
            make = {"ours": ours, "plain": plain}[asked.side]
            print(json.dumps(nested(make, asked.quick)))
        return 0
    found = {part: {side: apart(part, side, asked.quick) for side in ("ours", "plain")}
             for part in ("nested", "series")}  # fmt: skip
    said = [np.array(one.pop("p")) for one in found["nested"].values()]
    apart_by = np.abs(said[0] - said[1]).max()
    n, p = SIZES[asked.quick]
    ratios = {part: both["plain"]["seconds"] / both["ours"]["seconds"]
              for part, both in found.items()}  # fmt: skip
    memory = found["nested"]["ours"]["extra_gb"] / max(found["nested"]["plain"]["extra_gb"], 1e-9)
    print(f"nested cross-validation, {n} x {p:,}: {ratios['nested']:.1f} times as fast as "
          f"scikit-learn, {memory:.1f} times its memory; largest difference of a probability "
          f"{apart_by:.1e}")  # fmt: skip
    print(f"connectivity of {SERIES[asked.quick][0]} subjects: {ratios['series']:.1f} times as "
          "fast as nilearn's")  # fmt: skip
    result = {"subjects": n, "edges": p, "outer": OUTER, "inner": INNER, "strengths": STRENGTHS,
              "cores": cpu_count(), "speed": ratios, "memory": memory,
              "largest_difference": float(apart_by), **found}  # fmt: skip
    if not asked.quick:
        path = Path(__file__).parent / "results" / "connectivity.json"
        write_text(path, json.dumps(result, indent=1) + "\n")
    return int(apart_by > EQUAL)


if __name__ == "__main__":
    sys.exit(main())
