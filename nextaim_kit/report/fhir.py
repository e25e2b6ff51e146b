"""The report as a FHIR R4B bundle.

One Observation a value, with code, UCUM unit, place, algorithm and its own status; each section is
an Observation that has them as members (FHIR's DiagnosticReport has no sections). The security
label AIAST, "Artificial Intelligence asserted", is HL7's own (v3-ObservationValue), used as the AI
Transparency guide does, where a value is the algorithm's, confirmed or not; an edited one has its
reader as performer, and no device. HTEST marks test data. Nothing changes between two runs.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nextaim_kit.files import write_text
from nextaim_kit.report import codes
from nextaim_kit.report.codes import KIT_URL, Code
from nextaim_kit.report.model import UNCONFIRMED, Field, Report
from nextaim_kit.report.quantity import Quantity, Value

if TYPE_CHECKING:
    from pydicom import Dataset

Resource = dict[str, Any]
REVIEW = f"{KIT_URL}/StructureDefinition/review"
WARNING = f"{KIT_URL}/StructureDefinition/software-warning"
_V3 = "http://terminology.hl7.org/CodeSystem"
_AI = {"system": f"{_V3}/v3-ObservationValue", "code": "AIAST",
       "display": "Artificial Intelligence asserted"}  # fmt: skip
TEST = {"system": f"{_V3}/v3-ActReason", "code": "HTEST", "display": "test health data"}
_IMAGING = {"coding": [{"system": f"{_V3}/observation-category", "code": "imaging"}]}
_RADIOLOGY = {"coding": [{"system": f"{_V3}/v2-0074", "code": "RAD", "display": "Radiology"}]}


def to_bundle(report: Report, images: Sequence[Dataset] = ()) -> Resource:
    """Make the bundle: Patient, Device, Observations, sections and DiagnosticReport.

    Statuses are ``preliminary`` until a reader has confirmed: of each Observation by its own
    field, of sections and report by all of them.

    Parameters
    ----------
    report : Report
    images : sequence of Dataset, optional
        Headers of the images; with them the report refers to an ImagingStudy.
    """
    people = [_patient(report), _device(report), *([_study(report, images)] if images else [])]
    values = [_observation(report, one) for one in report.fields]
    sections = [_section(report, section) for section in codes.SECTIONS]
    resources = [_report(report, sections, bool(images)), *people, *sections, *values]
    entries = [{"fullUrl": _url(r["id"]), "resource": _marked(r, report)} for r in resources]
    return {"resourceType": "Bundle", "id": _id(report, "bundle"), "type": "collection",
            "entry": entries}  # fmt: skip


def to_json(report: Report, images: Sequence[Dataset] = ()) -> str:
    """The bundle as text, the same for the same report."""
    return json.dumps(to_bundle(report, images), indent=1, ensure_ascii=False)


def save_bundles(reports: Iterable[Report], folder: Path) -> None:
    """Write each report's bundle as ``<subject>.fhir.json``; any subject makes a safe name."""
    for report in reports:
        write_text(folder / f"{quote(report.subject, safe='')}.fhir.json", to_json(report))


def _id(report: Report, what: str) -> str:
    root = report.template.ids or f"{KIT_URL}/{report.template.name}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{root}/{report.site}/{report.subject}/{what}"))


def _url(identifier: str) -> str:
    return f"urn:uuid:{identifier}"


def _to(report: Report, what: str) -> Resource:
    return {"reference": _url(_id(report, what))}


def _by_reader(one: Field) -> bool:
    return one.status == "edited"


def _reader(name: str) -> Resource:
    identifier = {"system": f"{KIT_URL}/reader", "value": name}
    return {"type": "Practitioner", "identifier": identifier, "display": name}


def _asserted(report: Report) -> set[str]:
    """Ids of what the algorithm says: its values that nobody has edited, and what holds one."""
    own = [one.what for one in report.fields if not _by_reader(one)]
    names = {what.key for what in own} | {what.section.value for what in own}
    return {_id(report, n) for n in names | ({codes.IMPRESSIONS.value, "report"} if own else set())}


def _marked(resource: Resource, report: Report) -> Resource:
    labels = [_AI] if resource["id"] in _asserted(report) else []
    labels += [TEST] if report.synthetic else []
    meta = {"meta": {"security": labels}} if labels else {}
    head = {key: resource[key] for key in ("resourceType", "id")}
    return head | meta | {k: v for k, v in resource.items() if k not in head}


