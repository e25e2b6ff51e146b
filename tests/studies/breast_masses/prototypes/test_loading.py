"""Crops of a cohort: read, set aside, held apart from those that were trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.errors import DataError
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.breast_masses.prototypes.baselines import SIZE_ALONE, sizes, tabular
from nextaim_kit.studies.breast_masses.prototypes.loading import beside, load_crops, read_crops


@pytest.fixture
def mias(tmp_path):
    """Three crops named as those of mini-MIAS, and a further one."""
    gray = (np.arange(90 * 90).reshape(90, 90) % 251).astype(np.uint8)
    rows = ["mdb001_1_CIRC_B.png,B,CIRC,w1,15", "mdb002_1_SPIC_M.png,M,SPIC,w1,10",
            "mdb003_1_CALC_M.png,M,CALC,w2,4", "other.png,,MISC,w3,5"]  # fmt: skip
    for row in rows:
        Image.fromarray(gray).save(tmp_path / row.split(",")[0])
    (tmp_path / "labels.csv").write_text("file,label,cls,subject,radius\n" + "\n".join(rows))
    return str(tmp_path)


def test_a_folder_of_crops_is_read(mias):
    crops, failures, *_ = read_crops(mias, size=36, field_mm=36.0)
    assert crops.y.tolist() == [0, 1, 1]
    assert crops.patients.tolist() == ["w1", "w1", "w2"]
    assert crops.table["is_mass"].tolist() == [True, True, False]
    assert crops.table["diameter_mm"].tolist() == [6.0, 4.0, pytest.approx(1.6)]
    assert crops.table["padded"].tolist() == [pytest.approx(0.75)] * 3  # 18 of 36 mm
    assert failures["subject"].tolist() == ["other"]
    assert crops.masks[0].sum() == pytest.approx(np.pi * 3**2, abs=5)  # pixels of 1 mm


def test_a_crop_fills_the_picture_where_that_is_asked_for(mias):
    crops = read_crops(mias, size=45, fit="crop").crops
    assert (crops.table["padded"] == 0).all()
    assert crops.table["spacing"].tolist() == [0.4] * 3
    assert crops.table[["x0", "x1"]].iloc[0].tolist() == [15, 30]


@pytest.fixture
def cut_by_size(tmp_path):
    """Noise of one grain in files that are three radii wide, without a column that tells them."""
    rng, rows = np.random.default_rng(0), []
    for k, edge in enumerate((40, 60, 90, 120)):
        Image.fromarray(rng.integers(0, 255, (edge, edge)).astype(np.uint8)).save(
            tmp_path / f"{k}.png"
        )
        rows.append({"file": f"{k}.png", "label": "BM"[k // 2], "spacing": 0.2})
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    return str(tmp_path)


def test_a_frame_tells_how_large_a_file_is_and_can_be_taken_out(cut_by_size):
    framed, filled = (read_crops(cut_by_size, size=32, field_mm=24.0, fit=f).crops
                      for f in ("field", "crop"))  # fmt: skip
    assert framed.table["padded"].is_monotonic_decreasing
    assert (filled.table["padded"] == 0).all()
    steps = np.abs(np.diff(filled.pictures, axis=2)).mean((1, 2)) / filled.pictures.std((1, 2))
    assert steps.max() / steps.min() < 1.25  # no file is more blurred than another
    assert sizes(filled.table)["diameter"].is_monotonic_increasing


def test_without_a_radius_a_third_of_the_file_is_taken_and_said(cut_by_size):
    crops, _, _, doubts = read_crops(cut_by_size, size=32)
    assert crops.table["diameter_mm"].tolist() == pytest.approx([5.333, 8, 12, 16], abs=1e-3)
    assert set(crops.table["mask_from"]) == {"edge"}
    assert doubts["problem"].str.contains("radius is not known").all()
    assert crops.masks.any((1, 2)).all()


@pytest.mark.parametrize(
    ("text", "found"),
    [("file,outcome\na.png,B\n", "no column 'label'"), ("file,label\na.png,X\n", "not known: x"),
     ("file,label\nlost.png,B\n", "names no crop that can be used")],
)  # fmt: skip
def test_a_table_of_crops_that_cannot_be_used_is_refused(tmp_path, text, found):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=found):
        read_crops(str(tmp_path))


@pytest.fixture
def crop_folder(tmp_path):
    """Writes crops, of which one is a calcification, as mini-MIAS' are kept."""
    rng = np.random.default_rng(0)
    rows = []
    for k, (of, label) in enumerate([("CIRC", "B"), ("SPIC", "M"), ("CALC", "M"), ("CIRC", "B")]):
        Image.fromarray(rng.integers(0, 255, (60, 60)).astype(np.uint8)).save(tmp_path / f"{k}.png")
        row = {"file": f"{k}.png", "cls": of, "label": label, "subject": f"w{k}"}
        rows.append(row | {"radius": 10, "spacing": 0.2})
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_what_is_no_mass_is_set_aside_and_said(crop_folder):
    found = load_crops(str(crop_folder), size=32, field_mm=20)
    assert found.crops.table["subject"].tolist() == ["0", "1", "3"]
    assert found.set_aside["problem"].tolist() == ["no mass: CALC"]
    assert found.failures.empty


