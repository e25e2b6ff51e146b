"""The report as a FHIR R4B bundle.

One Observation a value, with code, UCUM unit, place, algorithm and its own status; each section is
an Observation that has them as members (FHIR's DiagnosticReport has no sections). The security
label AIAST, "Artificial Intelligence asserted", is HL7's own (v3-ObservationValue), used as the AI
Transparency guide does, where a value is the algorithm's, confirmed or not; an edited one has its
reader as performer, and no device. HTEST marks test data. Nothing changes between two runs.

A report that was read from a text has the text as a DocumentReference, which its Observations are
derived from; the confidence in a value and the places of the text that it was read from stand with
its review. A value that the text does not mention has a dataAbsentReason.
"""

from __future__ import annotations

import base64
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
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_V3 = "http://terminology.hl7.org/CodeSystem"
_AI = {"system": f"{_V3}/v3-ObservationValue", "code": "AIAST",
       "display": "Artificial Intelligence asserted"}  # fmt: skip
TEST = {"system": f"{_V3}/v3-ActReason", "code": "HTEST", "display": "test health data"}
_NONE = {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}
_IMAGING = {"coding": [{"system": f"{_V3}/observation-category", "code": "imaging"}]}
_RADIOLOGY = {"coding": [{"system": f"{_V3}/v2-0074", "code": "RAD", "display": "Radiology"}]}


def to_bundle(report: Report, images: Sequence[Dataset] = ()) -> Resource:
    """Make the bundle: Patient, Device, Observations, sections and DiagnosticReport.

    Statuses are ``preliminary`` until a reader has confirmed: of each Observation by its own
    field, of sections and report by all of them, and while a check speaks against a value.

    Parameters
    ----------
    report : Report
    images : sequence of Dataset, optional
        Headers of the images; with them the report refers to an ImagingStudy.
    """
    people = [_patient(report), _device(report), *([_study(report, images)] if images else [])]
    people += [_prose(report)] if report.text else []
    values = [_observation(report, one) for one in report.fields]
    sections = [_section(report, section) for section in report.template.sections]
    resources = [_report(report, sections, bool(images)), *people, *sections, *values]
    return {"resourceType": "Bundle", "id": id_of(report, "bundle"), "type": "collection",
            "entry": [entry(one, report) for one in resources]}  # fmt: skip


def entry(resource: Resource, report: Report) -> Resource:
    """A resource as it stands in a bundle, marked as the algorithm's and as test data."""
    return {"fullUrl": _url(resource["id"]), "resource": marked(resource, report)}


def to_json(report: Report, images: Sequence[Dataset] = ()) -> str:
    """The bundle as text, the same for the same report."""
    return json.dumps(to_bundle(report, images), indent=1, ensure_ascii=False)


def save_bundles(reports: Iterable[Report], folder: Path) -> None:
    """Write each report's bundle as ``<subject>.fhir.json``; any subject makes a safe name."""
    for report in reports:
        write_text(folder / f"{quote(report.subject, safe='')}.fhir.json", to_json(report))


def id_of(report: Report, what: str) -> str:
    """A resource's id, the same whenever it is made."""
    root = report.template.ids or f"{KIT_URL}/{report.template.name}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{root}/{report.site}/{report.subject}/{what}"))


def subject_of(report: Report) -> Resource:
    """The subject's identifier."""
    return {"system": f"{KIT_URL}/subject", "value": report.subject}


def _url(identifier: str) -> str:
    return f"urn:uuid:{identifier}"


def _to(report: Report, what: str) -> Resource:
    return {"reference": _url(id_of(report, what))}


def _by_reader(one: Field) -> bool:
    return one.status == "edited"


def reader(name: str) -> Resource:
    """A reader by the pseudonym."""
    identifier = {"system": f"{KIT_URL}/reader", "value": name}
    return {"type": "Practitioner", "identifier": identifier, "display": name}


def _asserted(report: Report) -> set[str]:
    """Ids of what the algorithm says: its values that nobody has edited, and what holds one."""
    own = [one.what for one in report.fields if not _by_reader(one)]
    names = {what.key for what in own} | {what.section.value for what in own}
    whole = {report.template.sections[-1].value, "report", "response", "document"}
    return {id_of(report, n) for n in names | (whole if own else set())}


def marked(resource: Resource, report: Report) -> Resource:
    """A resource with its security labels."""
    labels = [_AI] if resource["id"] in _asserted(report) else []
    labels += [TEST] if report.synthetic else []
    meta = {"meta": {"security": labels}} if labels else {}
    head = {key: resource[key] for key in ("resourceType", "id")}
    return head | meta | {k: v for k, v in resource.items() if k not in head}


def coded(*given: Code | None) -> Resource:
    """A concept by its codes."""
    coding = [{"system": c.uri, "code": c.value, "display": c.display} for c in given if c]
    return {"coding": coding}


def _patient(report: Report) -> Resource:
    site = {"managingOrganization": {"display": report.site}} if report.site else {}
    return {"resourceType": "Patient", "id": id_of(report, "patient"),
            "identifier": [subject_of(report)], **site}  # fmt: skip


