"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import pandas as pd
import pytest

NOTEBOOK = "challenges/explainability"
TRUTH = pd.DataFrame({"name": ["gradient", "occlusion", "center", "center"],
                      "metric": ["pointing", "pointing", "pointing", "energy"],
                      "value": [0.3, 0.6, 0.4, 0.9]})  # fmt: skip
FAITHFUL = pd.DataFrame({"name": ["gradient", "edges", "edges"], "value": [0.2, 0.1, 0.9],
                         "metric": ["deletion", "deletion", "insertion"]})  # fmt: skip
SANE = pd.DataFrame({"metric": ["margin_weights", "margin_weights", "margin_labels"],
                     "low": [0.1, -0.1, 0.2]})  # fmt: skip
HUNTED = pd.DataFrame({"shortcut": ["none", "none", "marker"], "value": [0.5, 0.0, 1.0]})


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"truth": TRUTH, "names": ["gradient", "occlusion"], "blind": ["center"]}, 0.2, -0.3),
        (2, {"faithful": FAITHFUL}, "gradient", "edges"),
        (3, {"sane": SANE}, 1, 2),
        (4, {"hunted": HUNTED}, 0.25, 0.5),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"
