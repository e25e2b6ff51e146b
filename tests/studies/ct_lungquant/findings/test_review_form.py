"""The form confirms what it shows, value by value, and says why it refuses."""

from __future__ import annotations

import pytest

from nextaim_kit.report.review_form import ReportForm


@pytest.fixture
def form(report):
    return ReportForm(report, "reader-1")


def test_a_button_confirms_its_own_value_only(form):
    form.buttons["ct_ss"].click()
    assert form.report.field("ct_ss").status == "confirmed"
    assert len(form.report.unconfirmed) == 17
    assert form.states["ct_ss"].value == "AI-derived, confirmed by a reader (reader-1)"
    assert "17 of 18" in form.banner.value


def test_a_changed_input_is_an_edit_and_its_contradictions_are_said(form):
    form.inputs["involvement"].value = 60.0
    form.buttons["involvement"].click()
    assert form.report.field("involvement").status == "edited"
    assert "class of severity" in form.said.value


def test_a_value_out_of_bounds_is_refused_with_its_reason(form):
    form.inputs["involvement"].value = 140.0
    form.buttons["involvement"].click()
    assert form.report.field("involvement").status == "ai-derived"
    assert "from 0 to 100 %" in form.said.value


def test_a_changed_input_counts_only_when_its_button_is_pressed(form):
    form.inputs["involvement"].value = 60.0
    assert "press Confirm" in form.states["involvement"].value
    form.buttons["ct_ss"].click()
    assert "press Confirm" in form.states["involvement"].value
    assert form.report.values["involvement"] == 20.0
    form.buttons["involvement"].click()
    assert form.states["involvement"].value == "Edited by a reader (reader-1), AI: 20.00"


def test_choices_and_flags_can_be_changed(form):
    form.inputs["type"].value, form.inputs["bilateral"].value = "consolidation", False
    form.buttons["type"].click()
    form.buttons["bilateral"].click()
    assert form.report.values["type"] == "consolidation"
    assert form.report.values["bilateral"] is False
