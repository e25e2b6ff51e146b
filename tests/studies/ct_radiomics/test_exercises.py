"""The exercises of these notebooks on tables of a few rows, with answers found by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.studies.ct_radiomics.subject import read_subject

SITES = pd.DataFrame({"site": ["A", "A", "B", "B"], "label": [1, 0, 1, 1]})
EVEN = SITES.assign(label=[1, 0, 0, 1])
UNKNOWN = SITES.assign(label=pd.array([None] * 4, "Int64"))
FEATURES = pd.DataFrame({
    "original_shape_MeshVolume": [1.0, 2.0, 3.0, 4.0],
    "original_firstorder_Energy": [1.0, 2.0, 3.0, 4.0],
    "original_glcm_Contrast": [4.0, 3.0, 2.0, 1.0],
    "original_glrlm_RunEntropy": [1.0, 3.0, 2.0, 4.0],
    "original_ngtdm_Busyness": [7.0, 6.0, 5.0, 1.0],
})  # fmt: skip
NAMES = list(FEATURES)
RANKED = {"features": FEATURES.assign(lesion_volume_ml=[10.0, 20.0, 30.0, 90.0]), "names": NAMES}
ALIKE = {"features": FEATURES.assign(lesion_volume_ml=10.0), "names": NAMES}
PREDICTIONS = pd.DataFrame({"y": [1, 1, 1, 0, 1], "p": [0.5, 0.4, 0.9, 0.8, 0.6]})
RATES = {"sensitivity": np.float64(0.8), "specificity": np.float64(0.8)}
NOBODY = {"sensitivity": np.float64(0.0), "specificity": np.float64(1.0)}
Q_VALUES = pd.DataFrame(
    {"q_after": [0.02, 0.3, 0.01, 0.049], "q_beyond_volume_after": [0.3, 0.5, 0.01, 0.05]}
)


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("extraction 1", {"table": SITES}, "B", "A"),
        ("extraction 1", {"table": EVEN}, "A", "C"),
        ("extraction 1", {"table": EVEN}, "B", "C"),
        ("extraction 3", RANKED, "original_glcm_Contrast", "original_shape_MeshVolume"),
        ("extraction 3", RANKED, "original_ngtdm_Busyness", "original_glrlm_RunEntropy"),
        ("severity 1", {"predictions": PREDICTIONS}, 3 / 4, 1 / 4),
        ("severity 3", RATES, 80 / (80 + 180), 0.8),
        ("severity 2", {"low": 0.01, "high": 0.1}, "yes", "no"),
        ("severity 2", {"low": -0.01, "high": 0.1}, "no", "yes"),
        ("site_effect 1", {}, 0.03, 2 / 99),
        ("site_effect 2", {"names": ["feature"] * 300}, 15, 300),
        ("site_effect 3", {"labeled": True, "significance": Q_VALUES}, 2, 3),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"ct_radiomics/{exercise}", right, **names) == "Correct.\n"
    assert said(f"ct_radiomics/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"ct_radiomics/{exercise}", ..., **names) == "Not answered yet.\n"


@pytest.mark.parametrize(
    ("exercise", "names"),
    [
        ("extraction 1", {"table": UNKNOWN}),
        ("extraction 3", ALIKE),
        ("severity 1", {"predictions": PREDICTIONS[PREDICTIONS["y"] == 0]}),
        ("severity 3", NOBODY),
        ("site_effect 3", {"labeled": False}),
    ],
)
def test_a_cohort_without_outcomes_or_of_one_volume_has_nothing_to_answer(said, exercise, names):
    answered = said(f"ct_radiomics/{exercise}", 1, **names)
    assert answered.startswith("These data have no answer")
    assert "(the solution gives" in answered  # it does not fail, so that no cell does


def test_the_volume_is_that_of_the_label_that_was_measured(said, tmp_path):
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[1:3, 1:3, 1:4], mask[4] = 2, 1
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "mask")}
    for file, values in zip(files.values(), (mask.astype(np.int16), mask), strict=True):
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((1, 2, 5))
        sitk.WriteImage(image, file)
    _, lesion = read_subject(files | {"mask_label": 2})
    assert said("ct_radiomics/extraction 2", 12 * 10 / 1000, lesion=lesion) == "Correct.\n"
    assert said("ct_radiomics/extraction 2", 0.42, lesion=lesion).startswith("Not yet.")
    assert "1,000 times too large" in said("ct_radiomics/extraction 2", 120, lesion=lesion)
