"""The checks of the exercises accept what is right, and only that."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.studies.ct_lungquant.exercises import quantification as exercises

IMAGE = sitk.GetImageFromArray(np.array([[[-500, -300, 0, 40]]], np.int16))
FOUND = SimpleNamespace(
    lungs=np.array([[[1, 1, 2, 0]]]),
    lesions=np.array([[[1, 1, 2, 0]]]),
    scan=SimpleNamespace(image=IMAGE, spacing=(10.0, 10.0, 5.0)),
)
VALUES = pd.DataFrame({"involvement": [4.0, 10.0, 27.0]})
ROW = pd.Series({"involvement_right": 10, "involvement_left": 40, "right_ml": 3, "left_ml": 1})


@pytest.mark.parametrize(
    ("check", "given", "right", "wrong"),
    [
        (exercises.check_volume, (FOUND,), 1.0, 1000),
        (exercises.check_consolidation, (FOUND, -400), 2 / 3, 1 / 3),
        (exercises.check_near_border, (VALUES, 2, (5, 25)), 2, 1),
        (exercises.check_whole_patient, (ROW,), 17.5, 25),
    ],
)
def test_an_exercise_tells_right_from_wrong(capsys, monkeypatch, check, given, right, wrong):
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)
    for answer, said in (
        (right, "Correct."),
        (wrong, "Not yet. Hint:"),
        (..., "Not answered yet."),
    ):
        check(answer, *given)
        assert capsys.readouterr().out.startswith(said)
