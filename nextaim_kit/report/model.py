"""The report as data: a template's fields with their state, confirmed or edited, never in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from nextaim_kit.errors import RequestError
from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code, OwnSystem, status_words
from nextaim_kit.report.quantity import Quantity, Value

Span = tuple[int, int]
State = Literal["ai-derived", "confirmed", "edited"]
UNCONFIRMED = status_words("ai-derived")
CHECK_FIRST = "check first"
# What the ids of the export's other resources are made from.
_TAKEN = {"patient", "device", "study", "bundle", "report", "text", "response", "document"}
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Doubt:
    """What does not fit: its name, what it says, the fields it concerns, and what would fit.

    What is `unusual` can be, and is accepted with a written reason; anything else cannot.
    """

    name: str
    text: str
    keys: tuple[str, ...]
    allowed: str = ""
    unusual: bool = False


class Refused(RequestError):
    """A review that a check speaks against; `keys` are the values that it is about."""

    keys: tuple[str, ...] = ()


class ReasonWanted(Refused):
    """A value is unusual, and nobody has written why it is so."""


def _none(report: Report) -> Iterable[Doubt]:
    return ()


@dataclass(frozen=True)
class Template:
    """What a study's report is: its lines, its codes and its words.

    Attributes
    ----------
    name : str
        What identifiers are made from, the template's own.
    title : str
        Heading of the page.
    code : Code
        Kind of report, such as LOINC's CT Chest Report.
    system : OwnSystem
        Where the codes stand that no standard has.
    quantities : tuple of Quantity
    sentences : callable
        The impression's sentences, of a report.
    contradictions : callable, optional
        What in a report does not fit together; impossible values are found without.
    modality : str
        Of the images, as DICOM names it.
    caption : str
        Of the picture; ``{subject}`` stands for whose it is.
    whole : str, optional
        Key of the flag that the image holds all of what is measured; where it does not, what is
        marked `bound` is a lower bound.
    ids : str, optional
        Address that FHIR's ids are made from, the name's without.
    sections : tuple of Code, optional
        Those of the quantities, in order; the last one holds the impression.
    headings : mapping of str to sequence of str, optional
        Of a report that is read from a text: how a section, by its code, is headed there.
    """

    name: str
    title: str
    code: Code
    system: OwnSystem
    quantities: tuple[Quantity, ...]
    sentences: Callable[[Report], list[str]]
    contradictions: Callable[[Report], Iterable[Doubt]] = _none
    modality: str = "CT"
    caption: str = "Image of {subject}"
    whole: str = ""
    ids: str = ""
    sections: tuple[Code, ...] = codes.SECTIONS
    headings: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        strange = {q.section for q in self.quantities} - {*self.sections}
        taken = sorted(q.key for q in self.quantities if q.key in _TAKEN)
        if strange or taken:
            raise RequestError(
                f"{self.title} cannot be a template",
                expected="sections that it has, and keys that are no resource's of the export",
                found=", ".join([*taken, *sorted(code.value for code in strange)]),
            )

    @cached_property
    def by_key(self) -> dict[str, Quantity]:
        """Quantities by key."""
        return {what.key: what for what in self.quantities}


@dataclass(frozen=True)
class Field:
    """A value in the report: what the algorithm said, what holds now, by whose word and why.

    `confidence` is the algorithm's in its value; `evidence` are the places in the report's text
    that it was read from, as (first, end) character.
    """

    what: Quantity
    ai_value: Value
    value: Value
    status: State = "ai-derived"
    by: str = ""
    confidence: float | None = None
    evidence: tuple[Span, ...] = ()
    reason: str = ""

    @property
    def possible(self) -> bool:
        """Whether the value lies within its bounds."""
        return self.what.possible(self.value)


@dataclass(frozen=True)
class Report:
    """A subject's report. `warnings` are the algorithm's; `picture` is a file and no part of it.

    `text` is what the values were read from, where that is a text; spans count its characters.
    """

    template: Template = field(repr=False)
    subject: str
    site: str
    software: str
    fields: tuple[Field, ...]
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    picture: str = field(default="", compare=False)
    text: str = field(default="", repr=False)

    @property
    def values(self) -> dict[str, Value]:
        """Value by key, as it holds now."""
        return {f.what.key: f.value for f in self.fields}

    @property
    def unconfirmed(self) -> list[str]:
        """Keys that no reader has confirmed or edited."""
        return [f.what.key for f in self.fields if f.status == "ai-derived"]

    @property
    def final(self) -> bool:
        """Whether every field was confirmed or edited, and nothing speaks against the values."""
        return not self.unconfirmed and not self.doubts

    @property
    def readers(self) -> list[str]:
        """Pseudonyms of those who reviewed a field, sorted."""
        return sorted({f.by for f in self.fields if f.by})

    @property
    def state(self) -> str:
        """The report's state in words, for a banner."""
        n, left = len(self.fields), len(self.unconfirmed)
        all_of = f"All {n} values confirmed or edited by {', '.join(self.readers)}"
        said = f"{UNCONFIRMED}: {left} of {n} values" if left else all_of
        many = sum(doubt.name != CHECK_FIRST for doubt in self.doubts)
        open_ = f"; against {many} check{'s' * (many > 1)}, so not final" if many else ""
        return said + open_

    @property
    def whole(self) -> bool:
        """Whether the image holds all of what is measured, as far as the template asks."""
        return not self.template.whole or bool(self.values[self.template.whole])

    @cached_property
    def doubts(self) -> list[Doubt]:
        """What speaks against the values: impossible, not in the text, contradicting another.

        Not what is unusual, where somebody has written why.
        """
        wrong = [_impossible(one) for one in self.fields if not one.possible]
        wrong += [_unsupported(one) for one in self.fields if self.unsupported(one)]
        reasons = {one.what.key for one in self.fields if one.reason}
        found = self.template.contradictions(self)
        return wrong + [d for d in found if not (d.unusual and reasons & {*d.keys})]

    def unsupported(self, one: Field) -> bool:
        """Whether a value was read from the text, nothing there says it, and nobody has seen it."""
        read = bool(self.text) and one.ai_value is not None and one.status == "ai-derived"
        return read and not one.evidence

    @property
    def order(self) -> list[str]:
        """Keys as they are best checked: what is in doubt, then what is least sure."""
        doubted = {key for doubt in self.doubts for key in doubt.keys}
        sure = {f.what.key: 1.0 if f.confidence is None else f.confidence for f in self.fields}
        return sorted(self.values, key=lambda key: (key not in doubted, sure[key]))

    def quoted(self, key: str) -> list[str]:
        """The pieces of the text that a value was read from."""
        return [self.text[first:end] for first, end in self.field(key).evidence]

    @property
    def impression(self) -> str:
        """The template's sentences of the values as they stand, with every doubt and the state."""
        parts = ["Synthetic patient."] if self.synthetic else []
        parts += self.template.sentences(self)
        parts += [f"Warning of the software: {text}." for text in self.warnings]
        parts += [f"Check ({doubt.name}): {doubt.text}." for doubt in self.doubts]
        parts += [
            f"{one.what.label}, by {one.by}: {one.reason}." for one in self.fields if one.reason
        ]
        return " ".join([*parts, f"{self.state}."])

    def field(self, key: str) -> Field:
        """The field of a key; RequestError if the report has none."""
        for one in self.fields:
            if one.what.key == key:
                return one
        raise RequestError(
            f"the report of {self.subject} has no field {key!r}",
            expected=", ".join(self.values),
            found=key,
        )

    def review(self, values: Mapping[str, Any], by: str, *, reason: str = "") -> Report:
        """The report with values as a reader gives them; what the algorithm said stays beside.

        Values that hang together are given together, since each alone would contradict the others.

        Parameters
        ----------
        values : mapping of str to value
            By key; the same value as before confirms it.
        by : str
            Pseudonym of the reader.
        reason : str
            Why they are so, where a check finds them unusual.

        Raises
        ------
        RequestError
            If a value is of the wrong type or out of bounds, a field is unknown, or `by` is no
            pseudonym.
        Refused
            If a value contradicts another.
        ReasonWanted
            If a value is unusual, and no reason is given.
        """
        by, reason = pseudonym(by), " ".join(reason.split())
        given = {key: self.field(key).what.checked(value) for key, value in values.items()}
        report = replace(self, fields=tuple(
            _reviewed(f, given[f.what.key], by, reason) if f.what.key in given else f
            for f in self.fields
        ))  # fmt: skip
        against = [doubt for doubt in report.doubts if given.keys() & doubt.keys]
        if against:
            raise _refused(report, min(against, key=lambda doubt: doubt.unusual))
        return report

    def confirm(self, key: str, by: str, *, reason: str = "") -> Report:
        """The report with one field confirmed by a reader; see `review`."""
        return self.review({key: self.field(key).value}, by, reason=reason)

    def edit(self, key: str, value: Any, by: str, *, reason: str = "") -> Report:
        """The report with one value changed by a reader; see `review`."""
        return self.review({key: value}, by, reason=reason)

    def confirm_all(self, by: str) -> Report:
        """The report with every value confirmed that no check speaks against: a reader in a hurry.

        What is only to be checked first is confirmed too.
        """
        against = {key for d in self.doubts if d.name != CHECK_FIRST for key in d.keys}
        waits = {key: self.field(key).value for key in self.unconfirmed if key not in against}
        return self.review(waits, by)


