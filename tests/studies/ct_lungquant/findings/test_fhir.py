"""The FHIR bundle is valid, says who confirmed, comes back whole, and damage is noticed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.report import fhir, fhir_reading
from nextaim_kit.report.evidence import stand_in
from nextaim_kit.studies.ct_lungquant.findings.quantities import make_report
from nextaim_kit.studies.ct_lungquant.findings.template import TEMPLATE
from nextaim_kit.studies.ct_lungquant.findings.verdicts import DAMAGES, damaged
from tests.studies.ct_lungquant.findings.conftest import SMALL


def observations(report):
    resources = [entry["resource"] for entry in fhir.to_bundle(report)["entry"]]
    kinds = [r for r in resources if r["resourceType"] == "Observation"]
    return {fhir_reading.key_of(r, TEMPLATE): r for r in kinds if fhir_reading.key_of(r, TEMPLATE)}


def test_a_bundle_is_valid_and_comes_back_the_same(any_report):
    bundle = json.loads(fhir.to_json(any_report))
    assert fhir_reading.problems(bundle, TEMPLATE) == []
    assert fhir_reading.from_bundle(bundle, TEMPLATE) == any_report


def test_the_same_report_gives_the_same_text(row):
    assert fhir.to_json(make_report(row)) == fhir.to_json(make_report(row))


def test_a_report_is_preliminary_until_every_value_is_confirmed(report):
    def status(one):
        return fhir.to_bundle(one)["entry"][0]["resource"]["status"]

    assert status(report.confirm("ct_ss", "reader-1")) == "preliminary"
    assert status(report.confirm_all("reader-1")) == "final"


def test_a_report_with_an_open_contradiction_is_preliminary_and_final_is_refused(contradicting):
    bundle = fhir.to_bundle(contradicting)
    whole = bundle["entry"][0]["resource"]
    assert whole["status"] == "preliminary"
    assert "so not final" in whole["conclusion"]
    whole["status"] = "final"
    assert fhir_reading.problems(bundle, TEMPLATE) == [
        "DiagnosticReport is final, its values are not"
    ]


def test_a_reason_is_a_note_of_its_reader(row):
    small = make_report(row | SMALL).confirm("lungs_ml", "reader-1", reason="a child")
    assert {"authorString": "reader-1", "text": "a child"} in observations(small)["lungs_ml"][
        "note"
    ]


def test_what_was_not_measured_has_a_reason_and_no_value(healthy_row):
    found = observations(make_report(healthy_row))["ground_glass"]
    assert found["dataAbsentReason"]["text"] == "not assessed"
    assert "valueQuantity" not in found


def test_an_unconfirmed_value_says_so_by_status_note_and_extension(report):
    found = observations(report.confirm("ct_ss", "reader-1"))
    assert found["involvement"]["status"] == "preliminary"
    assert found["involvement"]["note"] == [{"text": "AI-derived, not confirmed"}]
    assert found["ct_ss"]["status"] == "final"
    assert "note" not in found["ct_ss"]


def test_values_have_ucum_units_places_and_the_label_of_artificial_intelligence(report):
    volume = observations(report)["right_ml"]
    assert volume["valueQuantity"]["code"] == "mL"
    assert volume["valueQuantity"]["system"] == "http://unitsofmeasure.org"
    assert volume["bodySite"]["coding"][0]["code"] == "3341006"
    assert "AIAST" in {label["code"] for label in volume["meta"]["security"]}


def test_volumes_of_an_incomplete_scan_are_lower_bounds_and_shares_are_not(row):
    found = observations(make_report(row | {"complete": False}))
    assert found["lungs_ml"]["valueQuantity"]["comparator"] == ">="
    assert "comparator" not in found["involvement"]["valueQuantity"]


def test_with_its_ct_the_report_refers_to_the_study(report):
    bundle = fhir.to_bundle(report, stand_in(report))
    study = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "ImagingStudy")
    assert bundle["entry"][0]["resource"]["imagingStudy"] == [{"reference": study["fullUrl"]}]
    assert fhir_reading.problems(bundle, TEMPLATE) == []
    assert fhir_reading.from_bundle(bundle, TEMPLATE) == report


def test_real_patients_are_not_labeled_as_test_data(row):
    assert "HTEST" in fhir.to_json(make_report(row))
    assert "HTEST" not in fhir.to_json(make_report(row | {"provenance_synthetic": False}))


def test_every_damage_but_a_changed_number_is_noticed(report):
    found = damaged(report).set_index("damage")["rules"]
    assert len(found) == len(DAMAGES)
    assert list(found[~found].index) == ["a number changed"]


def test_a_damaged_bundle_is_not_read(report):
    bundle = fhir.to_bundle(report)
    del bundle["entry"][1]
    with pytest.raises(DataError, match="no report in FHIR"):
        fhir_reading.from_bundle(bundle, TEMPLATE)


def test_an_unknown_element_is_refused_by_the_model(report):
    bundle = fhir.to_bundle(report)
    bundle["entry"][0]["resource"]["colour"] = "red"
    assert "colour" in fhir_reading.problems(bundle, TEMPLATE)[0]


def marked(report) -> set[str]:
    resources = [entry["resource"] for entry in fhir.to_bundle(report)["entry"]]
    ai = [r for r in resources if {"AIAST"} <= {s["code"] for s in r["meta"].get("security", [])}]
    return {fhir_reading.key_of(r, TEMPLATE) if "bodySite" in r else r["resourceType"] for r in ai}


def test_an_edited_value_is_the_readers_and_a_confirmed_one_stays_the_algorithms(report):
    reviewed = report.confirm("ct_ss", "reader-1").edit("upper", 30.0, "reader-2")
    found = observations(reviewed)
    assert found["upper"]["performer"][0]["identifier"]["value"] == "reader-2"
    assert not {"device", "method"} & set(found["upper"])
    assert "performer" not in found["ct_ss"]
    assert "upper" not in marked(reviewed)
    assert {"ct_ss", "Observation", "DiagnosticReport"} <= marked(reviewed)


def test_a_report_names_its_readers_as_interpreters_and_nobody_where_nobody_looked(report):
    def interpreters(one):
        return fhir.to_bundle(one)["entry"][0]["resource"].get("resultsInterpreter", [])

    both = report.confirm("ct_ss", "reader-1").edit("upper", 30.0, "reader-2")
    assert [one["identifier"]["value"] for one in interpreters(both)] == ["reader-1", "reader-2"]
    assert interpreters(report) == []


def test_a_report_whose_every_value_was_edited_is_not_asserted_by_an_algorithm(row):
    new = make_report(row)
    edited = (replace(one, status="edited", by="reader-1") for one in new.fields)
    report = replace(new, fields=tuple(edited))
    assert marked(report) == set()


@pytest.mark.parametrize("damage", ["label", "performer"])
def test_a_value_that_claims_another_maker_is_refused(report, damage):
    bundle = fhir.to_bundle(report.edit("upper", 30.0, "reader-2"))
    found = next(e["resource"] for e in bundle["entry"] if "performer" in e["resource"])
    if damage == "performer":
        del found["performer"]
    else:
        found["meta"]["security"].append({"code": "AIAST"})
    assert "made by another" in "; ".join(fhir_reading.problems(bundle, TEMPLATE))
