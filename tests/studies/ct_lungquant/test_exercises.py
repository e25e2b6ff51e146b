"""The exercises of these notebooks on arrays and tables of a few values, with answers by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

MASK = {"mask": np.ones((2, 3, 2), bool), "edges": (1.0, 2.0, 5.0)}
AFFECTED = pd.DataFrame({
    "subject": ["a", "b"],
    "dsc_lesions": [0.9, 0.3],
    "involvement": [10.0, 20.0],
    "truth_involvement": [12.0, 26.5],
})  # fmt: skip
IMAGE = sitk.GetImageFromArray(np.array([[[-500, -300, 0, 40]]], np.int16))
FOUND = SimpleNamespace(
    lungs=np.array([[[1, 1, 2, 0]]]),
    lesions=np.array([[[1, 1, 2, 0]]]),
    scan=SimpleNamespace(image=IMAGE, spacing=(10.0, 10.0, 5.0)),
)
HEALTHY = SimpleNamespace(lesions=np.zeros((1, 1, 4)))
HU = sitk.GetArrayViewFromImage(IMAGE)
VALUES = {"values": pd.DataFrame({"involvement": [4.0, 10.0, 27.0]})}
ROW = pd.Series({"involvement_right": 10, "involvement_left": 40, "right_ml": 3, "left_ml": 1})
AGREED = {"involvement": pd.DataFrame({"share": [0.0, 1.0, 0.5, 0.9]})}
CHOICES = pd.DataFrame({"question": ["zones", "zones", "type"], "auc": [0.8, 0.9, 0.99]})
CAUGHT = pd.DataFrame({"name": ["a", "b", "c"], "value": [100.0, 0.0, 0.0]})


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("segmentation 1", MASK, 0.12, 12),
        ("segmentation 3", {"affected": AFFECTED}, ("b", 6.5), ("a", 2.0)),
        ("segmentation 3", {"affected": AFFECTED}, ["b", 6.5], ("b", -6.5)),
        ("segmentation 2", {}, 1.5, 0.015),
        ("quantification 1", {"found": FOUND}, 1.0, 1000),
        ("quantification 2", {"found": FOUND, "hu": HU}, 2 / 3, 1 / 3),
        ("quantification 3", VALUES, 2, 1),
        ("quantification 4", {"row": ROW}, 17.5, 25),
        ("multicenter 2", {"agreed": AGREED}, 2, 1),
        ("multicenter 1", {}, 0.444, 0.8),
        ("multicenter 4", {}, 0.9545, 0.6),
        ("multicenter 3", {"tried": CHOICES, "chosen": {"zones": 0.85}}, 0.05, 0.14),
        ("structured_report 3", {"caught": CAUGHT}, ["c", "b"], "b"),
        ("structured_report 3", {"caught": CAUGHT}, {"b", "c"}, ["a", "b", "c"]),
        ("structured_report 4", {"errors_caught": 0.5}, 100, 5000),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"ct_lungquant/{exercise}", right, **names) == "Correct.\n"
    assert said(f"ct_lungquant/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"ct_lungquant/{exercise}", ..., **names) == "Not answered yet.\n"


@pytest.mark.parametrize(
    ("exercise", "names"),
    [
        ("segmentation 3", {"affected": AFFECTED[:0]}),
        ("quantification 2", {"found": HEALTHY, "hu": HU}),
        ("quantification 4", {"row": ROW * np.nan}),
        ("multicenter 3", {"tried": CHOICES[2:], "chosen": {"type": 0.9}}),
    ],
)
def test_without_lesions_lungs_or_an_auc_there_is_nothing_to_answer(said, exercise, names):
    answered = said(f"ct_lungquant/{exercise}", 1, **names)
    assert answered.startswith("These data have no answer")
    assert "(the solution gives" in answered  # it does not fail, so that no cell does
