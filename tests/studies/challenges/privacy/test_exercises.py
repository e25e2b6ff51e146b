"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

NOTEBOOK = "challenges/privacy"
BY_COUNT = pd.DataFrame({"measures": [1, 4, 9], "value": [0.02, 0.11, 0.3]})
AUCS = pd.DataFrame(
    {"name": ["copies with noise", "SMOTE", "twin"], "value": [0.99, 0.9, 0.5]}
)  # fmt: skip


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"found": 0.3}, 25.0, 75.0),
        (3, {"by_count": BY_COUNT, "place": np.ones(100)}, 4, 9),
        (4, {"aucs": AUCS}, "SMOTE", "twin"),
        (5, {}, 0.832018, 0.598688),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"


def test_an_exposure_is_tried_on_several_ranks(said):
    assert said(f"{NOTEBOOK} 2", lambda rank: np.log2(10_000 / rank)) == "Correct.\n"
    assert said(f"{NOTEBOOK} 2", lambda rank: np.log2(rank)).startswith("Not yet.")
