"""Values are confirmed one by one, and edits that cannot be are refused."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.report.model import ReasonWanted
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from tests.studies.ct_lungquant.findings.conftest import CONSOLIDATED, SMALL


def test_a_new_report_is_unconfirmed_in_every_value_and_says_so(report):
    assert len(report.unconfirmed) == len(report.fields) == 18
    assert report.state == "AI-derived, not confirmed: 18 of 18 values"
    assert not report.final


def test_confirming_leaves_the_first_report_as_it_was(report):
    confirmed = report.confirm("ct_ss", "reader-1")
    assert report.field("ct_ss").status == "ai-derived"
    assert confirmed.field("ct_ss").status == "confirmed"
    assert confirmed.field("ct_ss").by == "reader-1"


def test_an_edit_keeps_what_the_algorithm_said(report):
    edited = report.edit("upper", 31.0, "reader-1").confirm("upper", "reader-2")
    field = edited.field("upper")
    assert (field.value, field.ai_value) == (31.0, 25.0)
    assert (field.status, field.by) == ("edited", "reader-2")


def test_editing_to_the_algorithms_own_value_is_a_confirmation(report):
    assert report.edit("involvement", 20.0, "reader-1").field("involvement").status == "confirmed"


def test_a_report_is_final_when_every_value_is_confirmed(report):
    assert report.confirm_all("reader-1").final


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("involvement", 140.0, "from 0 to 100 %"),
        ("involvement", float("nan"), "from 0 to 100 %"),
        ("involvement", True, "a number"),
        ("involvement", "a third", "a number"),
        ("right_ml", -1.0, "from 0"),
        ("ct_ss", 6, "from 1 to 5"),
        ("type", "a lot", "'ground glass' or 'mixed'"),
        ("bilateral", "maybe", "True or False"),
    ],
)
def test_an_edit_of_a_wrong_type_or_out_of_bounds_is_refused_with_the_reason(
    report, key, value, said
):
    with pytest.raises(RequestError, match="cannot be") as refusal:
        report.edit(key, value, "reader-1")
    assert said in refusal.value.expected


@pytest.mark.parametrize("name", ["", "Mario Rossi", "a" * 33, "<b>"])
def test_a_reader_has_a_pseudonym_and_no_name(report, name):
    with pytest.raises(RequestError, match="no pseudonym"):
        report.confirm("ct_ss", name)


def test_an_unknown_field_is_refused(report):
    with pytest.raises(RequestError, match="no field 'ct_score'"):
        report.confirm("ct_score", "reader-1")


def test_an_impossible_value_cannot_be_confirmed_before_it_is_edited(row):
    wrong = make_report(row | {"involvement": 140.0})
    with pytest.raises(RequestError, match="Lungs affected cannot be 140"):
        wrong.confirm("involvement", "reader-1")
    left = wrong.confirm_all("reader-1")
    assert "involvement" in left.unconfirmed
    assert not left.final
    assert left.edit("involvement", 20.0, "reader-1").confirm_all("reader-1").final


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("involvement", 25.0, "Lungs affected from 19.75 to 20.25 %"),
        ("right_ml", 4600.0, "Volume of both lungs from 6599.75 to 6600.25 mL"),
        ("ground_glass", 60.0, "Ground glass from 69.75 to 70.25 %"),
        ("ct_ss", 3, "class 2"),
        ("type", "consolidation", "mixed"),
        ("bilateral", False, "yes"),
    ],
)
def test_an_edit_that_contradicts_another_value_is_refused_with_what_would_be_allowed(
    report, key, value, allowed
):
    with pytest.raises(RequestError, match="cannot be so") as refusal:
        report.edit(key, value, "reader-1")
    assert allowed in refusal.value.expected


def test_values_that_hang_together_are_changed_together(report):
    changed = report.review(CONSOLIDATED, "reader-1")
    assert {changed.field(key).status for key in CONSOLIDATED} == {"edited"}
    assert changed.doubts == []


def test_what_is_unusual_needs_a_reason_and_keeps_it(row):
    small = make_report(row | SMALL)
    with pytest.raises(ReasonWanted, match="Volume of both lungs of A-001 is unusual"):
        small.confirm("lungs_ml", "reader-1")
    assert "lungs_ml" in small.confirm_all("reader-1").unconfirmed
    accepted = small.confirm("lungs_ml", "reader-1", reason=" a child\n of 5 years ")
    assert accepted.field("lungs_ml").reason == "a child of 5 years"
    assert accepted.confirm_all("reader-2").final
    assert "Volume of both lungs, by reader-1: a child of 5 years." in accepted.impression


def test_a_report_with_an_open_contradiction_is_not_final_and_says_so(contradicting):
    assert contradicting.unconfirmed == []
    assert not contradicting.final
    assert "against 1 check, so not final" in contradicting.state


def test_what_was_not_measured_is_said_so_and_may_be_given(healthy_row):
    healthy = make_report(healthy_row)
    assert (healthy.values["ground_glass"], healthy.doubts) == (None, [])
    assert healthy.field("ground_glass").what.shown(None) == "not assessed"
    found = {"lesions_ml": 22.0, "lesions_right_ml": 22.0, "involvement": 0.5, "type": "mixed",
             "involvement_right": 0.92, "ground_glass": 70.0, "consolidation": 30.0, "left": 0.0,
             "upper": 0.0, "peripheral": 100.0}  # fmt: skip
    assert healthy.review(found, "reader-1").confirm_all("reader-1").final