def _study(report: Report, images: Sequence[Dataset]) -> Resource:
    identifier = [{"system": "urn:dicom:uid", "value": f"urn:oid:{images[0].StudyInstanceUID}"}]
    modality = {"system": codes.DCM.uri, "code": report.template.modality}
    series = [{"uid": str(images[0].SeriesInstanceUID), "modality": modality}]
    return {"resourceType": "ImagingStudy", "id": id_of(report, "study"), "identifier": identifier,
            "status": "available", "subject": _to(report, "patient"), "series": series}  # fmt: skip


def _prose(report: Report) -> Resource:
    return {"resourceType": "DocumentReference", "id": id_of(report, "text"), "status": "current",
            "type": coded(codes.RADIOLOGY_REPORT), "subject": _to(report, "patient"),
            "content": [{"attachment": attached(report.text)}]}  # fmt: skip


def attached(text: str) -> Resource:
    """A text as an attachment."""
    data = base64.b64encode(text.encode()).decode()
    return {"contentType": "text/plain; charset=utf-8", "data": data}


def _device(report: Report) -> Resource:
    name = [{"name": report.software, "type": "model-name"}]
    return {"resourceType": "Device", "id": id_of(report, "device"), "deviceName": name}


def value_of(what: Quantity, value: Value) -> Resource:
    """A value as the element of FHIR that its kind has; none where there is none."""
    if value is None:
        return {}
    if what.kind == "flag":
        return {"valueBoolean": value}
    if what.kind == "choice":
        return {"valueCodeableConcept": coded(dict(what.choices)[str(value)])}
    assert what.unit is not None
    unit = {"unit": what.unit.display, "system": what.unit.uri, "code": what.unit.value}
    return {"valueQuantity": {"value": value} | unit}


def _observation(report: Report, one: Field) -> Resource:
    what, value = one.what, value_of(one.what, one.value)
    value = value or {"dataAbsentReason": coded(codes.UNKNOWN) | {"text": what.absent}}
    if "valueQuantity" in value and what.bound and not report.whole:
        value["valueQuantity"]["comparator"] = ">="
    said = [d.text for d in report.doubts if what.key in d.keys]
    said += [UNCONFIRMED] if one.status == "ai-derived" else []
    notes: list[Resource] = [{"text": text} for text in said]
    notes += [{"authorString": one.by, "text": one.reason}] if one.reason else []
    return {
        "resourceType": "Observation",
        "id": id_of(report, what.key),
        "extension": [review(report, one)],
        "status": "preliminary" if one.status == "ai-derived" else "final",
        "category": [_IMAGING],
        "code": coded(what.code, what.standard) | {"text": what.label},
        "subject": _to(report, "patient"),
        **value,
        **({"note": notes} if notes else {}),
        **({"bodySite": coded(what.site)} if what.site else {}),
        **({"derivedFrom": [_to(report, "text")]} if report.text else {}),
        **_made(report, one),
    }


def _made(report: Report, one: Field) -> Resource:
    """By whom a value was made, and how."""
    if _by_reader(one):
        return {"performer": [reader(one.by)]}
    return {"method": {"text": one.what.how}, "device": _to(report, "device")}


def review(report: Report, one: Field) -> Resource:
    """What is said of a value, as an extension: its review, its confidence and its evidence."""
    said: list[Resource] = [{"url": "status", "valueCode": one.status}]
    said += [{"url": "reviewer", "valueString": one.by}] if one.by else []
    said += [{"url": "reason", "valueString": one.reason}] if one.reason else []
    if one.status == "edited":
        said.append({"url": "aiValue"} | (value_of(one.what, one.ai_value) or _NONE))
    if one.confidence is not None:
        said.append({"url": "confidence", "valueDecimal": one.confidence})
    said += [_evidence(report, *span) for span in one.evidence]
    return {"url": REVIEW, "extension": said}


def _evidence(report: Report, first: int, end: int) -> Resource:
    return {"url": "evidence", "extension": [
        {"url": "first", "valueInteger": first}, {"url": "end", "valueInteger": end},
        {"url": "text", "valueString": report.text[first:end]}]}  # fmt: skip


def _section(report: Report, section: Code) -> Resource:
    inside = [f.what.key for f in report.fields if f.what.section == section]
    text = report.impression if section == report.template.sections[-1] else ""
    members = {"hasMember": [_to(report, key) for key in inside]} if inside else {}
    return {
        "resourceType": "Observation",
        "id": id_of(report, section.value),
        "status": "final" if report.final else "preliminary",
        "category": [_IMAGING],
        "code": coded(section),
        "subject": _to(report, "patient"),
        **({"valueString": text} if text else {}),
        **members,
    }


def _report(report: Report, sections: list[Resource], has_study: bool) -> Resource:
    readers = [reader(name) for name in report.readers]
    warned = [{"url": WARNING, "valueString": text} for text in report.warnings]
    return {
        "resourceType": "DiagnosticReport",
        "id": id_of(report, "report"),
        **({"extension": warned} if warned else {}),
        "status": "final" if report.final else "preliminary",
        "category": [_RADIOLOGY],
        "code": coded(report.template.code),
        "subject": _to(report, "patient"),
        **({"resultsInterpreter": readers} if readers else {}),
        "result": [{"reference": _url(s["id"])} for s in sections],
        **({"imagingStudy": [_to(report, "study")]} if has_study else {}),
        "conclusion": report.impression,
    }
