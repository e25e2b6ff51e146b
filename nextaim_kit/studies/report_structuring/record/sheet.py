"""A template as the sheet of a report for the record: sections, headings, codes of its own."""

from __future__ import annotations

from typing import Any

from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code
from nextaim_kit.report.model import Report
from nextaim_kit.report.model import Template as Sheet
from nextaim_kit.report.quantity import Quantity
from nextaim_kit.studies.report_structuring.schema import Field, Template, read_words

HOW = "read from the text of the report"


def report_template(template: Template, language: str = "en") -> Sheet:
    """A template as the report of `nextaim_kit.report`, with its own code system.

    Every value is optional; the sections are those of the fields, in the order of a report, and
    the conclusions.

    Parameters
    ----------
    template : Template
    language : str
        Of labels and words; English where it has none of them.
    """
    url = f"{codes.KIT_URL}/CodeSystem/{template.name.replace('_', '-')}"
    system = codes.OwnSystem("99NEXTAIM", url, f"Fields of {template.name}", "RS")
    used = {field.section for field in template.fields} | {codes.CONCLUSIONS.value}
    known = {code.value: code for code in codes.PROSE}
    sections = {
        value: known.get(value) or Code(codes.LOINC, value, _in(template.sections[value], "en"))
        for value in [*known, *sorted(used - {*known})]
        if value in used
    }
    conclusions = sections.pop(codes.CONCLUSIONS.value)
    sections[conclusions.value] = conclusions  # the impression stands in the last one
    return Sheet(
        name=template.name,
        title=_in(template.title, language),
        code=codes.RADIOLOGY_REPORT,
        system=system,
        quantities=tuple(_quantity(template, f, system, sections, language)
                         for f in template.fields),
        sentences=_sentences,
        sections=tuple(sections.values()),
        headings=_headings(template),
    )  # fmt: skip


def _in(words: dict[str, str], language: str) -> str:
    return words.get(language) or words.get("en") or next(iter(words.values()))


def _headings(template: Template) -> dict[str, tuple[str, ...]]:
    """How each section may be headed; a word that heads two of them is the template's."""
    own = {value: tuple(titles.values()) for value, titles in template.sections.items()}
    taken = {word.lower() for titles in own.values() for word in titles}
    more = {
        value: tuple(word for of in by.values() for word in of if word.lower() not in taken)
        for value, by in read_words("headings").items()
    }
    return {value: own.get(value, ()) + more.get(value, ()) for value in {**own, **more}}


def _quantity(
    template: Template,
    field: Field,
    system: codes.OwnSystem,
    sections: dict[str, Code],
    language: str,
) -> Quantity:
    label = _in(field.label, language)
    words = tuple(
        (word, Code(system, f"{field.key}-{word}", template.word(word, language)))
        for word in field.choices
    )
    limits: dict[str, Any] = {"low": field.low, "high": field.high, "digits": field.decimals,
              "unit": Code(codes.UCUM, field.ucum, field.unit or "number")}  # fmt: skip
    return Quantity(
        field.key, label, Code(system, field.key, label), field.kind, HOW,
        section=sections[field.section], choices=words, optional=True,
        **({} if words else limits),
    )  # fmt: skip


def _sentences(report: Report) -> list[str]:
    said = [
        f"{f.what.label}: {f.what.written(f.value)}" for f in report.fields if f.value is not None
    ]
    return [
        f"{'; '.join(said)}." if said else f"The text mentions none of {len(report.fields)} fields."
    ]
