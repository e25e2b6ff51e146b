"""The exercises that look into a report, on a report of which nothing is confirmed."""

from __future__ import annotations

from nextaim_kit.report import fhir


def test_the_unit_of_a_volume_is_coded_with_a_capital_letter(said, report):
    exercise, bundle = "ct_lungquant/structured_report 2", fhir.to_bundle(report)
    assert said(exercise, "mL", bundle=bundle) == "Correct.\n"
    assert "Small and capital letters count" in said(exercise, "ml", bundle=bundle)
    assert said(exercise, "mL", bundle={"entry": []}).startswith("These data have no answer")


def test_two_of_the_values_no_longer_wait_when_one_is_confirmed_and_one_edited(said, report):
    exercise, names = "ct_lungquant/structured_report 1", {"report": report, "reader": "reader-1"}
    names["reports"] = {report.subject: report}
    assert len(report.fields) == 18
    assert said(exercise, 16, **names) == "Correct.\n"
    assert "off by one" in said(exercise, 17, **names)
