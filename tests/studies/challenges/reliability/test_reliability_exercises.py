"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.challenges.reliability import shifts

NOTEBOOK = "challenges/reliability"
TOLD = SimpleNamespace(
    p=np.array([0.9, 0.7, 0.4, 0.2]), y=np.array([1, 0, 1, 0]),
    wrong=np.array([False, True, True, False]), kept=np.array([True, True, False, True]),
)  # fmt: skip
ROBUST = pd.DataFrame({"severity": [1, 3, 3, 5], "coverage": [0.9, 0.8, 0.7, 0.4]})
SCORES = np.array([3.0, -1.0, 2.0, 0.5, 4.0, 1.0, -2.0])


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"told": TOLD}, 0.05, -0.05),
        (2, {"scores": SCORES}, 3.0, 4.0),
        (3, {"robust": ROBUST}, 0.7, 0.4),
        (4, {"shifts": shifts, "positive": 0.5}, 2079 / 555, 2.0),
        (5, {"told": TOLD}, 1 / 3, 0.5),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"
