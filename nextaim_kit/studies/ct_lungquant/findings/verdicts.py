"""Whether a report survives its exports, who notices a damaged one, and where a value went."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.report import fhir, fhir_reading, sr, sr_reading, verdicts
from nextaim_kit.report.evidence import stand_in
from nextaim_kit.report.model import Report
from nextaim_kit.studies.ct_lungquant.findings.template import LEFT_LUNG, TEMPLATE


def _observation(bundle: dict[str, Any], key: str) -> dict[str, Any]:
    found = (entry["resource"] for entry in _entries(bundle, "Observation"))
    return next(one for one in found if fhir_reading.key_of(one, TEMPLATE) == key)


def _entries(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


def _loses_unit(bundle: dict[str, Any]) -> None:
    del _observation(bundle, "lesions_ml")["valueQuantity"]["code"]


def _in_liters(bundle: dict[str, Any]) -> None:
    _observation(bundle, "lesions_ml")["valueQuantity"]["code"] = "L"


def _says_final(bundle: dict[str, Any]) -> None:
    _entries(bundle, "DiagnosticReport")[0]["resource"]["status"] = "final"


def _value_says_final(bundle: dict[str, Any]) -> None:
    _observation(bundle, "involvement")["status"] = "final"


def _loses_patient(bundle: dict[str, Any]) -> None:
    bundle["entry"].remove(_entries(bundle, "Patient")[0])


def _other_side(bundle: dict[str, Any]) -> None:
    coding = {"system": LEFT_LUNG.uri, "code": LEFT_LUNG.value}
    _observation(bundle, "right_ml")["bodySite"] = {"coding": [coding]}


def _word_for_number(bundle: dict[str, Any]) -> None:
    _observation(bundle, "involvement")["valueQuantity"]["value"] = "a third"


def _no_status(bundle: dict[str, Any]) -> None:
    del _observation(bundle, "ct_ss")["status"]


def _other_number(bundle: dict[str, Any]) -> None:
    _observation(bundle, "involvement")["valueQuantity"]["value"] += 1


DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a status left out": _no_status,
    "a word for a number": _word_for_number,
    "a unit's code left out": _loses_unit,
    "liters for milliliters": _in_liters,
    "report final, values not": _says_final,
    "one value final, unreviewed": _value_says_final,
    "patient left out": _loses_patient,
    "right lung coded as left": _other_side,
    "a number changed": _other_number,
}


def survived(
    reports: Iterable[Report], reader: str, folder: Path, *, confirm_all: bool = False
) -> pd.DataFrame:
    """Reports, every second one half reviewed, exported, validated and read back: the verdicts.

    Parameters
    ----------
    reports : iterable of Report
    reader : str
        Pseudonym of who reviews.
    folder : Path
        Their bundles are left here.
    confirm_all : bool
        Review all of each report.
    """
    reviewed = verdicts.half_reviewed(reports, reader)
    if confirm_all:
        reviewed = [one.confirm_all(reader) for one in reviewed]
    fhir.save_bundles(reviewed, folder)
    return verdicts.verdicts(reviewed)


def states(report: Report) -> dict[str, str]:
    """What each export says of a report's state, in its standard's own words."""
    document = sr.to_sr(report, stand_in(report))
    return {
        "FHIR": fhir.to_bundle(report)["entry"][0]["resource"]["status"],
        "DICOM SR": f"{document.VerificationFlag} {document.PreliminaryFlag}",
    }


def damaged(report: Report) -> pd.DataFrame:
    """Damage an unconfirmed report's bundle in each way and see who notices.

    Returns
    -------
    DataFrame
        As `report.verdicts.damaged`.
    """
    return verdicts.damaged(
        fhir.to_bundle(report), DAMAGES, model=fhir_reading.model_problems,
        rules=lambda bundle: fhir_reading.problems(bundle, report.template),
    )  # fmt: skip


def trace(report: Report, key: str) -> pd.DataFrame:
    """Where one value stands in the table, in FHIR and in DICOM SR, each as read back.

    Returns
    -------
    DataFrame
        A row a place: ``where``, ``address``, ``value``, ``unit``, ``code``, ``place``,
        ``made by``, ``state``.
    """
    one = report.field(key)
    bundle = json.loads(fhir.to_json(report))
    found = _observation(bundle, key)
    document: Any = sr_reading.read(verdicts.stream(sr.to_sr(report, stand_in(report))))
    group = next(
        g
        for g in document.content.get_image_measurement_groups()
        if g.tracking_identifier == one.what.code.value
    )
    again = {
        "FHIR": fhir_reading.from_bundle(bundle, report.template),
        "DICOM SR": sr_reading.from_sr(document, report.template),
    }
    at = {
        "FHIR": f"Observation/{found['id'][:8]}",
        "DICOM SR": f"group ...{group.tracking_uid[-8:]}",
    }
    rows = [{"where": "table", "found at": f"values.csv, column {key}"} | _line(one, report)]
    for where, other in again.items():
        rows.append({"where": where, "found at": at[where]} | _line(other.field(key), other))
    return pd.DataFrame(rows)


def _line(field: Any, report: Report) -> dict[str, str]:
    code = field.what.code
    return {
        "value": field.what.shown(field.value),
        "unit": field.what.ucum,
        "code": f"{code.value} ({code.scheme})",
        "place": field.what.site.display,
        "made by": report.software,
        "state": field.status,
    }
