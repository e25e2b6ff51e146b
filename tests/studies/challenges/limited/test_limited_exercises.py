"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

NOTEBOOK = "challenges/limited_data"
TASK = SimpleNamespace(groups=np.array(["a", "a", "b", "c", "c", "d"]))
KNOWN = SimpleNamespace(train=np.array([2, 5]), val=np.array([0, 1, 3, 4]))
CURVES = pd.DataFrame({"method": ["simple"] * 2 + ["scratch"] * 2, "patients": [9, 90] * 2,
                       "value": [0.80, 0.85, 0.60, 0.75]})  # fmt: skip
LAWS = {"simple": SimpleNamespace(b=np.array([0.5, 0.9]))}
EACH = pd.DataFrame({"method": ["simple"] * 3, "patients": [9, 9, 90], "auc": [0.6, 0.85, 0.99]})


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"task": TASK, "known": KNOWN}, 2, 4),
        (2, {"curves": CURVES, "sizes": [9, 90]}, "scratch", "simple"),
        (3, {"laws": LAWS}, 4.0, 2.0),
        (4, {"each": EACH, "sizes": [9, 90]}, 0.25, 0.39),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"
