"""A cohort of CTs to a table: the same in every orientation, and nothing lost by a sick one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk

from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.hashes import below
from nextaim_kit.errors import DataError
from nextaim_kit.report.evidence import read_evidence
from nextaim_kit.studies.ct_lungquant import scans, threshold
from nextaim_kit.studies.ct_lungquant.pictures import Keeper
from nextaim_kit.studies.ct_lungquant.quantification import (
    Software,
    first_readable,
    quantify,
    require_measured,
)
from nextaim_kit.studies.ct_lungquant.twin import is_synthetic, spoiled


@pytest.fixture(scope="module")
def measured(twin_of):
    return quantify(twin_of())[0]


def hu(image):
    return sitk.GetArrayFromImage(image)


@pytest.mark.rest
@pytest.mark.parametrize("axes", ["RPS", "LAI", "SPL", "AIR", "PSL"])
def test_a_ct_stored_with_other_axes_has_the_very_same_values(twin_of, measured, axes):
    other, _ = quantify(twin_of(axes=axes).head(4))
    pd.testing.assert_frame_equal(other, measured.head(4), check_exact=True)


def test_values_are_those_of_the_twin_within_what_thresholds_can_do(twin_of, measured):
    truth = twin_of()
    mild = (truth["truth_involvement"] < 40).to_numpy()
    error = measured["involvement"] - truth["truth_involvement"]
    assert error.abs().mean() < 8
    for side in ("right", "left"):
        ratio = measured[f"{side}_ml"] / truth[f"truth_{side}_ml"]
        assert ratio[mild].between(0.95, 1.1).all()
    assert measured["complete"].all()


def test_every_value_has_its_method_and_version(measured):
    assert measured["software"].str.contains("threshold, no network, nextaim_kit").all()


@pytest.mark.parametrize(
    ("axis", "says"), [(2, "heart.*at the right"), (1, "spine.*in front"), (0, "heart.*above")]
)
def test_a_ct_with_mislabeled_axes_is_told_and_a_right_one_is_not(
    twin_of, with_voxels, tmp_path, axis, says
):
    table = twin_of().set_index("subject").loc[["A-001", "B-004", "C-002"]].reset_index()
    usual = quantify(table)[0]["warnings"]
    assert not usual.str.contains("mislabeled|contrast").any()
    turned = []
    for row in table.itertuples():
        image = sitk.DICOMOrient(sitk.ReadImage(row.image), "LPS")
        path = tmp_path / f"{row.subject}.nii.gz"
        sitk.WriteImage(with_voxels(image, np.flip(hu(image), axis).copy()), str(path))
        turned.append(str(path))
    found, _ = quantify(table.assign(image=turned))
    assert found["warnings"].str.contains(says).all()


def test_a_scan_that_cuts_the_lungs_is_called_incomplete(ct, tmp_path):
    sitk.WriteImage(ct[:, :, 18:], str(tmp_path / "upper.nii.gz"))
    sitk.WriteImage(ct[24:, :, :], str(tmp_path / "side.nii.gz"))
    found, _ = quantify(load_cohort(str(tmp_path), columns=("image",)))
    said = found.set_index("subject")["warnings"]
    assert "the scan ends within the lungs (below)" in said["upper"]
    assert "the scan ends within the lungs (at the right)" in said["side"]
    assert not found["complete"].any()


def test_spoiled_files_are_named_and_the_others_are_measured(twin_of, tmp_path):
    cohort = spoiled(twin_of()["image"][1], tmp_path)
    values, failures = quantify(cohort)
    assert failures["subject"].tolist() == ["two slices", "no rescale", "8-bit picture"]
    assert failures["problem"].str.contains("expected: .* found: .* to mend: ").all()
    said = values.set_index("subject")["warnings"]
    assert "-3024" in said["padded with -3024"]
    assert "NaN" in said["NaN at the border"]
    kept = values.set_index("subject")["involvement"]
    for same in ("padded with -3024", "NaN at the border", "left and right swapped"):
        assert kept[same] == pytest.approx(kept["as it is"], abs=0.05)


def test_left_and_right_change_places_where_the_axes_are_mislabeled(twin_of, tmp_path):
    values = quantify(spoiled(twin_of()["image"][1], tmp_path))[0].set_index("subject")
    for side, other in (("right", "left"), ("left", "right")):
        swapped = values.loc["left and right swapped", f"{side}_ml"]
        assert swapped == pytest.approx(values.loc["as it is", f"{other}_ml"], rel=0.01)


def test_a_folder_of_nifti_and_dicom_is_measured_and_a_mixed_one_is_named(
    ct, write_series, tmp_path
):
    write_series(ct, tmp_path / "P1", series="1")
    write_series(ct, tmp_path / "P2", series="2")
    write_series(ct, tmp_path / "P2", series="3")
    sitk.WriteImage(ct, str(tmp_path / "P3.nii.gz"))
    cohort = load_cohort(str(tmp_path), columns=("image",))
    assert cohort["subject"].tolist() == ["P1", "P3"]
    assert "2 image series" in cohort.attrs["problems"][0]["problem"]
    values, failures = quantify(cohort)
    assert failures.empty
    assert values["right_ml"][0] == pytest.approx(values["right_ml"][1], rel=1e-3)


def test_a_ct_too_large_for_the_memory_is_named_and_the_others_are_measured(twin_of, monkeypatch):
    there = iter([1e12, 1e6, 1e12])
    monkeypatch.setattr(scans, "memory_available", lambda: next(there))
    values, failures = quantify(twin_of().head(3))
    assert values["subject"].tolist() == ["A-001", "A-003"]
    assert "too large for this machine" in failures["problem"][0]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("itk says no")])
def test_a_method_that_breaks_on_one_ct_leaves_the_others(twin_of, error):
    software = Software()
    seen = []

    def segment(scan, whole=software.segment):
        seen.append(scan)
        if len(seen) == 1:
            raise error
        return whole(scan)

    software.segment = segment
    values, failures = quantify(twin_of().head(2), software)
    assert values["subject"].tolist() == ["A-002"]
    assert failures["subject"].tolist() == ["A-001"]


def test_a_killed_run_goes_on_without_measuring_again_and_has_the_same_values_and_files(
    twin_of, tmp_path, monkeypatch
):
    table, whole, seen = twin_of().head(3), threshold.segment, []
    monkeypatch.setattr(threshold, "segment", lambda scan: (seen.append(scan), whole(scan))[1])

    def killed(done, *_):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantify(table, also=Keeper(tmp_path / "killed", masks=True), progress=killed)
    values, _ = quantify(table, also=Keeper(tmp_path / "again", masks=True))
    assert len(seen) == 3
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path / "cache"))
    expected, _ = quantify(table, also=Keeper(tmp_path / "once", masks=True))
    pd.testing.assert_frame_equal(values, expected, check_exact=True)
    files = [sorted(below(tmp_path / name)) for name in ("again", "once")]
    assert [name for name, _ in files[0]] == [name for name, _ in files[1]]
    assert len(files[0]) == 9
    for (_, one), (_, other) in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_ct_goes_from_dicom_to_its_report_without_torch(ct, write_series, tmp_path):
    write_series(ct, tmp_path / "P")
    code = f"""
