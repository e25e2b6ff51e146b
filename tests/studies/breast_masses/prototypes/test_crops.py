"""Crops of masses: one scale for all, padded where the image ends, grouped by patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.prototypes.crops import crop, cut


def test_a_crop_at_the_scale_of_the_image_is_a_part_of_it():
    gray = np.random.default_rng(0).random((50, 60)).astype(np.float32)
    picture, told = crop(gray, np.array([20, 10, 30, 24]), 16, 1.0)
    np.testing.assert_allclose(picture, gray[9:25, 17:33], atol=1e-6)
    assert told == {"x0": 3, "y0": 1, "x1": 13, "y1": 15, "padded": 0}


@pytest.mark.parametrize(("box", "share"), [((0, 20, 10, 30), 3 / 16), ((55, 45, 65, 55), 0.75)])
def test_what_lies_beyond_the_image_is_black_and_said(box, share):
    picture, told = crop(np.ones((50, 60), np.float32), np.array(box), 16, 1.0)
    assert told["padded"] == pytest.approx(share)
    assert (picture < 0.5).mean() == pytest.approx(share)


def test_all_crops_have_one_scale_and_the_mass_in_their_middle(small_twin):
    crops = cut(small_twin, size=64, field_mm=48.0, workers=1).crops
    table = crops.table
    assert crops.pictures.shape == (len(small_twin.lesions), 64, 64)
    assert (table["spacing"] == 0.75).all()
    middle = (table["x0"] + table["x1"]) / 2
    np.testing.assert_allclose(middle, 32)
    diameter = np.sqrt((table["x1"] - table["x0"]) * (table["y1"] - table["y0"])) * 0.75
    assert (diameter / table["diameter_mm"]).between(0.8, 1.6).all()
    assert table["subject"].is_unique


def test_a_crop_keeps_what_is_known_of_its_mass(small_twin):
    crops = cut(small_twin, size=32, workers=1).crops
    known = small_twin.lesions.set_index(["subject", "lesion"])
    for row in crops.table.itertuples():
        mass = known.loc[(row.image, row.lesion)]
        assert (row.shape, row.margin, row.label) == (mass["shape"], mass["margin"], mass["label"])
        assert row.patient == mass["patient"]
    assert list(crops.patients) == crops.table["patient"].tolist()
    assert set(crops.y) == {0, 1}


def test_the_mask_of_a_crop_is_the_mass_as_large_as_it_is(small_twin):
    crops = cut(small_twin, size=96, field_mm=72.0, workers=1).crops
    area = crops.masks.sum((1, 2)) * 0.75**2
    np.testing.assert_allclose(area, np.pi / 4 * crops.table["diameter_mm"] ** 2, rtol=0.1)
    by_box = small_twin.lesions.assign(mask="")
    ellipses = cut(replace(small_twin, lesions=by_box), size=96, field_mm=72.0, workers=1).crops
    overlap = (ellipses.masks & crops.masks).sum((1, 2)) / crops.masks.sum((1, 2))
    assert overlap.min() > 0.75
    assert set(crops.table["mask_from"]) == {"file"}
    assert set(ellipses.table["mask_from"]) == {"box"}


def test_the_marker_lies_where_the_crop_says(small_twin):
    crops = cut(small_twin, size=112, workers=1).crops
    marked = crops.table["marker_x"].notna()
    assert marked.tolist() == crops.table["marker"].tolist()
    assert marked.any()
    for picture, row in zip(crops.pictures[marked], crops.table[marked].itertuples(), strict=True):
        y, x = np.mgrid[:112, :112] + 0.5
        far = np.hypot(x - row.marker_x, y - row.marker_y) * 0.5
        assert picture[np.abs(far - 3.0) < 0.6].mean() > picture[(far > 5) & (far < 8)].mean() + 0.2


def test_without_spacing_a_pixel_is_one_of_the_image_and_said(small_twin):
    unknown = replace(small_twin, images=small_twin.images.assign(spacing=np.nan))
    crops, *_, doubts = cut(unknown, size=40, workers=1)
    assert crops.table["spacing"].isna().all()
    assert doubts["problem"].str.contains("spacing is not known").all()
    first, mass = crops.table.iloc[0], small_twin.lesions.iloc[0]
    assert first["x1"] - first["x0"] == mass["x1"] - mass["x0"]


def test_masses_without_a_label_are_left_out(small_twin):
    lesions = small_twin.lesions.copy()
    lesions.loc[0, "label"] = None
    crops, failures, *_ = cut(replace(small_twin, lesions=lesions), size=32, workers=1)
    assert len(crops.y) == len(lesions) - 1
    assert failures["problem"].tolist() == ["a mass without a label"]
    unknown = lesions.assign(label=pd.array([None] * len(lesions), "Int64"))
    with pytest.raises(DataError, match="no mass is known to be benign or malignant"):
        cut(replace(small_twin, lesions=unknown))


def test_size_alone_tells_little(small_twin):
    crops = cut(small_twin, size=32, workers=1).crops
    assert 0.4 < roc_auc_score(crops.y, crops.table["diameter_mm"]) < 0.9
