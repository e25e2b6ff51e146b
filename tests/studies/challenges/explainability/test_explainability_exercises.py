"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import pandas as pd
import pytest

NOTEBOOK = "challenges/explainability"
TRUTH = pd.DataFrame({"name": ["gradient", "occlusion", "center", "center"],
                      "metric": ["pointing", "pointing", "pointing", "energy"],
                      "value": [0.3, 0.6, 0.4, 0.9]})  # fmt: skip
METHODS = {"names": ["gradient", "occlusion"]}
FAITHFUL = pd.DataFrame({"name": ["gradient", "occlusion", "edges", "gradient"],
                         "metric": ["deletion", "deletion", "deletion", "insertion"],
                         "value": [0.2, 0.1, 0.9, 0.7]})  # fmt: skip
SANE = FAITHFUL.replace({"deletion": "margin_weights", "insertion": "margin_labels"})
SIGNS = pd.DataFrame({"shortcut": ["none", "none", "marker", "site", "reference", "marker"],
                      "sign": ["same place"] * 5 + ["outside truth"],
                      "value": [0.1, 0.3, 0.6, 0.4, 0.9, 0.8]})  # fmt: skip


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"truth": TRUTH, "names": ["gradient", "occlusion"], "blind": ["center"]}, 0.2, -0.3),
        (2, {"faithful": FAITHFUL} | METHODS, 0.15, 0.4),
        (3, {"sane": SANE} | METHODS, 0.15, 0.4),
        (4, {"signs": SIGNS, "kinds": ["marker", "site"]}, 0.3, 0.4),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"