import sys
from pathlib import Path
import pandas as pd
from nextaim_kit.report import sr
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from nextaim_kit.studies.ct_lungquant.pictures import Keeper
from nextaim_kit.studies.ct_lungquant.quantification import quantify
out = Path({str(tmp_path)!r})
table = pd.DataFrame([("P", "", str(out / "P"))], columns=["subject", "site", "image"])
row = quantify(table, also=Keeper(out, masks=True))[0].iloc[0]
sr.save_all(make_report(dict(row) | {{"picture": str(out / row["picture"])}}), out)
print({{"torch", "monai", "lightning"}} & {{*sys.modules}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert {"patient.html", "report.fhir.json", "report.sr.dcm", "qc", "masks"} <= written


def test_from_cohort_to_evidence_each_slice_gives_its_header_once(
    ct, write_series, tmp_path, monkeypatch
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path / "cache"))
    for path in write_series(ct, tmp_path / "P").iterdir():
        data = pydicom.dcmread(path)
        data.StudyInstanceUID = "1.2.3"
        data.save_as(path)
        os.utime(path, (1e9, 1e9))  # a header that was just written may still change unseen
    seen, counting = [], [True]
    sys.addaudithook(lambda event, args: counting[0] and event == "open" and seen.append(args[0]))
    cohort = load_cohort(str(tmp_path / "P"), columns=("image",))
    _, failures = quantify(cohort)
    evidence = read_evidence(cohort["image"][0], "P")
    counting[0] = False
    n = ct.GetSize()[2]
    assert (len(failures), len(evidence)) == (0, n)
    times = Counter(name for name in map(str, seen) if name.endswith(".dcm"))
    # Header, content for the cache's key, pixels; and one header whole, of which the SR takes more.
    assert sorted(times.values()) == [3] * (n - 1) + [4]


def test_other_limits_or_series_of_a_folder_are_measured_for_themselves(
    ct, write_series, tmp_path, monkeypatch
):
    whole, seen = threshold.segment, []
    monkeypatch.setattr(threshold, "segment", lambda scan: (seen.append(scan), whole(scan))[1])
    for series in "23":
        write_series(ct, tmp_path / "P", series=series)
    for path, hu in (("P#2", -260.0), ("P#2", -260.0), ("P#3", -260.0), ("P#3", -400.0)):
        Software()(tmp_path / path, consolidated_hu=hu)
    assert len(seen) == 3


def test_where_nothing_could_be_measured_the_reasons_are_said(tmp_path):
    cohort = pd.DataFrame(
        [("x", "", str(tmp_path / "no.nii"))], columns=["subject", "site", "image"]
    )
    values, failures = quantify(cohort)
    with pytest.raises(DataError, match=r"x: .*no\.nii is missing"):
        require_measured(values, failures)
    with pytest.raises(DataError, match="is missing"):
        first_readable(cohort)


def test_a_table_made_from_the_twin_is_still_synthetic(twin_of):
    assert is_synthetic("synthetic", twin_of())
    assert not is_synthetic("folder", twin_of())
    assert is_synthetic("cohort.csv", twin_of().assign(provenance_synthetic="True"))


def test_the_ibsi_ct_is_one_right_lung_cut_above_and_the_same_from_dicom(real, tmp_path):
    import zipfile

    folder = real / "ct_radiomics" / "ibsi_ct_phantom"
    with zipfile.ZipFile(folder / "dicom_series_and_rtstruct.zip") as archive:
        archive.extractall(tmp_path)
    images = [folder / "image.nii.gz", tmp_path / "image"]
    cohort = pd.DataFrame({"subject": ["nifti", "dicom"], "site": "", "image": map(str, images)})
    values, failures = quantify(cohort)
    assert failures.empty
    numbers = values.select_dtypes("number")
    assert np.allclose(numbers.iloc[0], numbers.iloc[1], rtol=1e-6, equal_nan=True)
    assert 800 < values["right_ml"][0] < 2000
    assert values["left_ml"][0] == 0
    assert values["warnings"].str.contains("only one lung.*within the lungs .above").all()


def test_real_crops_have_two_lungs_and_no_warning_of_their_axes(real):
    folder = real / "ct_lungquant" / "totalsegmentator"
    names = ("aorta_report", "pulmonary_report")
    images = [str(folder / name / "ct_cropped.nii.gz") for name in names]
    values, _ = quantify(pd.DataFrame({"subject": names, "site": "", "image": images}))
    assert (values[["right_ml", "left_ml"]] > 500).all(axis=None)
    assert values["warnings"].str.contains("volume incomplete").all()
    assert values["warnings"].str.contains("contrast medium in the vessels").all()
    assert not values["warnings"].str.contains("mislabeled").any()
    assert values["mean_hu"].between(-900, -600).all()


def test_a_real_abdomen_and_two_real_slices_are_refused(real):
    folder = real / "ct_lungquant"
    images = [folder / "totalsegmentator" / "example_ct_sm.nii.gz", folder / "lungmask_slices"]
    cohort = pd.DataFrame({"subject": ["abdomen", "slices"], "site": "", "image": map(str, images)})
    values, failures = quantify(cohort)
    assert values.empty
    assert "no lung is found" in failures["problem"][0]
    assert "no volume of a chest" in failures["problem"][1]
