"""Exercises are checked by the reader's own data, and end no run of theirs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.errors import RunError
from nextaim_kit.studies.ct_radiomics import exercises
from nextaim_kit.studies.ct_radiomics.subject import read_subject


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.setenv("NEXTAIM_PROVE", "1")


def test_the_volume_is_that_of_the_label_that_was_measured(tmp_path, capsys):
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1:3, 1:3, 1:4], mask[4] = 2, 1
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "mask")}
    for file, values in zip(files.values(), (mask.astype(np.int16), mask), strict=True):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((1, 2, 5))
        sitk.WriteImage(image, file)
    _, lesion = read_subject(files | {"mask_label": 2})
    exercises.check_volume(12 * 10 / 1000, lesion)
    assert capsys.readouterr().out == "Correct.\n"
    with pytest.raises(RunError, match="solution of an exercise is wrong"):
        exercises.check_volume(0.42, lesion)


def test_the_precision_elsewhere_is_that_of_bayes(capsys):
    exercises.check_ppv_elsewhere(0.08 / (0.08 + 0.18), 0.8, 0.8)
    exercises.check_ppv_elsewhere(float("nan"), 0.0, 1.0)
    assert capsys.readouterr().out.splitlines() == [
        "Correct.",
        "Nobody is called severe: there is nothing to answer.",
    ]


def test_a_cohort_without_outcomes_or_of_one_volume_has_nothing_to_answer(capsys):
    cohort = pd.DataFrame({"site": ["A", "B"], "label": pd.array([None, None], "Int64")})
    exercises.check_most_severe_site(..., cohort)
    alike = pd.DataFrame({"original_glcm_Contrast": [1.0, 2.0], "lesion_volume_ml": [3.0, 3.0]})
    exercises.check_follows_volume(..., alike)
    said = capsys.readouterr().out
    assert "nothing to answer" in said
    assert "nothing to rank" in said
