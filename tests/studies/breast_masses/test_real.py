"""The real mammograms and crops, as they are given."""

from __future__ import annotations

import shutil

import pytest
from sklearn.metrics import roc_auc_score

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.image_file import (
    breast_mask,
    wall_side,
    widest_place,
)
from nextaim_kit.studies.breast_masses.mammograms.loading import load_mammograms
from nextaim_kit.studies.breast_masses.prototypes.crops import cut
from nextaim_kit.studies.breast_masses.prototypes.loading import read_crops


def test_subtracted_images_and_masks_of_no_mass_are_left_out(real):
    made = load_mammograms(str(real / "breast_prototypes"), workers=1)
    problems = made.left_out.set_index("subject")["problem"]
    assert problems.str.contains("contrast-enhanced").sum() == 6
    assert problems.str.contains("outlines no mass").sum() == 3
    assert len(made.images) == len(made.lesions) == 6
    assert made.images["label"].sum() == 4
    assert made.images["spacing"].isna().all()


def test_oblique_views_are_turned_to_lie_upright(real):
    images = load_mammograms(str(real / "breast_prototypes"), workers=1).images
    assert images["turned"].tolist() == (images["view"] == "MLO").tolist()
    for row in images.itertuples():
        breast = breast_mask(read_film(row.image).shown)
        assert wall_side(breast) == row.side
        assert row.view == "CC" or widest_place(breast[::-1]) > 0.55


def test_half_of_the_folder_is_read_without_its_table_too(real, tmp_path):
    source = real / "breast_prototypes"
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for path in sorted((source / name).iterdir())[:8]:
            shutil.copy(path, tmp_path / name)
    made = load_mammograms(str(tmp_path), workers=1)
    assert made.images["patient"].str.fullmatch(r"P\d+").all()
    assert set(made.images["side"]) <= {"L", "R"}
    assert made.images["label"].isna().all()
    with pytest.raises(DataError, match="no mass is known to be benign or malignant"):
        cut(made)


def test_size_alone_reaches_065_on_the_real_crops(real):
    crops = read_crops(str(real / "breast_prototypes" / "mias_crops")).crops
    assert len(crops.y) == 82
    assert roc_auc_score(crops.y, crops.table["diameter_mm"]) == pytest.approx(0.655, abs=0.01)
    masses = crops.table[crops.table["is_mass"]]
    assert (len(masses), masses["label"].sum()) == (44, 15)
    assert len(set(crops.patients)) < 82
