"""Does a report survive its exports? Validators' verdicts, round trips, and planted damage."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from pydicom import Dataset

from nextaim_kit.report import document, fhir, fhir_reading, questionnaire, sr, sr_reading
from nextaim_kit.report.evidence import stand_in
from nextaim_kit.report.fhir import Resource
from nextaim_kit.report.model import CHECK_FIRST, Field, Report
from nextaim_kit.report.quantity import Quantity, Value

Back = tuple[Report | None, list[str]]  # what was read back, and what is wrong
Way = Callable[[Report], Back]
Damages = Mapping[str, Callable[[Resource], object]]


def through_bundle(report: Report) -> Back:
    """A report written as a FHIR bundle, and read back from it."""
    return fhir_reading.examine(json.loads(fhir.to_json(report)), report.template)


def through_document(report: Report) -> Back:
    """A report written as a FHIR document, and read back from its Observations."""
    written = json.loads(document.to_json(report))
    wrong = document.problems(written, report.template)
    return (None if wrong else fhir_reading.from_bundle(written, report.template)), wrong


def through_response(report: Report) -> Back:
    """A report written as the response to its Questionnaire, and read back from it."""
    response = json.loads(json.dumps(questionnaire.to_response(report)))
    return questionnaire.examine(response, report.template)


def through_sr(
    report: Report, evidence: Callable[[Report], Sequence[Dataset]] | None = None
) -> Back:
    """A report written as a DICOM SR, and read back from it; a stand-in's header without others."""
    headers = (evidence or stand_in)(report)
    return sr_reading.examine(sr_reading.read(stream(sr.to_sr(report, headers))), report.template)


OF_IMAGES: Mapping[str, Way] = {"fhir": through_bundle, "sr": through_sr}
OF_TEXTS: Mapping[str, Way] = {"document": through_document, "response": through_response}


def stream(document: Dataset) -> io.BytesIO:
    """A DICOM document as its file would be."""
    written = io.BytesIO()
    document.save_as(written, enforce_file_format=True)
    written.seek(0)
    return written


def half_reviewed(reports: Iterable[Report], by: str) -> list[Report]:
    """Every second report with one value confirmed, and one changed that can be alone.

    All states are then among them; for a test of the exports, not of the patients.
    """
    return [_reviewed(one, by) if k % 2 else one for k, one in enumerate(reports)]


def _reviewed(report: Report, by: str) -> Report:
    """A value that hangs together with no other is changed, and another one is confirmed."""
    against = {key for d in report.doubts if d.name != CHECK_FIRST for key in d.keys}
    calm = [one for one in report.fields if one.what.key not in against]
    free = [one for one in calm if _alone(report, one)][-1:]
    for one in free:
        report = report.edit(one.what.key, another(one.what, one.value), by)
    for one in [one for one in calm if one not in free][:1]:
        report = report.confirm(one.what.key, by)
    return report


def _alone(report: Report, one: Field) -> bool:
    """Whether a value can be changed without contradicting another."""
    changed = replace(one, value=another(one.what, one.value))
    fields = tuple(changed if f is one else f for f in report.fields)
    found = report.template.contradictions(replace(report, fields=fields))
    return all(one.what.key not in doubt.keys for doubt in found)


def another(what: Quantity, value: Value) -> Value:
    """A possible value that is not this one."""
    if what.kind == "number":
        ends = [end for end in (what.low, what.high) if math.isfinite(end)] or [0.0, 1.0]
        return next(what.rounded(end) for end in ends if what.rounded(end) != value)
    words = [True, False] if what.kind == "flag" else [word for word, _ in what.choices]
    return next(word for word in words if word != value)


def verdicts(reports: Iterable[Report], ways: Mapping[str, Way] = OF_IMAGES) -> pd.DataFrame:
    """Export every report, validate the exports, read them back and compare.

    Parameters
    ----------
    reports : iterable of Report
    ways : mapping of str to callable
        By the export's name: out and back. `OF_IMAGES` or `OF_TEXTS`.

    Returns
    -------
    DataFrame
        ``subject``; ``fields``; ``unconfirmed``; ``doubts``; by export ``<name>_valid`` and
        ``<name>_same``, how many fields came back with the same value, code, unit and review;
        ``problems``.
    """
    return pd.DataFrame([_verdict(report, ways) for report in reports])


def _verdict(report: Report, ways: Mapping[str, Way]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject": report.subject,
        "fields": len(report.fields),
        "unconfirmed": len(report.unconfirmed),
        "doubts": len(report.doubts),
    }
    problems: list[str] = []
    for name, way in ways.items():
        back, wrong = way(report)
        row[f"{name}_valid"] = back is not None
        row[f"{name}_same"] = same_fields(report, back) if back else 0
        problems += wrong
    return row | {"problems": "; ".join(problems)}


def same_fields(one: Report, other: Report) -> int:
    """How many fields of one report are in the other, the very same.

    None where the subject, the software or the text is another.
    """
    if (one.subject, one.software, one.text) != (other.subject, other.software, other.text):
        return 0
    return sum(field in other.fields for field in one.fields)


def damaged(
    whole: Resource,
    damages: Damages,
    *,
    model: Callable[[Resource], list[str]],
    rules: Callable[[Resource], list[str]],
) -> pd.DataFrame:
    """Damage an export in each way and see who notices.

    Parameters
    ----------
    whole : Resource
        Stays as it is.
    damages : mapping of str to callable
        By name: changes a resource in place.
    model, rules : callable
        What the model of FHIR says of a resource, and what that and the report's own rules say.

    Returns
    -------
    DataFrame
        ``damage``; ``model`` (the FHIR model refuses it), ``rules`` (so do the report's own
        rules), ``said``.
    """
    rows = []
    for name, damage in damages.items():
        changed = copy.deepcopy(whole)
        damage(changed)
        said = rules(changed)
        first = said[0] if said else ""
        rows.append({"damage": name, "model": bool(model(changed)), "rules": bool(said),
                     "said": first})  # fmt: skip
    return pd.DataFrame(rows)