def _coded(*given: Code | None) -> Resource:
    coding = [{"system": c.uri, "code": c.value, "display": c.display} for c in given if c]
    return {"coding": coding}


def _patient(report: Report) -> Resource:
    site = {"managingOrganization": {"display": report.site}} if report.site else {}
    identifier = [{"system": f"{KIT_URL}/subject", "value": report.subject}]
    return {"resourceType": "Patient", "id": _id(report, "patient"), "identifier": identifier,
            **site}  # fmt: skip


def _study(report: Report, images: Sequence[Dataset]) -> Resource:
    identifier = [{"system": "urn:dicom:uid", "value": f"urn:oid:{images[0].StudyInstanceUID}"}]
    modality = {"system": codes.DCM.uri, "code": report.template.modality}
    series = [{"uid": str(images[0].SeriesInstanceUID), "modality": modality}]
    return {"resourceType": "ImagingStudy", "id": _id(report, "study"), "identifier": identifier,
            "status": "available", "subject": _to(report, "patient"), "series": series}  # fmt: skip


def _device(report: Report) -> Resource:
    name = [{"name": report.software, "type": "model-name"}]
    return {"resourceType": "Device", "id": _id(report, "device"), "deviceName": name}


def _value(what: Quantity, value: Value) -> Resource:
    if what.kind == "flag":
        return {"valueBoolean": value}
    if what.kind == "choice":
        return {"valueCodeableConcept": _coded(dict(what.choices)[str(value)])}
    assert what.unit is not None
    unit = {"unit": what.unit.display, "system": what.unit.uri, "code": what.unit.value}
    return {"valueQuantity": {"value": value} | unit}


def _observation(report: Report, one: Field) -> Resource:
    what, value = one.what, _value(one.what, one.value)
    if what.bound and not report.whole:
        value["valueQuantity"]["comparator"] = ">="
    said = [d.text for d in report.doubts if what.key in d.keys]
    said += [UNCONFIRMED] if one.status == "ai-derived" else []
    return {
        "resourceType": "Observation",
        "id": _id(report, what.key),
        "extension": [_review(one)],
        "status": "preliminary" if one.status == "ai-derived" else "final",
        "category": [_IMAGING],
        "code": _coded(what.code, what.standard) | {"text": what.label},
        "subject": _to(report, "patient"),
        **value,
        **({"note": [{"text": text} for text in said]} if said else {}),
        "bodySite": _coded(what.site),
        **_made(report, one),
    }


def _made(report: Report, one: Field) -> Resource:
    """By whom a value was made, and how."""
    if _by_reader(one):
        return {"performer": [_reader(one.by)]}
    return {"method": {"text": one.what.how}, "device": _to(report, "device")}


def _review(one: Field) -> Resource:
    said = [{"url": "status", "valueCode": one.status}]
    said += [{"url": "reviewer", "valueString": one.by}] if one.by else []
    if one.status == "edited":
        said.append({"url": "aiValue"} | _value(one.what, one.ai_value))
    return {"url": REVIEW, "extension": said}


def _section(report: Report, section: Code) -> Resource:
    inside = [f.what.key for f in report.fields if f.what.section == section]
    text = report.impression if section == codes.IMPRESSIONS else ""
    members = {"hasMember": [_to(report, key) for key in inside]} if inside else {}
    return {
        "resourceType": "Observation",
        "id": _id(report, section.value),
        "status": "final" if report.final else "preliminary",
        "category": [_IMAGING],
        "code": _coded(section),
        "subject": _to(report, "patient"),
        **({"valueString": text} if text else {}),
        **members,
    }


def _report(report: Report, sections: list[Resource], has_study: bool) -> Resource:
    readers = [_reader(name) for name in report.readers]
    warned = [{"url": WARNING, "valueString": text} for text in report.warnings]
    return {
        "resourceType": "DiagnosticReport",
        "id": _id(report, "report"),
        **({"extension": warned} if warned else {}),
        "status": "final" if report.final else "preliminary",
        "category": [_RADIOLOGY],
        "code": _coded(report.template.code),
        "subject": _to(report, "patient"),
        **({"resultsInterpreter": readers} if readers else {}),
        "result": [{"reference": _url(s["id"])} for s in sections],
        **({"imagingStudy": [_to(report, "study")]} if has_study else {}),
        "conclusion": report.impression,
    }
