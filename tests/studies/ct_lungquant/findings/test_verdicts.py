"""Verdicts count what came back, a trace follows one value, figures say what they show."""

from __future__ import annotations

import pandas as pd

from nextaim_kit.report.verdicts import half_reviewed, same_fields, verdicts
from nextaim_kit.studies.ct_lungquant.findings import figures, words
from nextaim_kit.studies.ct_lungquant.findings.verdicts import trace


def test_every_field_of_every_report_comes_back(report):
    found = verdicts(half_reviewed([report, report], "reader-1"))
    assert found["fhir_valid"].all()
    assert found["sr_valid"].all()
    assert (found["fhir_same"] == found["fields"]).all()
    assert (found["sr_same"] == found["fields"]).all()
    assert found["unconfirmed"].tolist() == [18, 16]


def test_a_changed_value_or_state_is_not_the_same(report):
    assert same_fields(report, report) == 18
    assert same_fields(report, report.confirm("ct_ss", "reader-1")) == 17
    assert same_fields(report, report.edit("involvement", 21.0, "reader-1")) == 17


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
