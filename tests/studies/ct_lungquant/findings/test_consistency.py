"""Contradictions are named, and values that agree are left in peace."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.studies.ct_lungquant.findings import planted_errors, words
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"involvement": 140.0}, "impossible value"),
        ({"lesions_ml": -3.0}, "impossible value"),
        ({"lungs_ml": 4600.0}, "sum of lungs"),
        ({"lesions_ml": 900.0}, "sum of lesions"),
        ({"involvement_left": 12.0}, "share of the lung"),
        ({"left": 0.2}, "share of the left"),
        ({"ground_glass": 0.5}, "shares of the types"),
        ({"ct_ss": 3}, "class of severity"),
        ({"type": "ground glass"}, "type by consolidation"),
        ({"type": "none"}, "type without lesions"),
        ({"bilateral": False}, "bilateral by share"),
        ({"right_ml": 240.0, "left_ml": 200.0, "lungs_ml": 440.0}, "implausible volume"),
        ({"left_ml": 0.0}, "implausible sides"),
    ],
)
def test_a_contradiction_is_named(row, change, name):
    assert name in {doubt.name for doubt in make_report(row | change).doubts}


def test_values_that_agree_raise_no_doubt(report, healthy_row):
    assert report.doubts == []
    assert make_report(healthy_row).doubts == []


def test_a_small_lung_is_no_doubt_where_the_scan_is_incomplete(row):
    small = {k: row[k] / 10 for k in row if k.endswith("_ml")} | {"complete": False}
    assert make_report(row | small).doubts == []


def test_the_impression_says_what_is_doubtful_and_that_a_scan_is_incomplete(row):
    said = make_report(row | {"complete": False, "ct_ss": 4}).impression
    assert "volumes are lower bounds" in said
    assert "Check (class of severity)" in said
    assert said.endswith("not confirmed: 18 of 18 values; against 1 check, so not final.")


def test_an_impossible_share_is_not_repeated_as_a_finding(row):
    said = make_report(row | {"involvement": 140.0}).impression
    assert said.startswith("Synthetic patient. An unknown share of the lungs affected")
    assert "Check (impossible value): Lungs affected is 140.00 %" in said


def test_a_warning_of_the_software_reaches_the_impression(row):
    report = make_report(row | {"warnings": "thick slices; motion"})
    assert report.warnings == ("thick slices", "motion")
    assert "Warning of the software: motion." in report.impression


def test_planted_contradictions_are_caught_and_consistent_errors_are_not(row):
    found = planted_errors.plant(
        pd.DataFrame([row, row | {"subject": "A-002", "ct_ss": 2, "upper": 0.5}])
    )
    caught = planted_errors.caught(found, n_boot=50, seed=0).set_index("name")
    ends = caught.loc["lesions ten times too large", ["low", "high"]].tolist()
    assert ends == pytest.approx([100 * 0.025**0.5, 100])  # exact, of two patients
    caught = caught["value"]
    assert caught["lesions ten times too large"] == 100
    assert caught["severity class off by one"] == 100
    for kind in ("image mirrored", "half of each lesion missed", "values of another patient"):
        assert caught[kind] == 0, kind


def test_dictated_values_come_back_from_their_own_template_only(report):
    assert words.survival(report.values, "as the template says it")["right"] == 1
    assert words.survival(report.values, "in words")["lost"] == 1
    assert words.survival(report.values, "with the prior's values")["wrong"] > 0


def test_shares_of_a_wording_add_up(report):
    for wording in words.WORDINGS:
        assert sum(words.survival(report.values, wording).values()) == pytest.approx(1)
