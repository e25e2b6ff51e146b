"""The template as a FHIR Questionnaire, and a report as the response to it.

A Questionnaire has a group of items a section and an item a quantity, with its code, unit, bounds
and words. The response has the values as they stand; review, confidence and evidence of each stand
in the extension that Observations have (`report.fhir`). It is *completed* once the report is
final, and holds all of the report: a form keeps it as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nextaim_kit.errors import DataError, refused_if_damaged
from nextaim_kit.report import codes, fhir, fhir_reading
from nextaim_kit.report.codes import KIT_URL, Code
from nextaim_kit.report.fhir import REVIEW, WARNING, Resource
from nextaim_kit.report.model import Field, Report, Template
from nextaim_kit.report.quantity import Quantity, Value

TEXT = f"{KIT_URL}/StructureDefinition/source-text"
_FHIR = "http://hl7.org/fhir/StructureDefinition"
_ASKED = {"number": "decimal", "choice": "choice", "flag": "boolean"}
_ANSWERED = {"number": "valueDecimal", "choice": "valueCoding", "flag": "valueBoolean"}


def address(template: Template) -> str:
    """Canonical address of a template's Questionnaire."""
    return f"{template.ids or KIT_URL}/Questionnaire/{template.name}"


def to_questionnaire(template: Template) -> Resource:
    """The template as a Questionnaire."""
    return {
        "resourceType": "Questionnaire",
        "url": address(template),
        "name": "".join(word.capitalize() for word in template.name.split("_")),
        "title": template.title,
        "status": "draft",
        "subjectType": ["Patient"],
        "code": [_coding(template.code)],
        "item": [_group(template, section) for section in _used(template)],
    }


def to_response(report: Report) -> Resource:
    """A report as the response to its template's Questionnaire."""
    assigner = {"assigner": {"display": report.site}} if report.site else {}
    more: list[Resource] = [{"url": WARNING, "valueString": text} for text in report.warnings]
    more += [{"url": TEXT, "valueAttachment": fhir.attached(report.text)}] if report.text else []
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": fhir.id_of(report, "response"),
        **({"extension": more} if more else {}),
        "questionnaire": address(report.template),
        "status": "completed" if report.final else "in-progress",
        "subject": {"type": "Patient", "identifier": fhir.subject_of(report) | assigner},
        "author": {"type": "Device", "display": report.software},
        "item": [_answers(report, section) for section in _used(report.template)],
    }
    return fhir.marked(response, report)


@refused_if_damaged("this is no report in FHIR")
def from_response(response: Resource, template: Template) -> Report:
    """Read a report back from its response.

    Raises
    ------
    DataError
        If it is not valid, or a response to another Questionnaire.
    """
    report, wrong = examine(response, template)
    if report is None:
        raise DataError("this is no report in FHIR", found="; ".join(wrong[:5]))
    return report


def examine(response: Resource, template: Template) -> tuple[Report | None, list[str]]:
    """Read a response and say what is wrong with it: by the FHIR R4B model, then by the template.

    Returns
    -------
    report : Report or None
        None if anything is wrong.
    problems : list of str
    """
    from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

    model = fhir_reading.refusals(QuestionnaireResponse, response)
    wrong = model or list(_broken_rules(response, template))
    report = None if wrong else _report(response, template)
    if report and response["status"] != ("completed" if report.final else "in-progress"):
        wrong = [f"{response['status']}, its values are not"]
    return (None if wrong else report), wrong


def problems(response: Resource, template: Template) -> list[str]:
    """What is wrong with a response; empty if it is valid."""
    return examine(response, template)[1]


def _report(response: Resource, template: Template) -> Report:
    said = {item["linkId"]: item for item in _leaves(response)}
    more = {e["url"]: e for e in response.get("extension", [])}
    identifier = response["subject"]["identifier"]
    return Report(
        template=template,
        subject=identifier["value"],
        site=identifier.get("assigner", {}).get("display", ""),
        software=response["author"]["display"],
        fields=tuple(_field(q, said[q.key]) for q in template.quantities),
        warnings=tuple(
            e["valueString"] for e in response.get("extension", []) if e["url"] == WARNING
        ),
        synthetic=fhir.TEST in response.get("meta", {}).get("security", []),
        text=fhir_reading.text_of(more[TEXT]["valueAttachment"]) if TEXT in more else "",
    )


