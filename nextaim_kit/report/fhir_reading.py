"""A report read back from its FHIR bundle, and what is wrong with a bundle."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from nextaim_kit.errors import DataError, refused_if_damaged
from nextaim_kit.report.fhir import REVIEW, TEST, Resource
from nextaim_kit.report.model import Field, Report, Template
from nextaim_kit.report.quantity import Quantity, Value


@refused_if_damaged("this is no report in FHIR")
def from_bundle(bundle: Resource, template: Template) -> Report:
    """Read a report back from its bundle.

    Raises
    ------
    DataError
        If the bundle is not valid, or not one of this template.
    """
    report, wrong = examine(bundle, template)
    if report is None:
        raise DataError("this is no report in FHIR", found="; ".join(wrong[:5]))
    return report


def examine(bundle: Resource, template: Template) -> tuple[Report | None, list[str]]:
    """Read a bundle and say what is wrong with it: by the FHIR R4B model, then by its own rules.

    Returns
    -------
    report : Report or None
        None if anything is wrong.
    problems : list of str
    """
    wrong = model_problems(bundle) or list(_broken_rules(bundle, template))
    report = None if wrong else _report(bundle, template)
    if report is not None:
        wrong = list(_broken_statuses(bundle, report))
    return (None if wrong else report), wrong


def problems(bundle: Resource, template: Template) -> list[str]:
    """What is wrong with a bundle; empty if it is valid."""
    return examine(bundle, template)[1]


def _report(bundle: Resource, template: Template) -> Report:
    by_type: dict[str, list[Resource]] = {}
    for entry in bundle["entry"]:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    patient, report = by_type["Patient"][0], by_type["DiagnosticReport"][0]
    values = [o for o in by_type["Observation"] if key_of(o, template)]
    return Report(
        template=template,
        subject=patient["identifier"][0]["value"],
        site=patient.get("managingOrganization", {}).get("display", ""),
        software=by_type["Device"][0]["deviceName"][0]["name"],
        fields=tuple(_field(o, template) for o in values),
        warnings=tuple(e["valueString"] for e in report.get("extension", [])),
        synthetic=TEST in patient.get("meta", {}).get("security", []),
        text=text_of(by_type["DocumentReference"][0]["content"][0]["attachment"])
        if "DocumentReference" in by_type
        else "",
    )


def text_of(attachment: Resource) -> str:
    """The text of an attachment."""
    return base64.b64decode(attachment["data"]).decode()


def key_of(observation: Resource, template: Template) -> str:
    """Key of the quantity that an Observation has the code of; empty for a section."""
    said = {(c.get("system"), c.get("code")) for c in observation["code"].get("coding", [])}
    known = ((what.key, what.code) for what in template.quantities)
    return next((key for key, code in known if (code.uri, code.value) in said), "")


def _field(observation: Resource, template: Template) -> Field:
    what = template.by_key[key_of(observation, template)]
    return reviewed(what, _read(what, observation), observation["extension"][0]["extension"])


def reviewed(what: Quantity, value: Value, said: list[Resource]) -> Field:
    """A field from its value and what its review's extension says."""
    review = {e["url"]: e for e in said}
    spans = [{part["url"]: part for part in e["extension"]} for e in said if e["url"] == "evidence"]
    return Field(
        what=what,
        ai_value=_read(what, review["aiValue"]) if "aiValue" in review else value,
        value=value,
        status=review["status"]["valueCode"],
        by=review.get("reviewer", {}).get("valueString", ""),
        confidence=review.get("confidence", {}).get("valueDecimal"),
        evidence=tuple((s["first"]["valueInteger"], s["end"]["valueInteger"]) for s in spans),
        reason=review.get("reason", {}).get("valueString", ""),
    )


def _read(what: Quantity, holder: Resource) -> Value:
    if what.optional and not any(name.startswith("value") for name in holder):
        return None
    if what.kind == "flag":
        return what.typed(holder["valueBoolean"])
    if what.kind == "choice":
        code = holder["valueCodeableConcept"]["coding"][0]["code"]
        return next(word for word, known in what.choices if known.value == code)
    return what.typed(holder["valueQuantity"]["value"])


