"""The exercises of these notebooks on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import pandas as pd
import pytest

EVERY = pd.DataFrame({
    "part": ["function"] * 3 + ["structure"],
    "diagnoses": ["made up", "made up", "diagnosis", "made up"],
    "way": ["with the diagnosis"] * 4,
    "kind": ["within sites", "pooled", "within sites", "within sites"],
    "value": [0.68, 0.9, 0.7, 0.55],
})  # fmt: skip
AUCS = pd.DataFrame({"name": ["joint network", "function, linear", "confounds"]})
AUCS["value"] = [0.8, 0.75, 0.6]


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("features 1", {}, 0.1, 0.0985),
        ("features 2", {}, 0.8, 80),
        ("features 3", {}, 19900, 40000),
        ("harmonization 1", {}, 0.5, 1 / 35),
        ("harmonization 2", {"every": EVERY, "parts": {"function": 0}}, 0.18, 0.68),
        ("harmonization 3", {}, 24, 30),
        ("joint_fusion 1", {}, 168096, 5253),
        ("joint_fusion 2", {"aucs": AUCS, "parts": ["function"]}, 0.15, 0.05),
        ("joint_fusion 3", {}, 0.54983, 0.2),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"asd_fusion/{exercise}", right, **names) == "Correct.\n"
    assert said(f"asd_fusion/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"asd_fusion/{exercise}", ..., **names) == "Not answered yet.\n"
