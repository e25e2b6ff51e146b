"""The twin: counts, files, truth, scans, geometry, and that it can be made again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.data.cohort.loading import load_cohort, problems
from nextaim_kit.data.images.reading import check_geometry, read_image
from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.definitions import ct_ss
from nextaim_kit.studies.ct_lungquant.twin import make_twin, scanned_again
from nextaim_kit.twins.chest_ct.population import COUNTS, SITES, TOTAL, patients

PATHS = ("image", "lungs", "lesions")
SMALL = {"size": (56, 42, 36), "workers": 1}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("twin")


@pytest.fixture
def twin(cache, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(cache))
    return make_twin(12, **SMALL)


def array(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def oriented(path):
    return sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS"))


def digests(table, *columns):
    files = [f for name in columns or PATHS for f in table[name]]
    return [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]


def test_sites_have_their_counts_and_scan_in_their_own_way():
    table = patients()
    counted = table.groupby("site")["label"].agg(["sum", "size"])
    assert {s: (r["sum"], r["size"] - r["sum"]) for s, r in counted.iterrows()} == COUNTS
    assert len(table) == TOTAL == 200
    for name, site in SITES.items():
        part = table[table["site"] == name]
        assert set(part["slice_mm"]) == set(site.slices_mm)
        assert (part["kernel"] == "sharp").mean() == pytest.approx(site.sharp, abs=0.18)


def test_the_label_is_a_quarter_of_the_lungs_and_every_class_is_there():
    table = patients()
    assert ((table["truth_involvement"] >= 25) == (table["label"] == 1)).all()
    classes = table["truth_involvement"].map(ct_ss).value_counts()
    assert set(classes.index) == {1, 2, 3, 4, 5}
    assert (table["truth_involvement"] == 0).any()


def test_a_patient_is_the_same_however_many_there_are():
    few, all_ = patients(30).set_index("subject"), patients().set_index("subject")
    pd.testing.assert_frame_equal(few, all_.loc[few.index])


def test_another_seed_draws_other_patients():
    one, other = patients(20), patients(20, seed=1)
    assert not np.allclose(one["truth_involvement"], other["truth_involvement"])


def test_it_is_a_cohort_that_the_schema_accepts(twin):
    cohort = load_cohort("synthetic", twin=lambda: twin, columns=PATHS)
    assert not len(problems(cohort))
    assert list(cohort.columns[:6]) == ["subject", "site", "label", *PATHS]
    assert {"slice_mm", "kernel", "truth_involvement", "truth_ct_ss"} <= set(cohort.columns)


def test_it_is_byte_for_byte_the_same_in_another_cache_by_other_workers(
    twin, tmp_path, monkeypatch
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    again = make_twin(12, **SMALL | {"workers": 2})
    assert Path(again["image"][0]).is_relative_to(tmp_path)
    assert digests(again) == digests(twin)
    same = [c for c in twin if c not in PATHS]
    pd.testing.assert_frame_equal(again[same], twin[same])


def test_what_is_missing_is_made_and_the_rest_is_left_alone(twin):
    whole, path = digests(twin), Path(twin["image"][3])
    before = Path(twin["image"][0]).stat().st_mtime_ns
    path.unlink()
    assert digests(make_twin(12, **SMALL)) == whole
    assert Path(twin["image"][0]).stat().st_mtime_ns == before


def test_another_seed_makes_other_images(twin):
    other = make_twin(12, seed=1, **SMALL)
    assert not set(digests(other)) & set(digests(twin, "image", "lungs"))


def test_image_and_masks_are_ct_and_labels_on_one_grid(twin):
    for row in twin.itertuples():
        image, lungs, lesions = (read_image(getattr(row, name)) for name in PATHS)
        check_geometry(image, lungs)
        check_geometry(image, lesions)
        assert image.GetPixelID() == sitk.sitkInt16
        assert set(np.unique(array(row.lungs))) == {0, 1, 2}
        assert set(np.unique(array(row.lesions))) <= {0, 1, 2}


def test_volumes_are_known_to_the_voxel(twin):
    for row in twin.itertuples():
        lungs, lesions = array(row.lungs), array(row.lesions)
        assert not lesions[lungs == 0].any()
        ml = np.prod(read_image(row.image).GetSpacing()) / 1000
        assert (lungs == 1).sum() * ml == pytest.approx(row.truth_right_ml, abs=0.01)
        assert (lungs == 2).sum() * ml == pytest.approx(row.truth_left_ml, abs=0.01)
        assert (lesions > 0).sum() * ml == pytest.approx(row.truth_lesions_ml, abs=0.01)


def test_what_was_drawn_is_what_was_planted(twin):
    drawn = patients(12)
    step = 50 / 4000  # half a voxel, in % of the smallest lungs
    np.testing.assert_allclose(twin["truth_involvement"], drawn["truth_involvement"], atol=step)
    assert ((twin["truth_involvement"] >= 25) == (twin["label"] == 1)).all()


def test_the_right_lung_is_on_the_patients_right(twin):
    for path in twin["lungs"]:
        lungs = nibabel.load(path)
        labels = np.asarray(lungs.dataobj)
        x = [
            nibabel.affines.apply_affine(lungs.affine, np.argwhere(labels == k))[:, 0].mean()
            for k in (1, 2)
        ]
        assert x[0] > 20  # NIfTI's x points to the right
        assert x[1] < -20


def test_turned_and_flipped_every_voxel_keeps_its_place(twin):
    other = make_twin(12, axes="SAR", **SMALL)
    row, same = other.iloc[0], twin.iloc[0]
    assert "".join(nibabel.aff2axcodes(nibabel.load(row["image"]).affine)) == "SAR"
    assert array(row["image"]).shape != array(same["image"]).shape
    for name in PATHS:
        np.testing.assert_array_equal(oriented(row[name]), oriented(same[name]))


def test_another_kernel_changes_those_images_and_no_mask(twin):
    other = make_twin(12, kernel="sharp", **SMALL)
    assert (other["kernel"] == "sharp").all()
    assert digests(other, "lungs", "lesions") == digests(twin, "lungs", "lesions")
    changed = np.array(digests(other, "image")) != np.array(digests(twin, "image"))
    np.testing.assert_array_equal(changed, twin["kernel"] != "sharp")


def test_a_patient_scanned_again_as_at_first_is_byte_for_byte_the_same(twin):
    ways = {"one": (1.5, "sharp"), "other": (8.0, "smooth")}
    for way, again in scanned_again(12, ways, **SMALL).items():
        assert digests(again, "lungs", "lesions") == digests(twin, "lungs", "lesions")
        same = (twin["slice_mm"] == ways[way][0]) & (twin["kernel"] == ways[way][1])
        assert 0 < same.sum() < 12
        alike = np.array(digests(again, "image")) == np.array(digests(twin, "image"))
        np.testing.assert_array_equal(alike, same)
        assert list(again) == list(twin)


def test_another_thickness_leaves_all_else_of_a_patient():
    one, other = patients(12), patients(12, slice_mm=10.0)
    assert (other["slice_mm"] == 10).all()
    same = [c for c in one if c != "slice_mm"]
    pd.testing.assert_frame_equal(one[same], other[same])


def test_lungs_are_dark_and_lesions_brighter_in_the_scans(twin):
    for row in twin.itertuples():
        hu, lungs, lesions = (array(getattr(row, name)) for name in PATHS)
        normal = np.median(hu[(lungs > 0) & (lesions == 0)])
        assert -930 < normal < -800
        if (lesions == 1).sum() > 50:
            assert -720 < np.median(hu[lesions == 1]) < -300


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"n": 3}, "cannot have so many patients"),
        ({"size": (8, 8, 8)}, "cannot have this size"),
        ({"size": (64, 48)}, "cannot have this size"),
        ({"size": (64, 32, 16)}, "too low for a chest"),
        ({"axes": "LPA"}, "no image has such axes"),
        ({"axes": "LP"}, "no image has such axes"),
        ({"kernel": "B30f"}, "no such kernel"),
        ({"slice_mm": 40.0}, "no slice is so thick"),
    ],
)
def test_options_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(RequestError, match=says):
        make_twin(**{"n": 12, **wrong})
