"""Size and radiomic features of drawn masses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.breast_masses.prototypes.baselines import (
    SIZE_ALONE,
    radiomics,
    sizes,
    tabular,
)

BOX = {"x0": 8.0, "y0": 12.0, "x1": 24.0, "y1": 20.0}


def test_size_is_the_diameter_or_else_the_boxs():
    known = pd.DataFrame([BOX | {"diameter_mm": 10.0}])
    assert sizes(known)["diameter"].tolist() == pytest.approx([np.log(10)])
    unknown = known.assign(diameter_mm=np.nan)
    assert sizes(unknown)["diameter"].tolist() == pytest.approx([np.log(128**0.5)])


@pytest.fixture(scope="module")
def described(disks_and_stars):
    crops = disks_and_stars(24)
    return crops, radiomics(crops, workers=1)


def test_radiomics_tell_disks_from_stars(described):
    crops, (features, failures) = described
    assert failures.empty
    assert features.shape == (24, 51)
    round_ = features["original_shape2D_Sphericity"]
    assert round_[crops.y == 0].min() > round_[crops.y == 1].max()


def test_a_mass_without_a_pixel_is_named_and_the_others_go_on(disks_and_stars):
    crops = disks_and_stars(3)
    crops.masks[1] = False
    features, failures = radiomics(crops, workers=1)
    assert failures["subject"].tolist() == ["L1"]
    assert features.isna().all(axis=1).tolist() == [False, True, False]


def test_tabular_predictions_are_of_masses_in_the_networks_folds(described):
    crops, (features, _) = described
    who = crops.table.assign(label=crops.y)
    parts = patient_folds(who, 3, seed=0, group="patient")
    round_ = features[["original_shape2D_Sphericity"]]
    found = tabular(crops, round_, SIZE_ALONE, [parts], n_jobs=1)
    assert sorted(found["subject"]) == sorted(crops.table["lesion"])
    assert found["patient"].tolist() == crops.table["patient"].iloc[found["row"]].tolist()
    assert np.array_equal(found["y"], crops.y[found["row"]])
    assert found.loc[found["y"] == 1, "p"].min() > found.loc[found["y"] == 0, "p"].max()
    assert set(replace(crops).table["patient"]) == set(found["patient"])
