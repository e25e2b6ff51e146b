"""The DICOM SR is of TID 1500, verified when all is confirmed, comes back whole, and is valid."""

from __future__ import annotations

import zipfile

import pydicom
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.report import sr, sr_reading
from nextaim_kit.report.evidence import read_evidence, stand_in
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from nextaim_kit.studies.ct_lungquant.findings.template import TEMPLATE
from tests.conftest import validator_says


@pytest.fixture
def saved(tmp_path):
    """Writes a report as SR; its path."""

    def save(report, name="report.sr.dcm"):
        path = tmp_path / name
        sr.save(sr.to_sr(report, stand_in(report)), path)
        return path

    return save


def test_an_sr_is_valid_and_comes_back_the_same(any_report, saved):
    document = sr_reading.read(saved(any_report))
    report, wrong = sr_reading.examine(document, TEMPLATE)
    assert wrong == []
    assert report == any_report


def test_the_same_report_gives_the_same_bytes_and_another_state_another_instance(report, saved):
    one, again = saved(report, "1.dcm"), saved(report, "2.dcm")
    assert one.read_bytes() == again.read_bytes()
    other = pydicom.dcmread(saved(report.confirm("ct_ss", "reader-1"), "3.dcm"))
    assert pydicom.dcmread(one).SOPInstanceUID != other.SOPInstanceUID


