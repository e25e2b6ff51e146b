"""The form confirms what it shows, value by value, and says why it refuses."""

from __future__ import annotations

import pytest

from nextaim_kit.report.review_form import ReportForm
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from tests.studies.ct_lungquant.findings.conftest import CONSOLIDATED, PNG, SMALL


@pytest.fixture
def form(report):
    return ReportForm(report, "reader-1")


def test_a_button_confirms_its_own_value_only(form):
    form.buttons["ct_ss"].click()
    assert form.report.field("ct_ss").status == "confirmed"
    assert len(form.report.unconfirmed) == 17
    assert form.states["ct_ss"].value == "AI-derived, confirmed by a reader (reader-1)"
    assert "17 of 18" in form.banner.value


@pytest.mark.parametrize(
    ("value", "said"), [(75.0, "Lungs affected from 19.75 to 20.25 %"), (140.0, "from 0 to 100 %")]
)
def test_an_impossible_value_is_refused_beside_its_button_and_aloud(form, value, said):
    form.inputs["involvement"].value = value
    form.buttons["involvement"].click()
    assert form.report.field("involvement").status == "ai-derived"
    assert 'role="alert"' in form.said["involvement"].value
    assert said in form.said["involvement"].value
    form.buttons["ct_ss"].click()
    assert form.said["involvement"].value == ""


def test_values_that_hang_together_are_reviewed_by_one_button_once_all_are_changed(form):
    form.inputs["consolidation"].value, form.inputs["type"].value = "60", "consolidation"
    form.buttons["type"].click()
    assert "Ground glass from 39.75 to 40.25 %" in form.said["type"].value
    form.inputs["ground_glass"].value, form.inputs["upper"].value = "40", "50"
    form.buttons["type"].click()
    assert "Done, with " in form.said["type"].value
    assert {form.report.field(key).status for key in CONSOLIDATED} == {"edited"}
    assert form.report.field("upper").status == "ai-derived"  # it hangs together with none


def test_an_unusual_value_asks_for_a_reason(row):
    form = ReportForm(make_report(row | SMALL), "reader-1")
    form.buttons["lungs_ml"].click()
    assert "a written reason" in form.said["lungs_ml"].value
    assert form.reasons["lungs_ml"].layout.display == ""
    form.reasons["lungs_ml"].value = "a child"
    form.buttons["lungs_ml"].click()
    assert form.report.field("lungs_ml").reason == "a child"


def test_the_picture_stands_with_the_lines_and_has_a_text(row, tmp_path):
    (tmp_path / "ct.png").write_bytes(PNG)
    form = ReportForm(make_report(row | {"picture": str(tmp_path / "ct.png")}), "reader-1")
    picture, lines = form.widget.children[1].children
    assert 'alt="CT of A-001' in picture.value
    assert lines is form.lines


def test_a_changed_input_counts_only_when_its_button_is_pressed(form):
    form.inputs["upper"].value = "60"
    assert "press Confirm" in form.states["upper"].value
    form.buttons["ct_ss"].click()
    assert "press Confirm" in form.states["upper"].value
    assert form.report.values["upper"] == 25.0
    form.buttons["upper"].click()
    assert form.states["upper"].value == "Edited by a reader (reader-1), AI: 25.0"


def test_flags_can_be_changed(form):
    form.inputs["complete"].value = False
    form.buttons["complete"].click()
    assert form.report.values["complete"] is False
