"""The exercises of these notebooks on tables of a few values, with answers by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

MARKS = pd.DataFrame({"row": [0, 1, 1, 2], "score": [0.9, 0.8, 0.1, 0.7]})
DETECTION_2 = {"one": MARKS, "at_least": 0.5, "normal": np.array([1, 2])}
DETECTION_3 = {"recall": 0.8, "per_image": 0.5}
ADDED = pd.DataFrame({"adds": [2.0, -1.0, 0.5]})
FIELDS = {"layer2": SimpleNamespace(size=99, step=8)}
FIVE = {"given_by_five": ["yes", "yes", "yes", "partly", "no"]}
RATED = {
    "table": pd.DataFrame({"wrong_aid": [False, True, False]}),
    "rating": pd.DataFrame({"ann": [1.0, 0.0, 0.5], "ben": [1.0, 1.0, 0.0], "cy": [0.5, None, 1]}),
}
SIMILAR = {"similar": pd.DataFrame({"ann": [2, 0, 1], "ben": [2, 0, 0]})}


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("detection 1", {}, 1 / 3, 0.5),
        ("detection 2", DETECTION_2, 2, 3),
        ("detection 3", DETECTION_3, 208.33, 2.5),
        ("prototypes 1", {}, 0.5818, 0.2),
        ("prototypes 3", {"added": ADDED}, -0.5, 1.5),
        ("prototypes 2", {"fields": FIELDS, "cut": "layer2"}, 115, 101),
        ("prototypes 4", {"low": -0.1}, "no", "yes"),
        ("prototypes 4", {"low": 0.1}, "yes", "no"),
        ("reading 1", FIVE, 0.3, 0.6),
        ("reading 2", {}, 0.9, 90),
        ("reading 3", RATED, "ben", "ann"),
        ("reading 4", SIMILAR, 2, 3),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"breast_masses/{exercise}", right, **names) == "Correct.\n"
    assert said(f"breast_masses/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"breast_masses/{exercise}", ..., **names) == "Not answered yet.\n"