def test_it_is_verified_only_when_every_value_is_confirmed(report):
    headers = stand_in(report)
    waiting = sr.to_sr(report.confirm("ct_ss", "reader-1"), headers)
    assert (waiting.VerificationFlag, waiting.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    final = sr.to_sr(report.confirm("ct_ss", "reader-2").confirm_all("reader-1"), headers)
    assert (final.VerificationFlag, final.PreliminaryFlag) == ("VERIFIED", "FINAL")
    names = [str(o.VerifyingObserverName) for o in final.VerifyingObserverSequence]
    assert names == ["reader-1^", "reader-2^"]


def test_an_open_contradiction_leaves_it_unverified_and_is_said(contradicting, saved):
    document = pydicom.dcmread(saved(contradicting))
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    texts = [item.TextValue for item in document.ContentSequence if item.ValueType == "TEXT"]
    assert any("so not final" in text for text in texts)


def test_a_flag_that_does_not_fit_the_values_is_noticed(report, saved):
    document = sr_reading.read(saved(report))
    document.VerificationFlag = "VERIFIED"
    with pytest.raises(DataError, match="VERIFIED, its values are not"):
        sr_reading.from_sr(document, TEMPLATE)


def test_a_reader_of_the_sr_sees_that_a_scan_was_incomplete(row, saved):
    document = pydicom.dcmread(saved(make_report(row | {"complete": False})))
    texts = [item.TextValue for item in document.ContentSequence if item.ValueType == "TEXT"]
    assert any("volumes are lower bounds" in text for text in texts)


def makers(path):
    """Who made each value, by the items of its group: the names of algorithms and of persons."""
    groups = pydicom.dcmread(path).ContentSequence[8].ContentSequence
    named = {"111001": "TextValue", "121008": "PersonName"}
    return {
        group.ContentSequence[0].TextValue: [
            str(item.get(named[code]))
            for item in group.ContentSequence
            if (code := item.ConceptNameCodeSequence[0].CodeValue) in named
        ]
        for group in groups
    }


def test_an_edited_value_is_its_readers_and_no_algorithms(report, saved):
    edited = report.edit("upper", 30.0, "reader-1").confirm_all("reader-2")
    made = makers(saved(edited))
    assert made.pop("LQ-UPPER") == ["reader-1^"]
    assert set(map(tuple, made.values())) == {("LungQuant v2",)}


@pytest.mark.parametrize("made", ["reader-1^", "111001"])
def test_a_maker_that_does_not_fit_the_review_is_noticed(report, saved, made):
    path = saved(report.edit("upper", 30.0, "reader-1"))
    document = pydicom.dcmread(path)
    for element in document.ContentSequence[8].ContentSequence[:]:
        for item in (e for e in element.iterall() if e.value == made):
            item.value = {"reader-1^": "reader-9^", "111001": "111099"}[made]
    document.save_as(path)
    wrong = sr_reading.examine(sr_reading.read(path), TEMPLATE)[1]
    assert any("made by another than it says" in one for one in wrong)


def test_a_wrong_unit_is_noticed(report, saved):
    path = saved(report)
    document = pydicom.dcmread(path)
    for element in document.iterall():
        if element.keyword == "CodeValue" and element.value == "mL":
            element.value = "L"
    document.save_as(path)
    _, wrong = sr_reading.examine(sr_reading.read(path), TEMPLATE)
    assert "LQ-VOL: the unit is not UCUM's mL" in wrong


def test_another_file_is_no_sr(tmp_path):
    (tmp_path / "other.dcm").write_bytes(b"no DICOM")
    with pytest.raises(DataError, match="no DICOM SR"):
        sr_reading.read(tmp_path / "other.dcm")


def test_it_refers_to_the_ct_it_was_measured_on(report, tmp_path):
    header = stand_in(report)[0]
    header.Rows = header.Columns = 4
    header.PixelSpacing = [1, 1]
    header.save_as(tmp_path / "slice.dcm", enforce_file_format=True)
    headers = read_evidence(tmp_path, "A-001")
    document = sr.to_sr(report, headers)
    referred = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == header.SeriesInstanceUID
    with pytest.raises(DataError, match="another patient"):
        read_evidence(tmp_path, "A-002")


def test_of_many_slices_the_first_header_and_all_uids_make_the_same_document(report, tmp_path):
    whole = [stand_in(report)[0] for _ in range(3)]
    for n, header in zip((3, 1, 2), whole, strict=True):
        header.SOPInstanceUID, header.PixelSpacing = f"1.2.{n}", [1, 1]
        header.PatientBirthDate, header.StudyID = "19500101", f"study {n}"
        header.save_as(tmp_path / f"{n}.dcm", enforce_file_format=True)
    headers = read_evidence(tmp_path, "A-001")
    assert [one.SOPInstanceUID for one in headers] == ["1.2.1", "1.2.2", "1.2.3"]
    expected = sorted(whole, key=lambda one: one.SOPInstanceUID)
    assert sr.to_sr(report, headers) == sr.to_sr(report, expected)
    assert len(headers[1]) == 4


def test_a_ct_whose_header_lost_its_study_is_no_evidence(report, tmp_path):
    header = stand_in(report)[0]
    del header.StudyInstanceUID
    header.PixelSpacing = [1, 1]
    header.save_as(tmp_path / "slice.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match=r"belongs to(.|\n)*no StudyInstanceUID"):
        read_evidence(tmp_path, "A-001")


def test_a_folder_without_a_ct_is_no_evidence(tmp_path):
    with pytest.raises(DataError, match="one CT series"):
        read_evidence(tmp_path, "A-001")


def test_an_independent_validator_finds_no_error(any_report, saved):
    said = validator_says(saved(any_report))
    assert "Comprehensive3DSR" in said
    assert "Error" not in said


def test_that_validator_does_find_errors(report, saved):
    path = saved(report)
    document = pydicom.dcmread(path)
    del document.VerificationFlag
    document.save_as(path)
    assert "Error" in validator_says(path)


def test_a_real_ct_makes_a_valid_sr_too(real, row, tmp_path):
    archive = real / "ct_radiomics" / "ibsi_ct_phantom" / "dicom_series_and_rtstruct.zip"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    report = make_report(row | {"subject": "1", "provenance_synthetic": False})
    sr.save_all(report, tmp_path, tmp_path / "image")
    assert sr_reading.from_sr(sr_reading.read(tmp_path / "report.sr.dcm"), TEMPLATE) == report
    assert "Error" not in validator_says(tmp_path / "report.sr.dcm")


def test_the_finding_of_a_lesions_quantity_is_a_lesion_and_the_lung_its_site(report, saved):
    groups = sr_reading.read(saved(report)).content.get_image_measurement_groups()
    found = {g.tracking_identifier: (g.finding_type.value, g.finding_sites[0].value.value)
             for g in groups}  # fmt: skip
    lesion, lung, right, left = "52988006", "39607008", "3341006", "44029006"
    of_lesions = ["LQ-TYPE", "LQ-GG-SHARE", "LQ-CONS-SHARE", "LQ-LEFT", "LQ-UPPER", "LQ-PERIPH",
                  "LQ-BILATERAL", "LQ-LES"]  # fmt: skip
    assert {found[name] for name in of_lesions} == {(lesion, lung)}
    assert (found["LQ-LES-R"], found["LQ-LES-L"]) == ((lesion, right), (lesion, left))
    assert (found["LQ-VOL-R"], found["LQ-VOL"], found["LQ-INV"]) == (
        (lung, right), (lung, lung), (lung, lung),
    )  # fmt: skip