def questionnaire_problems(questionnaire: Resource) -> list[str]:
    """What the FHIR R4B model says of a Questionnaire."""
    from fhir.resources.R4B.questionnaire import Questionnaire

    return fhir_reading.refusals(Questionnaire, questionnaire)


def _used(template: Template) -> list[Code]:
    return [s for s in template.sections if any(q.section == s for q in template.quantities)]


def _coding(code: Code) -> Resource:
    return fhir.coded(code)["coding"][0]


def _group(template: Template, section: Code) -> Resource:
    inside = [_question(what) for what in template.quantities if what.section == section]
    return {"linkId": section.value, "code": [_coding(section)], "text": section.display,
            "type": "group", "item": inside}  # fmt: skip


def _question(what: Quantity) -> Resource:
    limits = [
        {"url": f"{_FHIR}/minValue", "valueDecimal": what.low},
        {"url": f"{_FHIR}/maxValue", "valueDecimal": what.high},
        {"url": f"{_FHIR}/maxDecimalPlaces", "valueInteger": what.digits},
    ]
    unit = [{"url": f"{_FHIR}/questionnaire-unit", "valueCoding": _coding(what.unit)}
            for _ in [0] if what.unit]  # fmt: skip
    words = [{"valueCoding": _coding(code)} for _, code in what.choices]
    return {
        "linkId": what.key,
        **({"extension": [*unit, *limits]} if what.kind == "number" else {}),
        "code": [_coding(what.code)],
        "text": what.label,
        "type": _ASKED[what.kind],
        "required": not what.optional,
        **({"answerOption": words} if words else {}),
    }


def _answers(report: Report, section: Code) -> Resource:
    inside = [_answer(report, one) for one in report.fields if one.what.section == section]
    return {"linkId": section.value, "text": section.display, "item": inside}


def _answer(report: Report, one: Field) -> Resource:
    what, value = one.what, one.value
    said = _coding(dict(what.choices)[str(value)]) if what.choices and value is not None else value
    answer = {} if value is None else {"answer": [{_ANSWERED[what.kind]: said}]}
    review = fhir.review(report, one)
    return {"linkId": what.key, "extension": [review], "text": what.label} | answer


def _leaves(response: Resource) -> Iterator[Resource]:
    for group in response.get("item", []):
        yield from group.get("item", [])


def _field(what: Quantity, item: Resource) -> Field:
    return fhir_reading.reviewed(what, _value(what, item), item["extension"][0]["extension"])


def _value(what: Quantity, item: Resource) -> Value:
    if "answer" not in item:
        return None
    said: Any = item["answer"][0][_ANSWERED[what.kind]]
    if what.choices:
        return next(word for word, code in what.choices if code.value == said["code"])
    return what.typed(said)


def _broken_rules(response: Resource, template: Template) -> Iterator[str]:
    if response.get("questionnaire") != address(template):
        yield f"a response to {response.get('questionnaire')}, not {address(template)}"
        return
    said = [item["linkId"] for item in _leaves(response)]
    yield from (f"{key}: answered twice" for key in sorted({k for k in said if said.count(k) > 1}))
    yield from (f"{key}: left out" for key in template.by_key if key not in said)
    for item in _leaves(response):
        what = template.by_key.get(item["linkId"])
        broken = _broken_item(item, what) if what else ["the template has no such item"]
        yield from (f"{item['linkId']}: {text}" for text in broken)


def _status(item: Resource) -> str:
    reviews = [e for e in item.get("extension", []) if e["url"] == REVIEW]
    said = {e["url"]: e for e in reviews[0].get("extension", [])} if len(reviews) == 1 else {}
    return str(said.get("status", {}).get("valueCode", ""))


def _broken_item(item: Resource, what: Quantity) -> Iterator[str]:
    if _status(item) not in codes.STATUSES:
        yield "no review status that is known"
    answers = item.get("answer", [])
    if not answers and not what.optional:
        yield "no value"
    for answer in answers:
        said: Any = answer.get(_ANSWERED[what.kind])
        if len(answers) > 1 or said is None:
            yield f"not one answer of the kind {what.kind}"
        elif what.choices and said.get("code") not in [code.value for _, code in what.choices]:
            yield f"{said.get('code')!r} is none of its words"