def model_problems(bundle: Resource) -> list[str]:
    """What the FHIR R4B model says: unknown or missing elements, wrong types, many values in one.

    It knows no bound codes, no units and no references; the report's own rules do.
    """
    from fhir.resources.R4B.bundle import Bundle

    return refusals(Bundle, bundle)


def refusals(model: Any, resource: Resource) -> list[str]:
    """What a model of `fhir.resources` says against a resource."""
    from pydantic import ValidationError

    try:
        model.model_validate(resource)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return []


def _broken_rules(bundle: Resource, template: Template) -> Iterator[str]:
    resources = [e["resource"] for e in bundle.get("entry", [])]
    urls = [e.get("fullUrl") for e in bundle.get("entry", [])]
    kinds = [r["resourceType"] for r in resources]
    for kind in ("Patient", "Device", "DiagnosticReport"):
        if kinds.count(kind) != 1:
            yield f"{kinds.count(kind)} of {kind}, not one"
    if len(set(urls)) < len(urls):
        yield "two resources of one address"
    yield from (f"reference to nothing: {u}" for u in _references(resources) if u not in urls)
    observed = [r for r in resources if r["resourceType"] == "Observation"]
    values = [r for r in observed if key_of(r, template)]
    for one in values:
        what = template.by_key[key_of(one, template)]
        yield from (f"{what.key}: {said}" for said in _broken_observation(one, what, template))
    said = {key_of(one, template) for one in values}
    yield from (f"{what.key}: left out" for what in template.quantities if what.key not in said)


def _broken_statuses(bundle: Resource, report: Report) -> Iterator[str]:
    """Sections and report are final as all values together are."""
    wholes = [e["resource"] for e in bundle["entry"]]
    wholes = [r for r in wholes if r["resourceType"] in ("Observation", "DiagnosticReport")]
    for whole in (r for r in wholes if not key_of(r, report.template)):
        if whole.get("status") != ("final" if report.final else "preliminary"):
            yield f"{whole['resourceType']} is {whole.get('status')}, its values are not"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "reference" in node:
            yield node["reference"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def _broken_observation(one: Resource, what: Quantity, template: Template) -> Iterator[str]:
    missing = what.optional and "dataAbsentReason" in one
    if missing and any(name.startswith("value") for name in one):
        yield "a value, and a reason why there is none"
    if what.unit and not missing:
        given = one.get("valueQuantity", {})
        if (given.get("system"), given.get("code")) != (what.unit.uri, what.unit.value):
            yield f"the unit is not UCUM's {what.unit.value}"
        if not isinstance(given.get("value"), int | float):
            yield "no number"
    elif not missing and what.kind == "flag" and "valueBoolean" not in one:
        yield "no value"
    elif not missing and what.kind == "choice":
        said = [c["code"] for c in one.get("valueCodeableConcept", {}).get("coding", [])]
        if not {code.value for _, code in what.choices} & {*said[:1]}:
            yield "none of its words"
    sites = [c["code"] for c in one.get("bodySite", {}).get("coding", [])]
    if sites != ([what.site.value] if what.site else []):
        yield f"the place is not {what.site.display if what.site else 'left out'}"
    reviews = [e for e in one.get("extension", []) if e["url"] == REVIEW]
    if len(reviews) != 1:
        yield "no review status"
        return
    told = {e["url"]: e for e in reviews[0].get("extension", [])}
    status = told.get("status", {}).get("valueCode")
    if status not in template.system.statuses:
        yield f"unknown review status {status!r}"
    if (one["status"] == "preliminary") != (status == "ai-derived"):
        yield f"{one['status']} but {status}"
    labels = [label.get("code") for label in one.get("meta", {}).get("security", [])]
    if ("AIAST" in labels, "performer" in one) != (status != "edited", status == "edited"):
        yield f"{status}, and made by another than it says"
    if (status == "ai-derived") == ("reviewer" in told):
        yield "reviewed by nobody, or a reader without a review"
