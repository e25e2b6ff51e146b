"""Values are confirmed one by one, and edits that cannot be are refused."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report


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
    edited = report.edit("involvement", 31.0, "reader-1").confirm("involvement", "reader-2")
    field = edited.field("involvement")
    assert (field.value, field.ai_value, field.status, field.by) == (
        31.0,
        20.0,
        "edited",
        "reader-2",
    )


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
    with pytest.raises(RequestError, match="cannot be confirmed"):
        wrong.confirm("involvement", "reader-1")
    assert wrong.confirm_all("reader-1").unconfirmed == ["involvement"]
    assert wrong.edit("involvement", 20.0, "reader-1").confirm_all("reader-1").final