def test_a_picture_under_two_names_counts_once(crop_folder):
    (crop_folder / "3.png").write_bytes((crop_folder / "0.png").read_bytes())
    found = load_crops(str(crop_folder), size=32, field_mm=20)
    assert found.crops.table["subject"].tolist() == ["0", "1"]
    assert "under another name" in found.set_aside["problem"].iloc[-1]


def test_masses_of_one_class_are_refused(crop_folder):
    table = pd.read_csv(crop_folder / "labels.csv").assign(label="B")
    table.to_csv(crop_folder / "labels.csv", index=False)
    with pytest.raises(DataError, match="all of one class"):
        load_crops(str(crop_folder), size=32, field_mm=20)


def test_another_cohort_loses_the_patients_and_pictures_that_were_trained_on(disks_and_stars):
    here, there = disks_and_stars(10), disks_and_stars(10, seed=1)
    other = there.table["patient"].map(lambda name: f"Q{name}")
    table = there.table.assign(patient=other)
    table.loc[0, "patient"] = "P0"
    pictures = there.pictures.copy()
    pictures[1] = here.pictures[5]
    both, rows, left = beside(here, replace(there, pictures=pictures, table=table))
    assert left["problem"].tolist() == ["its patient was trained on", "its picture was trained on"]
    assert rows.tolist() == list(range(10, 18))
    assert np.array_equal(both.pictures[10], there.pictures[2])
    with pytest.raises(DataError, match="every mass of the other cohort was trained on"):
        beside(here, here)


def test_the_twins_masses_come_with_outlines_and_markers(small_twin):
    crops = load_crops("synthetic", twin=lambda: small_twin, size=48, field_mm=56).crops
    assert (crops.table["mask_from"] == "file").all()
    assert crops.masks[:, 20:28, 20:28].any((1, 2)).all()
    marked = crops.markers.any((1, 2))
    assert marked.sum() == crops.table["marker_x"].between(-8, 56).sum()
    assert (crops.table["lesion"] != crops.table["subject"]).any()


def test_of_the_82_real_crops_44_are_masses(real):
    place = str(real / "breast_prototypes" / "mias_crops")
    found = load_crops(place, size=48, field_mm=20)
    assert (len(found.crops.y), found.crops.y.sum()) == (44, 15)
    assert found.crops.table["patient"].nunique() == 39
    assert len(found.set_aside) == 38
    parts = patient_folds(found.crops.table, 3, seed=0, group="patient")
    tested = tabular(found.crops, sizes(found.crops.table), SIZE_ALONE, [parts], n_jobs=1)
    assert len(tested) == 44
