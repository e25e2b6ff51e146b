"""The page says in words what is not confirmed, escapes every text, and needs no other file."""

from __future__ import annotations

import base64

import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.report.fhir import save_bundles
from nextaim_kit.report.page import to_html
from nextaim_kit.report.verdicts import half_reviewed
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_the_banner_says_in_words_that_values_wait(report):
    assert '<p class="banner waiting" role="status">AI-derived, not confirmed: 18' in to_html(
        report
    )
    assert "All 18 values confirmed or edited by reader-1" in to_html(
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
    assert "The algorithm said 20.00 %." in to_html(report.edit("involvement", 25.0, "reader-1"))


def test_a_volume_of_an_incomplete_scan_is_at_least_that(row):
    assert "at least 4400.0" in to_html(make_report(row | {"complete": False}))
    assert "at least 4400.0" not in to_html(make_report(row))


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