def _reviewed(one: Field, value: Value, by: str, reason: str) -> Field:
    status: State = "confirmed" if value == one.ai_value else "edited"
    return replace(one, value=value, status=status, by=by, reason=reason)


def _refused(report: Report, doubt: Doubt) -> Refused:
    labels = [report.field(key).what.label for key in doubt.keys]
    if doubt.unusual:
        error: Refused = ReasonWanted(
            f"{labels[0]} of {report.subject} is unusual",
            expected="a written reason", found=doubt.text, mend="write why it is so",
        )  # fmt: skip
    else:
        error = Refused(
            f"{labels[0]} of {report.subject} cannot be so",
            expected=doubt.allowed or "values that agree", found=doubt.text,
            mend=f"change {' and '.join(labels)} together" if len(labels) > 1 else "",
        )  # fmt: skip
    error.keys = doubt.keys
    return error


def pseudonym(by: str) -> str:
    """A reader's pseudonym; RequestError if it is empty or looks like a name."""
    if _PSEUDONYM.fullmatch(by):
        return by
    raise RequestError(
        "this is no pseudonym of a reader",
        expected="1 to 32 letters, digits, - or _, such as reader-1",
        found=repr(by),
    )


def _impossible(one: Field) -> Doubt:
    what = one.what
    said = f"{what.label} is {what.written(one.value)}"
    return Doubt("impossible value", f"{said}; possible is {what.expected}", (what.key,))


def _unsupported(one: Field) -> Doubt:
    said = f"nothing in the text was found to say that {one.what.label} is"
    return Doubt(CHECK_FIRST, f"{said} {one.what.written(one.value)}", (one.what.key,))
