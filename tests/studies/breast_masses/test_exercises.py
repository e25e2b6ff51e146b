"""The exercises of these notebooks on a few rows, with answers found by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

MARKS = pd.DataFrame({"row": [0, 1, 1, 2], "score": [0.9, 0.8, 0.1, 0.7]})
DETECTION_2 = {"one": MARKS, "at_least": 0.5, "normal": np.array([1, 2])}
DETECTION_3 = {"recall": 0.8, "per_image": 0.5}


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("detection 1", {}, 1 / 3, 0.5),
        ("detection 2", DETECTION_2, 2, 3),
        ("detection 3", DETECTION_3, 208.33, 2.5),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"breast_masses/{exercise}", right, **names) == "Correct.\n"
    assert said(f"breast_masses/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"breast_masses/{exercise}", ..., **names) == "Not answered yet.\n"
