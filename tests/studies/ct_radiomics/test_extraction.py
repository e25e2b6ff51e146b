"""A cohort to its table: values, failures, and what is kept of them."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nextaim_kit.data.cache import space
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import sha256_of
from nextaim_kit.studies.ct_radiomics import engine, extraction
from nextaim_kit.studies.ct_radiomics.extraction import (
    Settings,
    extract_cohort,
    feature_columns,
)
from nextaim_kit.studies.ct_radiomics.subject import extract_subject

SHAPE = (12, 20, 20)


@pytest.fixture
def cohort(tmp_path, volume, tissue, ball):
    """Four sound subjects, with lungs."""
    rows = []
    for number in range(4):
        image = volume(tissue(SHAPE, number), (0.8, 0.8, 2.0))
        mask = volume(ball(SHAPE, (6, 10, 10), (2 + number % 2, 4, 5)), (0.8, 0.8, 2.0))
        lungs = volume(ball(SHAPE, (6, 10, 10), (5, 9, 9)), (0.8, 0.8, 2.0))
        row = {"subject": f"s{number}", "site": "AB"[number % 2], "label": number % 2}
        for name, part in (("image", image), ("mask", mask), ("lungs", lungs)):
            row[name] = str(tmp_path / f"s{number}_{name}.nii.gz")
            sitk.WriteImage(part, row[name])
        rows.append(row)
    return pd.DataFrame(rows).astype({"label": "Int64"})


def replaced(cohort, index, change, part="mask"):
    """Cohort whose subject `index` has another array in one of its files."""
    path = cohort.loc[index, part]
    image = sitk.ReadImage(path)
    array = sitk.GetArrayFromImage(image).astype(np.float32 if part == "image" else np.uint8)
    change(array)
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, path)
    return cohort


def kept():
    return [one.path for one in space.held() if one.step.endswith("extract_subject")]


def quiet(done, total, subject):
    pass


def test_a_cohort_becomes_a_table_with_100_features_and_provenance(cohort):
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert len(failures) == 0
    assert list(features["subject"]) == ["s0", "s1", "s2", "s3"]
    assert len(feature_columns(features)) == 100
    assert list(features.columns[:5]) == [
        "subject", "site", "label", "lesion_volume_ml", "involvement_percent",
    ]  # fmt: skip
    assert features["label"].dtype == "Int64"
    row = features.iloc[0]
    assert row["provenance_image_sha256"] == sha256_of(cohort.loc[0, "image"])
    assert row["provenance_pyradiomics"] == "3.0.1"
    assert row["provenance_spacing_mm"] == "0.8 x 0.8 x 2"
    assert json.loads(row["provenance_settings"])["binWidth"] == 25
    assert (features["provenance_warnings"] == "").all()


def test_volume_and_involvement_follow_from_the_voxels(cohort):
    features, _ = extract_cohort(cohort, workers=1, progress=quiet)
    lesion, lungs = (sitk.ReadImage(cohort.loc[0, name]) for name in ("mask", "lungs"))
    count = int(sitk.GetArrayFromImage(lesion).sum())
    assert features.loc[0, "provenance_roi_voxels"] == count
    assert features.loc[0, "lesion_volume_ml"] == pytest.approx(count * 1.28 / 1000)
    part = count / int(sitk.GetArrayFromImage(lungs).sum())
    assert features.loc[0, "involvement_percent"] == pytest.approx(100 * part)


def test_without_lungs_there_is_no_involvement_and_lost_lungs_are_named(cohort):
    features, _ = extract_cohort(cohort.drop(columns="lungs"), workers=1, progress=quiet)
    assert features["involvement_percent"].isna().all()
    replaced(cohort, 1, lambda array: array.fill(0), "lungs")
    os.remove(cohort.loc[2, "lungs"])
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert len(failures) == 0
    assert "the lungs' mask is empty" in features.loc[1, "provenance_warnings"]
    assert "s2_lungs.nii.gz is missing" in features.loc[2, "provenance_warnings"]
    assert features["involvement_percent"].notna().tolist() == [True, False, False, True]


def test_tables_do_not_depend_on_the_number_of_workers(cohort):
    one = extract_cohort(cohort, workers=1, progress=quiet, cache=False)
    two = extract_cohort(cohort, workers=2, progress=quiet, cache=False)
    pd.testing.assert_frame_equal(one[0], two[0], check_exact=True)
    pd.testing.assert_frame_equal(one[1], two[1])


def test_progress_is_a_line_of_text_by_default(cohort, capsys):
    extract_cohort(cohort, workers=1)
    assert "radiomics: 4 of 4 subjects" in capsys.readouterr().out


def sick(cohort, problem, tmp_path, volume):
    """Make subject 1 sick in one way."""
    mask, image = cohort.loc[1, "mask"], cohort.loc[1, "image"]
    if problem == "missing file":
        os.remove(image)
    elif problem == "no path":
        cohort.loc[1, "mask"] = ""
    elif problem == "corrupt file":
        with open(image, "r+b") as stream:
            stream.truncate(500)
    elif problem == "other geometry":
        sitk.WriteImage(volume(np.ones(SHAPE, np.uint8), (1, 1, 2)), mask)
    elif problem == "empty mask":
        replaced(cohort, 1, lambda array: array.fill(0))
    elif problem == "two labels":
        replaced(cohort, 1, lambda array: array.__setitem__((0, 0, 0), 2))
    elif problem == "one voxel":
        replaced(cohort, 1, lambda a: (a.fill(0), a.__setitem__((5, 5, 5), 1)))
    elif problem == "not a number":
        replaced(cohort, 1, lambda a: a.__setitem__((6, 10, 10), np.nan), "image")
    elif problem == "constant":
        replaced(cohort, 1, lambda array: array.fill(7), "image")
    return cohort


SICK = {
    "missing file": "s1_image.nii.gz is missing",
    "no path": "no mask is given",
    "corrupt file": "cannot be read",
    "other geometry": "differ in spacing",
    "empty mask": "empty",
    "two labels": "more than one label",
    "one voxel": "the region is one voxel",
    "not a number": "not numbers",
    "constant": "the region is constant",
}


@pytest.mark.parametrize("problem", SICK)
def test_one_sick_subject_is_named_and_the_others_are_kept(cohort, problem, tmp_path, volume):
    cohort = sick(cohort, problem, tmp_path, volume)
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert list(features["subject"]) == ["s0", "s2", "s3"]
    assert failures["subject"].tolist() == ["s1"]
    assert SICK[problem] in failures.loc[0, "problem"]
    assert " to mend: " in failures.loc[0, "problem"]
    assert str(tmp_path) not in failures.to_json()


def test_an_unforeseen_error_of_one_subject_is_a_failure_too(cohort, monkeypatch):
    whole = engine.features_of

    def breaks(region, settings):
        if region.mask.shape[0] > 6:
            raise RuntimeError("ITK ERROR: something unforeseen")
        return whole(region, settings)

    monkeypatch.setattr(engine, "features_of", breaks)
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert list(features["subject"]) == ["s0", "s2"]
    assert failures["subject"].tolist() == ["s1", "s3"]
    assert failures["problem"].str.startswith("RuntimeError: ITK ERROR: something").all()


def test_a_cohort_of_the_sick_gives_empty_but_whole_tables(cohort):
    cohort["image"] = "nowhere.nii.gz"
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert features.empty
    assert "lesion_volume_ml" in features
    assert feature_columns(features) == []
    assert len(failures) == 4


def test_a_label_per_subject_chooses_the_region(cohort):
    replaced(cohort, 1, lambda array: array.__setitem__((0, 0, 0), 2))
    cohort["mask_label"] = pd.array([None, 1, None, None], dtype="Int64")
    features, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert len(features) == 4
    assert failures.empty


def test_a_second_extraction_computes_nothing_again(cohort, monkeypatch):
    first, _ = extract_cohort(cohort, workers=1, progress=quiet)
    monkeypatch.setattr(engine, "features_of", lambda *_: pytest.fail("computed again"))
    again, failures = extract_cohort(cohort, workers=1, progress=quiet)
    assert failures.empty
    pd.testing.assert_frame_equal(first, again, check_exact=True)


@pytest.mark.parametrize("what", ["settings", "image", "mask", "engine", "subject"])
def test_whatever_changes_a_value_and_nothing_else_makes_it_anew(cohort, monkeypatch, what):
    extract_cohort(cohort, workers=1, progress=quiet)
    assert len(kept()) == 4
    settings = Settings(bin_width=30) if what == "settings" else Settings()
    if what in ("image", "mask"):
        replaced(cohort, 0, lambda a: a.__setitem__((6, 10, 10), 0 if what == "mask" else 9), what)
    if what == "engine":
        monkeypatch.setattr(extraction, "version", lambda: ["other"])
    if what == "subject":  # and its label, which say nothing of the values
        cohort = cohort.assign(subject=[*"abcd"], label=1)
    extract_cohort(cohort, settings, workers=1, progress=quiet)
    made = {"settings": 4, "image": 1, "mask": 1, "engine": 4, "subject": 0}
    assert len(kept()) - 4 == made[what]


def test_a_killed_worker_costs_only_its_own_subject(cohort, monkeypatch):
    def kills(row, settings):  # nested: sent to the workers by value
        if "s1_" in row["image"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return extract_subject(row, settings)

    monkeypatch.setattr(extraction, "extract_subject", kills)
    features, failures = extract_cohort(cohort, workers=2, progress=quiet)
    assert list(features["subject"]) == ["s0", "s2", "s3"]
    assert failures["problem"].str.startswith("a worker process was killed, most often").all()


def test_a_worker_s_memory_grows_with_the_image(cohort):
    row = cohort.iloc[0].to_dict()
    voxels = np.prod(SHAPE)
    assert extraction._bytes(row) == (400 << 20) + 40 * voxels
    assert extraction._bytes(row, per_voxel=60) == (400 << 20) + 60 * voxels
    folder = os.path.dirname(row["image"])
    assert extraction._bytes({"image": folder}) > extraction._bytes({"image": None}) == 400 << 20


def test_a_cohort_without_masks_or_with_a_subject_twice_is_refused(cohort):
    with pytest.raises(DataError, match="no column 'mask'"):
        extract_cohort(cohort.drop(columns="mask"))
    with pytest.raises(RequestError, match="subject s0 is in the cohort twice"):
        extract_cohort(pd.concat([cohort, cohort.head(1)]))


def test_what_a_researcher_should_know_is_in_the_warnings(cohort):
    replaced(cohort, 1, lambda a: np.copyto(a, 101 + a % 2), "image")
    features, _ = extract_cohort(cohort, workers=1, progress=quiet)
    assert "one gray level" in features.loc[1, "provenance_warnings"]
    assert features.loc[0, "provenance_warnings"] == ""


def test_toggles_add_named_features(cohort):
    chosen = Settings(resample_mm=1, wavelet=True, log_sigma=(1.0,))
    features, _ = extract_cohort(cohort.head(1), chosen, workers=1, progress=quiet)
    names = feature_columns(features)
    assert len(names) == 100 + 8 * 86 + 86
    assert {"wavelet-HHL_glcm_Contrast", "log-sigma-1-0-mm-3D_glszm_ZoneEntropy"} <= set(names)


def test_a_parameter_file_measures_a_cohort_and_says_itself_in_each_row(cohort, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("featureClass: {ngtdm: , shape: [Flatness]}\nimageType: {Gradient: {}}\n")
    sick = replaced(cohort, 1, lambda array: array.fill(0))
    features, failures = extract_cohort(sick, file, workers=2, progress=quiet)
    assert list(failures["subject"]) == ["s1"]
    names = feature_columns(features)
    assert names[0] == "original_shape_Flatness"
    assert [name.rpartition("_")[0] for name in names[1:]] == ["gradient_ngtdm"] * 5
    for said in features["provenance_settings"]:
        assert json.loads(said)["featureClass"] == {"ngtdm": None, "shape": ["Flatness"]}


def test_subjects_are_measured_again_when_the_file_says_something_else(cohort, tmp_path):
    file = tmp_path / "mine.yaml"
    before = None
    for width in (5, 50):
        file.write_text(f"featureClass: {{firstorder: [Entropy]}}\nsetting: {{binWidth: {width}}}")
        features, _ = extract_cohort(cohort, file, workers=1, progress=quiet)
        assert len(kept()) == len(cohort) * (1 if before is None else 2)
        if before is not None:
            entropy = "original_firstorder_Entropy"
            assert (features[entropy] < before[entropy]).all()
        before = features


def test_a_run_is_known_by_what_its_parameter_file_says(tmp_path):
    from nextaim_kit.runs.request import prepare

    def identity(name, text):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        given = {"settings": str(file)}
        return prepare("ct_radiomics/extraction", "smoke", given, tmp_path / "runs").id

    first = identity("a/params.yaml", "setting: {binWidth: 5}")
    assert identity("b/params.yaml", "setting: {binWidth: 5}") == first
    assert identity("a/params.yaml", "setting: {binWidth: 6}") != first
