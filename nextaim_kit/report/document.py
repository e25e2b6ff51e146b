"""A report that was read from a text as a FHIR document: the text's sections beside its values.

The document is a Bundle that begins with a Composition of LOINC's type 68604-8. Its sections have
the LOINC codes of HL7 Italy's radiology report: each shows the words of the text and lists the
Observations that were read from there. All that `report.fhir` makes stands behind it, and the
Questionnaire with the response to it. FHIR wants a date; without one it is the stand-in's, which
is no day of anybody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from markupsafe import escape

from nextaim_kit.files import write_text
from nextaim_kit.report import codes, fhir, fhir_reading, page, questionnaire
from nextaim_kit.report.codes import Code
from nextaim_kit.report.fhir import Resource
from nextaim_kit.report.model import Field, Report, Template
from nextaim_kit.report.prose import Section, sections

DIFFERENT = "the response says another thing than the Observations"
NO_DATE = "2000-01-01T00:00:00Z"


def to_document(report: Report, *, date: str = NO_DATE) -> Resource:
    """The document.

    Parameters
    ----------
    report : Report
    date : str
        When it was written, as FHIR writes an instant.
    """
    inside = fhir.to_bundle(report)["entry"]
    asked = questionnaire.to_questionnaire(report.template)
    return {
        "resourceType": "Bundle",
        "id": fhir.id_of(report, "bundle"),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": _address(report, "bundle")},
        "type": "document",
        "timestamp": date,
        "entry": [
            fhir.entry(_composition(report, date), report),
            *inside,
            fhir.entry(questionnaire.to_response(report), report),
            {"fullUrl": asked["url"], "resource": asked},
        ],
    }


def to_json(report: Report, *, date: str = NO_DATE) -> str:
    """The document as text, the same for the same report."""
    return json.dumps(to_document(report, date=date), indent=1, ensure_ascii=False)


def save_all(report: Report, folder: Path) -> None:
    """Write ``patient.html`` for people, ``report.fhir.json``, and its two parts.

    These are ``questionnaire.json`` (the template) and ``response.json``.
    """
    asked = questionnaire.to_questionnaire(report.template)
    write_text(folder / "patient.html", page.to_html(report))
    write_text(folder / "report.fhir.json", to_json(report))
    for name, part in (("questionnaire", asked), ("response", questionnaire.to_response(report))):
        write_text(folder / f"{name}.json", json.dumps(part, indent=1, ensure_ascii=False))


def problems(document: Resource, template: Template) -> list[str]:
    """What is wrong with a document: as a bundle, as a response, and as a composition.

    Returns
    -------
    list of str
        Empty if it is valid.
    """
    report, wrong = fhir_reading.examine(document, template)
    if report is None:
        return wrong
    by_type: dict[str, list[Resource]] = {}
    for one in document["entry"]:
        by_type.setdefault(one["resource"]["resourceType"], []).append(one["resource"])
    answered = [questionnaire.examine(one, template)
                for one in by_type.get("QuestionnaireResponse", [])]  # fmt: skip
    wrong = [said for _, problems in answered for said in problems]
    if not wrong and answered and answered[0][0] != report:
        wrong.append(DIFFERENT)
    return wrong + list(_broken_rules(document, template))


def _address(report: Report, what: str) -> str:
    return f"urn:uuid:{fhir.id_of(report, what)}"


def _composition(report: Report, date: str) -> Resource:
    readers = [{"mode": "professional", "party": fhir.reader(name)} for name in report.readers]
    return {
        "resourceType": "Composition",
        "id": fhir.id_of(report, "document"),
        "status": "final" if report.final else "preliminary",
        "type": fhir.coded(codes.RADIOLOGY_REPORT),
        "subject": {"reference": _address(report, "patient")},
        "date": date,
        "author": [{"reference": _address(report, "device")}],
        "title": report.template.title,
        **({"attester": readers} if report.final else {}),
        "section": list(_sections(report)),
    }


def _sections(report: Report) -> Iterator[Resource]:
    """The text's sections in their order, then those that values have and the text has not."""
    left = list(report.fields)
    for one in sections(report.text, report.template.headings):
        inside = [f for f in left if f.what.section.value == one.code]
        left = [f for f in left if f not in inside]
        yield _section(report, one, inside)
    for code in dict.fromkeys(f.what.section for f in left):
        absent = Section(code.value, "", 0, 0)
        yield _section(report, absent, [f for f in left if f.what.section == code])


def _known(template: Template) -> dict[str, Code]:
    return {code.value: code for code in (*template.sections, *codes.PROSE)}


def _section(report: Report, one: Section, inside: list[Field]) -> Resource:
    code = _known(report.template)[one.code]
    words = [str(escape(line)) for line in report.text[one.first : one.end].splitlines()]
    listed = "".join(f"<li>{escape(_said(f))}</li>" for f in inside)
    div = f"<p>{'<br/>'.join(words)}</p>" + (f"<ul>{listed}</ul>" if listed else "")
    entries = [{"reference": _address(report, f.what.key)} for f in inside]
    return {
        "title": one.heading or code.display,
        "code": fhir.coded(code),
        "text": {"status": "additional",
                 "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'},
        **({"entry": entries} if entries else {}),
    }  # fmt: skip


def _said(one: Field) -> str:
    value = one.what.written(one.value)
    return f"{one.what.label}: {value} ({codes.status_words(one.status)})"


def _broken_rules(document: Resource, template: Template) -> Iterator[str]:
    resources = [one["resource"] for one in document["entry"]]
    if document["type"] != "document" or resources[0]["resourceType"] != "Composition":
        yield "no document that begins with its composition"
        return
    whole = resources[0]
    coded: list[Code | None] = []
    for section in whole.get("section", []):
        found = {(c["system"], c["code"]) for c in section["code"]["coding"]}
        known = _known(template).values()
        coded.append(next((c for c in known if (c.uri, c.value) in found), None))
    if None in coded:
        yield "a section without a LOINC code of a radiology report"
    listed = [e["reference"] for s in whole.get("section", []) for e in s.get("entry", [])]
    values = [r for r in resources if r["resourceType"] == "Observation"]
    needed = [f"urn:uuid:{r['id']}" for r in values if fhir_reading.key_of(r, template)]
    if sorted(listed) != sorted(needed):
        yield "not every value stands in one section"
    reported = next(r for r in resources if r["resourceType"] == "DiagnosticReport")
    if whole["status"] != reported["status"]:
        yield f"the composition is {whole['status']}, the report {reported['status']}"
