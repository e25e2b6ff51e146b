"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import pandas as pd
import pytest

NOTEBOOK = "challenges/memory_budget"
LAWS = {"fixed_gb": 0.5, "bytes_per_voxel": 1000.0}
GRID = pd.DataFrame({"edge": [64, 64, 128], "batch": [1, 2, 4], "gb": [1.0, 2.0, 9.0]})
COSTS = pd.DataFrame({"way": ["plain", "patches", "smaller"], "measured_mb": [9.0, 1.0, 1.0]})

FITS = pd.DataFrame({"profile": ["slice", "slice", "slice", "paper", "slice"],
                     "card": ["t4", "t4", "v100-16", "t4", "k80"],
                     "hours_high": [2.0, 3.0, 1.5, 9.0, float("nan")]})  # fmt: skip


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (2, {"laws": LAWS}, 0.5 + 8.84736, 2.0),
        (1, {"grid": GRID, "vram_gb": 9.5}, 2, 3),
        (1, {"grid": GRID, "vram_gb": 4.0}, 2, 1),
        (3, {"costs": COSTS}, "patches", "plain"),
        (3, {"costs": COSTS}, "smaller", "plain"),
        (4, {}, 20, 25),
        (5, {"fits": FITS}, 3.5, 12.5),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"
