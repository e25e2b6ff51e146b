"""Ten ways to damage a FHIR document of a report, of which a validator should notice as many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.report import document, fhir_reading, verdicts
from nextaim_kit.report.fhir import Resource
from nextaim_kit.report.filling import fill
from nextaim_kit.report.model import Report
from nextaim_kit.studies.report_structuring.record.sheet import report_template
from nextaim_kit.studies.report_structuring.schema import read_template

UNNOTICED = "a number changed, in both"


def damaged(report: Report) -> pd.DataFrame:
    """Damage an unconfirmed report's document in each way and see who notices.

    Parameters
    ----------
    report : Report
        With a number and a choice that the text mentions.

    Returns
    -------
    DataFrame
        ``damage``, ``model``, ``rules``, ``said``, as of `report.verdicts.damaged`.
    """
    return verdicts.damaged(
        document.to_document(report), DAMAGES, model=fhir_reading.model_problems,
        rules=lambda changed: document.problems(changed, report.template),
    )  # fmt: skip


def example(language: str = "en") -> Report:
    """An unconfirmed report with a number and a choice, made up."""
    text = "FE 55 %, ritmo sinusale."
    template = report_template(read_template("echo_short"), language)
    values: dict[str, Any] = dict.fromkeys(template.by_key) | {"ef": 55.0, "rhythm": "sinus"}
    told = {"subject": "example", "software": "made up", "text": text, MARK: True}
    return fill(template, values | told | {"evidence": {"ef": [(0, 7)], "rhythm": [(9, 23)]}})


def _first(whole: Resource, kind: str, holds: str = "") -> Resource:
    """The first resource of a kind in a document, or that which holds a thing."""
    found = (entry["resource"] for entry in whole["entry"])
    return next(one for one in found if one["resourceType"] == kind and (not holds or holds in one))


def _number(whole: Resource) -> Resource:
    return _first(whole, "Observation", "valueQuantity")


def _answered(whole: Resource, kind: str) -> Resource:
    groups = _first(whole, "QuestionnaireResponse")["item"]
    items = (item for group in groups for item in group["item"])
    return next(one for item in items for one in item.get("answer", []) if kind in one)


def _no_section(whole: Resource) -> None:
    sections = _first(whole, "Composition")["section"]
    sections.remove(next(one for one in sections if one.get("entry")))


def _own_section(whole: Resource) -> None:
    _first(whole, "Composition")["section"][0]["code"]["coding"][0]["code"] = "00000-0"


def _one_number(whole: Resource) -> None:
    _number(whole)["valueQuantity"]["value"] += 1


def _both_numbers(whole: Resource) -> None:
    _one_number(whole)
    _answered(whole, "valueDecimal")["valueDecimal"] += 1


DAMAGES: dict[str, Callable[[Resource], object]] = {
    "a status left out": lambda whole: _number(whole).pop("status"),
    "a word for a number":
        lambda whole: _number(whole)["valueQuantity"].update(value="about a half"),
    "a unit's code left out": lambda whole: _number(whole)["valueQuantity"].pop("code"),
    "document final, values not": lambda whole: _first(whole, "Composition").update(status="final"),
    "one value final, unreviewed": lambda whole: _number(whole).update(status="final"),
    "a section with its values left out": _no_section,
    "a section's code that LOINC has not": _own_section,
    "an answer that the question has not":
        lambda whole: _answered(whole, "valueCoding")["valueCoding"].update(code="maybe"),
    "a number changed in an Observation": _one_number,
    UNNOTICED: _both_numbers,
}  # fmt: skip
