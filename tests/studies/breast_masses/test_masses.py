"""Size, masks in crops and radiomic features of drawn masses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from nextaim_kit.errors import DataError
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.breast_masses.masses import (
    SIZE_ALONE,
    beside,
    load_masses,
    markers_of,
    radiomics,
    sizes,
    tabular,
)

BOX = {"x0": 8.0, "y0": 12.0, "x1": 24.0, "y1": 20.0}


def test_markers_are_disks_where_the_table_says():
    table = pd.DataFrame({"marker_x": [20.0, np.nan], "marker_y": [10.0, np.nan], "spacing": 0.5})
    found = markers_of(table, 32)
    assert found[0].sum() == pytest.approx(np.pi * 8**2, rel=0.05)
    assert found[0, 10, 20]
    assert not found[1].any()
    assert not markers_of(table[["spacing"]], 32).any()


def test_size_is_the_diameter_or_else_the_boxs():
    known = pd.DataFrame([BOX | {"diameter_mm": 10.0}])
    assert sizes(known)["diameter"].tolist() == pytest.approx([np.log(10)])
    unknown = known.assign(diameter_mm=np.nan)
    assert sizes(unknown)["diameter"].tolist() == pytest.approx([np.log(128**0.5)])


@pytest.fixture(scope="module")
def described(disks_and_stars):
    masses = disks_and_stars(24)
    return masses, radiomics(masses, workers=1)


def test_radiomics_tell_disks_from_stars(described):
    masses, (features, failures) = described
    assert failures.empty
    assert features.shape == (24, 51)
    round_ = features["original_shape2D_Sphericity"]
    assert round_[masses.y == 0].min() > round_[masses.y == 1].max()


def test_a_mass_without_a_pixel_is_named_and_the_others_go_on(disks_and_stars):
    masses = disks_and_stars(3)
    masses.masks[1] = False
    features, failures = radiomics(masses, workers=1)
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
    found = load_masses(str(crop_folder), size=32, field_mm=20)
    assert found.masses.table["subject"].tolist() == ["0", "1", "3"]
    assert found.set_aside["problem"].tolist() == ["no mass: CALC"]
    assert found.failures.empty


def test_a_picture_under_two_names_counts_once(crop_folder):
    (crop_folder / "3.png").write_bytes((crop_folder / "0.png").read_bytes())
    found = load_masses(str(crop_folder), size=32, field_mm=20)
    assert found.masses.table["subject"].tolist() == ["0", "1"]
    assert "under another name" in found.set_aside["problem"].iloc[-1]


def test_masses_of_one_class_are_refused(crop_folder):
    table = pd.read_csv(crop_folder / "labels.csv").assign(label="B")
    table.to_csv(crop_folder / "labels.csv", index=False)
    with pytest.raises(DataError, match="all of one class"):
        load_masses(str(crop_folder), size=32, field_mm=20)


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
    masses = load_masses("synthetic", twin=lambda: small_twin, size=48, field_mm=56).masses
    assert (masses.table["mask_from"] == "file").all()
    assert masses.masks[:, 20:28, 20:28].any((1, 2)).all()
    marked = markers_of(masses.table, 48).any((1, 2))
    assert marked.sum() == masses.table["marker_x"].between(-8, 56).sum()
    assert (masses.table["lesion"] != masses.table["subject"]).any()


def test_of_the_82_real_crops_44_are_masses(real):
    place = str(real / "breast_prototypes" / "mias_crops")
    found = load_masses(place, size=48, field_mm=20)
    assert (len(found.masses.y), found.masses.y.sum()) == (44, 15)
    assert found.masses.table["patient"].nunique() == 39
    assert len(found.set_aside) == 38
    parts = patient_folds(found.masses.table, 3, seed=0, group="patient")
    tested = tabular(found.masses, sizes(found.masses.table), SIZE_ALONE, [parts], n_jobs=1)
    assert len(tested) == 44
