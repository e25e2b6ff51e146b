"""The synthetic twin: its counts, its truth, its geometry, and that it can be made again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.data.cohort.loading import load_cohort, problems
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort
from nextaim_kit.studies.ct_radiomics.scanner import SITES, Scan, Site, acquire
from nextaim_kit.studies.ct_radiomics.true_effects import PLANTED, planted_effects
from nextaim_kit.studies.ct_radiomics.twin import COUNTS, make_twin, patients

N = 24


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("twin")


@pytest.fixture
def twin(cache, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(cache))
    return make_twin(N)


def array(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def digests(table):
    files = table[["image", "mask", "lungs"]].to_numpy().ravel()
    return [hashlib.sha256(Path(f).read_bytes()).hexdigest() for f in files]


def test_the_whole_twin_has_the_slides_counts_at_every_site():
    table = patients()
    severe = table.groupby("site")["label"].agg(["sum", "size"])
    assert (len(table), int(table["label"].sum())) == (450, 191)
    assert {s: (r["sum"], r["size"] - r["sum"]) for s, r in severe.iterrows()} == COUNTS
    assert table["subject"].is_unique


@pytest.mark.parametrize("n", [20, 33, 80, 200])
def test_a_smaller_twin_has_both_outcomes_twice_at_every_site(n):
    table = patients(n)
    assert len(table) == n
    assert table.groupby(["site", "label"]).size().min() >= 2
    assert len(table.groupby(["site", "label"])) == 10


def test_a_patient_is_the_same_however_many_there_are():
    few, all_ = patients(40).set_index("subject"), patients().set_index("subject")
    pd.testing.assert_frame_equal(few, all_.loc[few.index])


def test_another_seed_draws_other_patients():
    assert not np.allclose(patients(20)["truth_volume_ml"], patients(20, seed=1)["truth_volume_ml"])


@pytest.mark.parametrize("n", [0, 19, 451])
def test_too_few_or_too_many_patients_are_refused(n):
    with pytest.raises(RequestError, match="cannot have so many patients"):
        patients(n)


def test_severity_acts_on_volume_consolidation_and_grain():
    by_label = (
        patients()
        .groupby("label")[["truth_volume_ml", "truth_consolidation", "truth_grain_mm"]]
        .median()
    )
    assert (by_label.loc[1] > 1.15 * by_label.loc[0]).all()


def test_sites_draw_their_scans_around_their_own_means():
    table = patients()
    means = table.groupby("site")[["truth_kernel_mm", "truth_offset_hu"]].mean()
    for name, site in SITES.items():
        assert means.loc[name, "truth_kernel_mm"] == pytest.approx(site.kernel_mm, abs=0.12)
        assert means.loc[name, "truth_offset_hu"] == pytest.approx(site.offset_hu, abs=5)


def test_it_is_byte_for_byte_the_same_in_another_cache_by_other_workers(
    twin, tmp_path, monkeypatch
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path))
    again = make_twin(N, workers=1)
    assert Path(again["image"][0]).is_relative_to(tmp_path)
    assert digests(again) == digests(twin)


def test_what_is_missing_is_made_and_the_rest_is_left_alone(twin):
    whole = digests(twin)
    Path(twin["image"][3]).unlink()
    Path(twin["mask"][3]).unlink()
    before = os.stat(twin["image"][0]).st_mtime_ns
    assert digests(make_twin(N)) == whole
    assert os.stat(twin["image"][0]).st_mtime_ns == before


def test_image_and_masks_lie_on_one_grid_and_the_lesions_in_the_lungs(twin):
    assert not len(problems(load_cohort("synthetic", twin=lambda: twin)))
    for row in twin.iloc[::6].itertuples():
        image, mask, lungs = (sitk.ReadImage(p) for p in (row.image, row.mask, row.lungs))
        assert image.GetSpacing() == mask.GetSpacing() == lungs.GetSpacing()
        assert image.GetSpacing()[2] == row.truth_thickness_mm
        assert image.GetSize() == mask.GetSize() == lungs.GetSize()
        lesion, inside = array(row.mask) == 1, array(row.lungs) == 1
        assert not (lesion & ~inside).any()


def test_lesions_have_the_volume_that_was_drawn_and_densities_of_the_lung(twin):
    for row in twin.iloc[::6].itertuples():
        hu, lesion, lungs = array(row.image), array(row.mask) == 1, array(row.lungs) == 1
        voxel_ml = np.prod(sitk.ReadImage(row.mask).GetSpacing()) / 1000
        assert lesion.sum() * voxel_ml == pytest.approx(row.truth_volume_ml, abs=voxel_ml)
        assert np.median(hu[lungs & ~lesion]) == pytest.approx(-860, abs=80)
        assert -650 < np.median(hu[lesion]) < -200
        assert 2000 < lungs.sum() * voxel_ml < 9000


def test_a_scanner_blurs_shifts_and_adds_the_noise_that_it_is_asked_for():
    flat = np.zeros((20, 40, 40), np.float32)
    scan = Scan(kernel_mm=1.6, noise_hu=25.0, offset_hu=7.0, thickness_mm=5.0)
    seen = acquire(flat, scan, np.random.default_rng(0))
    assert seen.std() == pytest.approx(25, rel=0.02)
    assert seen.mean() == pytest.approx(7, abs=1)
    edge = flat.copy()
    edge[:, :, 20:] = 1000
    sharp, soft = (
        acquire(edge, Scan(k, 0.0, 0.0, 5.0), np.random.default_rng(0))[10, 20] for k in (0.9, 3.0)
    )
    assert np.diff(sharp).max() > np.diff(soft).max() > 0


def test_a_thick_slice_has_less_noise_by_the_square_root_of_its_photons():
    thin, thick = (
        Site(1.6, 18.0, 0.0, thick=share).draw(np.random.default_rng(5)) for share in (0.0, 1.0)
    )
    assert (thin.thickness_mm, thick.thickness_mm) == (5.0, 7.0)
    assert thick.noise_hu / thin.noise_hu == pytest.approx(0.845, abs=1e-3)
    assert thick.kernel_mm == thin.kernel_mm


@pytest.mark.rest
def test_each_planted_effect_comes_back_out_of_the_features(shared_cache, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    twin = make_twin(200)
    features, failures = extract_cohort(twin)
    assert not len(failures)
    effects = planted_effects(features, twin)
    assert effects["found"].all(), effects
    assert len(effects) == len(PLANTED) == 7


def test_planted_effects_are_missed_where_features_have_nothing_of_them(twin):
    features, _ = extract_cohort(twin)
    rng = np.random.default_rng(0)
    columns = [planted.feature for planted in PLANTED]
    noise = features.assign(**{name: rng.normal(size=len(features)) for name in columns})
    assert not planted_effects(noise, twin)["found"].any()


def test_a_cohort_without_truth_has_no_planted_effects(twin):
    features, _ = extract_cohort(twin)
    with pytest.raises(DataError, match="no truth to compare with"):
        planted_effects(features, twin[["subject", "site", "label"]])
