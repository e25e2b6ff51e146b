"""The exercises of the notebook structuring on tables of a few rows, with answers by hand."""

from __future__ import annotations

import pandas as pd
import pytest

GRID = pd.DataFrame({
    "noise": ["labels", "labels", "labels", "texts", "labels"],
    "rate": [0.0, 0.3, 0.3, 0.3, 0.3],
    "reports": [163, 163, 20, 163, 163],
    "name": ["TF-IDF"] * 4 + ["rules"],
    "metric": "accuracy",
    "value": [0.80, 0.65, 0.5, 0.7, 0.9],
})  # fmt: skip


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("structuring 1", {}, 0.5438, 0.97),
        ("structuring 2", {}, 0.03, 0.024),
        ("structuring 3", {}, 0.16667, 0.4),
        ("structuring 4", {"grid": GRID}, 0.05, 0.1),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"report_structuring/{exercise}", right, **names) == "Correct.\n"
    assert said(f"report_structuring/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"report_structuring/{exercise}", ..., **names) == "Not answered yet.\n"
