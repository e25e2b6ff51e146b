"""Size, masks in crops and radiomic features of drawn masses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.breast_masses.masses import (
    SIZE_ALONE,
    masks_of,
    radiomics,
    sizes,
    tabular,
)

BOX = {"x0": 8.0, "y0": 12.0, "x1": 24.0, "y1": 20.0}


def test_without_a_file_a_mass_is_the_ellipse_in_its_box():
    masks, drawn = masks_of(pd.DataFrame([BOX]), 32)
    assert not drawn[0]
    assert masks[0].sum() == pytest.approx(np.pi * 8 * 4, rel=0.05)
    assert masks[0, 12:20, 8:24].sum() == masks[0].sum()


def test_a_mask_of_the_whole_image_is_seen_through_the_crops_window(tmp_path):
    whole = np.zeros((100, 120), np.uint8)
    whole[40:56, 60:92] = 2  # 2 pixels of the image for one of the crop
    whole[0:10, 0:10] = 1
    Image.fromarray(whole).save(tmp_path / "mask.png")
    table = pd.DataFrame([BOX | {"mask": str(tmp_path / "mask.png")}])
    masks, drawn = masks_of(table, 32)
    assert drawn[0]
    expected = np.zeros((32, 32), bool)
    expected[12:20, 8:24] = True
    assert np.array_equal(masks[0], expected)


def test_a_mask_that_does_not_fill_the_box_is_not_used(tmp_path):
    whole = np.zeros((50, 50), np.uint8)
    whole[10:40, 10:20] = 1
    Image.fromarray(whole).save(tmp_path / "mask.png")
    table = pd.DataFrame([BOX | {"mask": str(tmp_path / "mask.png")}])
    assert not masks_of(table, 32)[1][0]


def test_size_is_the_diameter_or_else_the_boxs():
    known = pd.DataFrame([BOX | {"diameter_mm": 10.0}])
    assert sizes(known)["diameter"].tolist() == pytest.approx([np.log(10)])
    unknown = known.assign(diameter_mm=np.nan)
    assert sizes(unknown)["diameter"].tolist() == pytest.approx([np.log(128**0.5)])


@pytest.fixture(scope="module")
def described(disks_and_stars):
    masses = disks_and_stars(24)
    masks = np.stack([m > 0.5 for m in masses.pictures])
    return masses, radiomics(masses, masks, workers=1)


def test_radiomics_tell_disks_from_stars(described):
    masses, (features, failures) = described
    assert failures.empty
    assert features.shape == (24, 51)
    round_ = features["original_shape2D_Sphericity"]
    assert round_[masses.y == 0].min() > round_[masses.y == 1].max()


def test_a_mass_without_a_pixel_is_named_and_the_others_go_on(disks_and_stars):
    masses = disks_and_stars(3)
    masks = np.stack([m > 0.5 for m in masses.pictures])
    masks[1] = False
    features, failures = radiomics(masses, masks, workers=1)
    assert failures["subject"].tolist() == ["L1"]
    assert features.isna().all(axis=1).tolist() == [False, True, False]


def test_tabular_predictions_are_of_masses_in_the_networks_folds(described):
    masses, (features, _) = described
    who = masses.table.assign(label=masses.y)
    parts = patient_folds(who, 3, seed=0, group="patient")
    round_ = features[["original_shape2D_Sphericity"]]
    found = tabular(masses, round_, SIZE_ALONE, [parts], n_jobs=1)
    assert sorted(found["subject"]) == sorted(masses.table["lesion"])
    assert found["patient"].tolist() == masses.table["patient"].iloc[found["row"]].tolist()
    assert np.array_equal(found["y"], masses.y[found["row"]])
    assert found.loc[found["y"] == 1, "p"].min() > found.loc[found["y"] == 0, "p"].max()
    assert set(replace(masses).table["patient"]) == set(found["patient"])
