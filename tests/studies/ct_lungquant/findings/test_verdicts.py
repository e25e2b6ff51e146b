"""Verdicts count what came back, a trace follows one value, figures say what they show."""

from __future__ import annotations

import pandas as pd

from nextaim_kit.report.verdicts import half_reviewed, same_fields, verdicts
from nextaim_kit.studies.ct_lungquant.findings import figures, planted_errors, words
from nextaim_kit.studies.ct_lungquant.findings.verdicts import states, survived, trace


def test_every_field_of_every_report_comes_back(report):
    found = verdicts(half_reviewed([report, report], "reader-1"))
    assert found["fhir_valid"].all()
    assert found["sr_valid"].all()
    assert (found["fhir_same"] == found["fields"]).all()
    assert (found["sr_same"] == found["fields"]).all()
    assert found["unconfirmed"].tolist() == [18, 16]


def test_reports_that_are_all_confirmed_wait_for_nobody_and_leave_their_bundles(report, tmp_path):
    found = survived([report, report], "reader-1", tmp_path, confirm_all=True)
    assert found["unconfirmed"].tolist() == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["A-001.fhir.json"]


def test_a_mirrored_patient_who_is_confirmed_is_final_and_verified_without_a_warning(row):
    wrong = planted_errors.with_error(pd.DataFrame([row]), "A-001", "image mirrored")
    assert states(wrong) == {"FHIR": "preliminary", "DICOM SR": "UNVERIFIED PRELIMINARY"}
    assert wrong.values["involvement_right"] == row["involvement_left"]
    assert not wrong.doubts
    confirmed = wrong.confirm_all("reader-1")
    assert states(confirmed) == {"FHIR": "final", "DICOM SR": "VERIFIED FINAL"}


def test_a_changed_value_or_state_is_not_the_same(report):
    assert same_fields(report, report) == 18
    assert same_fields(report, report.confirm("ct_ss", "reader-1")) == 17
    assert same_fields(report, report.edit("upper", 21.0, "reader-1")) == 17


def test_a_trace_shows_one_value_in_all_three_places(report):
    found = trace(report, "involvement")
    assert found["where"].tolist() == ["table", "FHIR", "DICOM SR"]
    assert set(found["value"]) == {"20.00"}
    assert set(found["unit"]) == {"%"}


def test_the_figures_say_in_words_what_they_show(row, report):
    shares = pd.DataFrame(
        [{"wording": w} | words.survival(report.values, w) for w in words.WORDINGS]
    )
    assert "in words: 0 % correct" in figures.kept(shares).alt
    assert "A-001 has 10 % on the right and 32 %" in figures.sides(pd.DataFrame([row]), "A-001").alt
