"""Many reports at once: reviewed in part for a test, and saved as FHIR bundles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from nextaim_kit.files import write_text
from nextaim_kit.studies.ct_lungquant.report import fhir
from nextaim_kit.studies.ct_lungquant.report.model import Report


def half_reviewed(reports: Iterable[Report], by: str) -> list[Report]:
    """Every second report with its first value confirmed and its last one changed.

    All states are then among them; for a test of the exports, not of the patients.
    """
    return [_reviewed(one, by) if k % 2 else one for k, one in enumerate(reports)]


def _reviewed(report: Report, by: str) -> Report:
    last = report.fields[-1]
    return report.confirm(report.fields[0].what.key, by).edit(last.what.key, not last.value, by)


def save_bundles(reports: Iterable[Report], folder: Path) -> None:
    """Write each report's bundle as ``<subject>.fhir.json``; any subject makes a safe name."""
    for report in reports:
        write_text(folder / f"{quote(report.subject, safe='')}.fhir.json", fhir.to_json(report))
