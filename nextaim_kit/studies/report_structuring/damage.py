"""Ten ways to damage a FHIR document of a report, of which a validator should notice as many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.report import document, fhir_reading, verdicts
from nextaim_kit.report.fhir import Resource
from nextaim_kit.report.filling import fill
from nextaim_kit.report.model import Report
from nextaim_kit.studies.report_structuring.record import report_template
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
    text, template = (
        "FE 55 %, ritmo sinusale.",
        report_template(read_template("echo_short"), language),
    )
    values: dict[str, Any] = dict.fromkeys(template.by_key) | {"ef": 55.0, "rhythm": "sinus"}
    told = {"subject": "example", "software": "made up", "text": text, MARK: True}
    return fill(template, values | told | {"evidence": {"ef": [(0, 7)], "rhythm": [(9, 23)]}})


def _of(whole: Resource, kind: str) -> Iterator[Resource]:
    found = (entry["resource"] for entry in whole["entry"])
    return (one for one in found if one["resourceType"] == kind)


def _observed(whole: Resource, holds: str) -> Resource:
    return next(one for one in _of(whole, "Observation") if holds in one)


def _answered(whole: Resource, kind: str) -> Resource:
    groups = next(_of(whole, "QuestionnaireResponse"))["item"]
    answers = (
        answer for group in groups for item in group["item"] for answer in item.get("answer", [])
    )
    return next(answer for answer in answers if kind in answer)


def _sections(whole: Resource) -> list[Resource]:
    return next(_of(whole, "Composition"))["section"]


def _no_status(whole: Resource) -> None:
    del _observed(whole, "valueQuantity")["status"]


def _word_for_number(whole: Resource) -> None:
    _observed(whole, "valueQuantity")["valueQuantity"]["value"] = "about a half"


def _no_unit(whole: Resource) -> None:
    del _observed(whole, "valueQuantity")["valueQuantity"]["code"]


def _says_final(whole: Resource) -> None:
    next(_of(whole, "Composition"))["status"] = "final"


def _value_says_final(whole: Resource) -> None:
    _observed(whole, "valueQuantity")["status"] = "final"


def _no_section(whole: Resource) -> None:
    _sections(whole).remove(next(one for one in _sections(whole) if one.get("entry")))


def _own_section(whole: Resource) -> None:
    _sections(whole)[0]["code"]["coding"][0]["code"] = "00000-0"


def _no_word_of_it(whole: Resource) -> None:
    _answered(whole, "valueCoding")["valueCoding"]["code"] = "maybe"


def _one_number(whole: Resource) -> None:
    _observed(whole, "valueQuantity")["valueQuantity"]["value"] += 1


def _both_numbers(whole: Resource) -> None:
    _one_number(whole)
    _answered(whole, "valueDecimal")["valueDecimal"] += 1


DAMAGES: dict[str, Callable[[Resource], None]] = {
    "a status left out": _no_status,
    "a word for a number": _word_for_number,
    "a unit's code left out": _no_unit,
    "document final, values not": _says_final,
    "one value final, unreviewed": _value_says_final,
    "a section with its values left out": _no_section,
    "a section's code that LOINC has not": _own_section,
    "an answer that the question has not": _no_word_of_it,
    "a number changed in an Observation": _one_number,
    UNNOTICED: _both_numbers,
}
