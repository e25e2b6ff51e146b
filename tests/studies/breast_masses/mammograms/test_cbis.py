"""CBIS-DDSM's layout is read back exactly, with its old words and its mix-ups."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.mammograms.cbis import (
    MARGINS,
    SHAPES,
    is_cbis,
    most_suspicious,
)
from nextaim_kit.studies.breast_masses.mammograms.loading import load_mammograms


@pytest.fixture
def few(small_twin):
    """The images of two patients of each hospital."""
    wanted = small_twin.images.groupby("site")["patient"].transform(
        lambda p: p.isin(p.unique()[:2])
    )
    return small_twin.only(small_twin.images["subject"][wanted])


@pytest.mark.parametrize("mixed_up", [False, True])
def test_what_is_read_is_what_was_written(few, write_cbis, tmp_path, mixed_up):
    write_cbis(few, tmp_path, mixed_up)
    read = load_mammograms(str(tmp_path), workers=1)
    key = few.images.set_index("subject")["digest"]
    twin = few.lesions.assign(digest=few.lesions["subject"].map(key))
    real = read.lesions.assign(
        digest=read.lesions["subject"].map(read.images.set_index("subject")["digest"])
    )
    same = ["digest", "x0", "y0", "x1", "y1", "label", "shape", "margin"]
    order = ["digest", "x0", "y0"]
    pd.testing.assert_frame_equal(
        real[same].sort_values(order, ignore_index=True),
        twin[same].sort_values(order, ignore_index=True),
    )
    assert len(read.left_out) == 0
    assert (read.images["split"] == "Training").all()
    assert set(read.images["density"]) == set(few.images.loc[few.images["masses"] > 0, "density"])


def test_a_mass_has_one_name_in_both_views(few, write_cbis, tmp_path):
    write_cbis(few, tmp_path)
    lesions = load_mammograms(str(tmp_path), workers=1).lesions
    assert lesions["lesion"].str.fullmatch(r"P_\d{5}_(LEFT|RIGHT)_\d").all()
    assert (lesions["lesion"].value_counts() == 2).all()


def test_a_case_without_its_mask_or_image_is_left_out(few, write_cbis, tmp_path):
    cases = write_cbis(few, tmp_path)
    (tmp_path / cases["ROI mask file path"][0]).unlink()
    (tmp_path / cases["image file path"].iloc[-1]).unlink()
    read = load_mammograms(str(tmp_path), workers=1)
    problems = read.left_out.set_index("subject")["problem"]
    assert len(problems) == 2
    assert problems.str.contains("cannot be told which picture is the mask").sum() == 1
    assert problems.str.contains("one file is expected in its folder, there are 0").sum() == 1


@pytest.mark.parametrize(
    ("words", "known", "meant"),
    [("LOBULATED", SHAPES, "oval"), ("ARCHITECTURAL_DISTORTION", SHAPES, "distortion"),
     ("IRREGULAR-ARCHITECTURAL_DISTORTION", SHAPES, "irregular"),
     ("ROUND-IRREGULAR-ARCHITECTURAL_DISTORTION", SHAPES, "irregular"),
     ("ILL_DEFINED-SPICULATED", MARGINS, "spiculated"), ("N/A", MARGINS, ""),
     ("CIRCUMSCRIBED-MICROLOBULATED-ILL_DEFINED", MARGINS, "indistinct")],
)  # fmt: skip
def test_old_and_joined_words_are_understood(words, known, meant):
    assert most_suspicious(words, known) == meant


def test_the_words_of_the_table_are_kept_beside(few, write_cbis, tmp_path):
    cases = write_cbis(few, tmp_path)
    cases["mass shape"] = "LOBULATED-ARCHITECTURAL_DISTORTION"
    cases.to_csv(tmp_path / "mass_case_description_train_set.csv", index=False)
    lesions = load_mammograms(str(tmp_path), workers=1).lesions
    assert set(lesions["shape"]) == {"distortion"}
    assert lesions["words"].str.startswith("LOBULATED-ARCHITECTURAL_DISTORTION ").all()


def test_a_table_without_a_column_is_refused(few, write_cbis, tmp_path):
    table = tmp_path / "mass_case_description_train_set.csv"
    write_cbis(few, tmp_path).drop(columns="pathology").to_csv(table, index=False)
    with pytest.raises(DataError, match="no column 'pathology'"):
        load_mammograms(str(tmp_path), workers=1)


def test_other_tables_are_not_taken_for_its(tmp_path):
    (tmp_path / "cohort.csv").write_text("subject,image\n")
    (tmp_path / "calc_case_description_train_set.csv").write_text(
        "patient_id,calc type,ROI mask file path\n"
    )
    assert not is_cbis(tmp_path)
