"""The exercises of these notebooks on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

CALLED = {"probability": np.array([0.5, 0.2, 0.6, 1.0]), "truth": np.array([0, 0, 1, 1])}
MASKS = {"one": np.array([1, 1, 0, 0], bool), "other": np.array([1, 0, 1, 0], bool)}
SCORES = pd.DataFrame({"subject": ["a", "b", "c"], "dsc": [0.5, 0.9, 0.8], "hd95": [3.0, 9.0, 1.0]})
MODELS = pd.DataFrame({
    "name": ["fusion", "image branch", "clinical, XGBoost", "view only", "view only"],
    "metric": ["auc", "auc", "auc", "auc", "brier"],
    "value": [0.9, 0.8, 0.85, 0.7, 0.99],
})  # fmt: skip
RATES = {"sensitivity": np.float64(0.8), "specificity": np.float64(0.8)}
NOBODY = {"sensitivity": np.float64(0.0), "specificity": np.float64(1.0)}
PEOPLE = pd.DataFrame({"y": [1, 1, 0, 1], "called": [True, False, False, False]})


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("gray_level 1", {}, lambda film: 255 - film, lambda film: -film),
        ("gray_level 2", CALLED, 0.1125, 0.275),
        ("gray_level 3", {}, 110, 11),
        ("lung_segmentation 2", MASKS, 0.5, 1 / 3),
        ("lung_segmentation 3", {"scores": SCORES}, "b", "a"),
        ("lung_segmentation 1", {}, 7, 0.7),
        ("severity 1", {"models": MODELS}, 0.05, 0.85),
        ("severity 4", RATES, 50, 80),
        ("severity 3", {"people": PEOPLE}, 2, 1),
        ("severity 2", {"low": 0.01}, "yes", "no"),
        ("severity 2", {"low": -0.01}, "no", "yes"),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"cxr_severity/{exercise}", right, **names) == "Correct.\n"
    assert said(f"cxr_severity/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"cxr_severity/{exercise}", ..., **names) == "Not answered yet.\n"


@pytest.mark.parametrize(
    ("exercise", "names"),
    [
        ("lung_segmentation 2", {"one": np.zeros(4, bool), "other": np.zeros(4, bool)}),
        ("lung_segmentation 3", {"scores": SCORES.assign(hd95=np.nan)}),
        ("severity 4", NOBODY),
    ],
)
def test_without_lungs_or_calls_there_is_nothing_to_answer(said, exercise, names):
    answered = said(f"cxr_severity/{exercise}", 1, **names)
    assert answered.startswith("These data have no answer")
    assert "(the solution gives" in answered  # it does not fail, so that no cell does
