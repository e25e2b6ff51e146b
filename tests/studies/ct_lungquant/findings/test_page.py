"""The page says in words what is not confirmed, escapes every text, and needs no other file."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.report.fhir import save_bundles
from nextaim_kit.report.page import to_html
from nextaim_kit.report.verdicts import half_reviewed
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from tests.studies.ct_lungquant.findings.conftest import PNG, SMALL


def test_the_banner_says_in_words_that_values_wait(report):
    assert (
        '<p class="banner waiting" role="status">Preliminary. AI-derived, not confirmed: 18'
        in to_html(report)
    )
    assert "Final. All 18 values confirmed or edited by reader-1" in to_html(
        report.confirm_all("reader-1")
    )


def test_a_synthetic_patient_is_called_so_and_a_real_one_is_not(row):
    assert "SYNTHETIC PATIENT" in to_html(make_report(row))
    assert "SYNTHETIC" not in to_html(make_report(row | {"provenance_synthetic": False}))


def test_every_text_is_escaped(row):
    bad = "<script>alert(1)</script>"
    given = {"subject": bad, "site": bad, "software": bad, "warnings": bad}
    assert "<script" not in to_html(make_report(row | given))


def test_an_edited_value_stands_beside_the_algorithms(report):
    assert "The algorithm said 25.0 %." in to_html(report.edit("upper", 30.0, "reader-1"))


def test_a_volume_of_an_incomplete_scan_is_at_least_that(row):
    assert "at least 4400" in to_html(make_report(row | {"complete": False}))
    assert "at least 4400" not in to_html(make_report(row))


def test_the_picture_is_inside_the_page_with_its_text(row, tmp_path):
    (tmp_path / "ct.png").write_bytes(PNG)
    page = to_html(make_report(row | {"picture": str(tmp_path / "ct.png")}))
    assert 'src="data:image/png;base64,iVBOR' in page
    assert 'alt="CT of A-001' in page
    assert str(tmp_path) not in page


def test_a_picture_that_is_not_there_is_refused_by_name(row, tmp_path):
    with pytest.raises(DataError, match=r"A-001: the picture ct.png"):
        to_html(make_report(row | {"picture": str(tmp_path / "ct.png")}))


def test_a_subject_of_any_name_makes_a_file_inside_the_folder(row, tmp_path):
    save_bundles([make_report(row | {"subject": "../../a b"})], tmp_path / "fhir")
    assert [p.name for p in (tmp_path / "fhir").iterdir()] == ["..%2F..%2Fa%20b.fhir.json"]


def test_half_of_the_reports_are_reviewed_in_two_values(report):
    new, reviewed = half_reviewed([report, report], "reader-1")
    assert new == report
    assert sorted({f.status for f in reviewed.fields}) == ["ai-derived", "confirmed", "edited"]


def test_what_speaks_against_a_report_stands_before_its_values(row, contradicting):
    warned = to_html(make_report(row | {"warnings": "motion", "complete": False, "ct_ss": 3}))
    top = warned[: warned.index("<table>")]
    for said in ("Warning of the software:</strong> motion", "class 3, but", "lower bounds"):
        assert said in top
    page = to_html(contradicting)
    assert "Preliminary. All 18 values" in page[: page.index("<table>")]


def test_numbers_are_whole_and_none_is_0_that_is_not(row):
    page = to_html(make_report(row | {"upper": 0.002, "peripheral": float("nan")}))
    assert '<td class="number">2400</td>' in page
    assert '<td class="number">&lt;1</td>' in page
    assert '<td class="number">not assessed</td>' in page
    assert "20 % of the lungs affected" in page


def test_a_reason_stands_beside_its_value(row):
    small = make_report(row | SMALL).confirm("lungs_ml", "reader-1", reason="a child")
    assert "Reason given: a child." in to_html(small)
