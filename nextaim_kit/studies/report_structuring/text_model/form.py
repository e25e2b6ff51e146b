"""How a report's values are asked for and written: slots, and numbers by their place in the text.

A number of the answer must be a number of the text. So each has a mark in its place ("FE #3 %"),
and the model writes the mark ("ef=#3"): words, decimal commas and units are read by `numbers`,
not learned, and a number that was never seen is as good as any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, possible
from nextaim_kit.studies.report_structuring.schema import (
    NOT_MENTIONED,
    UNSAID,
    Field,
    Template,
    Value,
)
from nextaim_kit.studies.report_structuring.text_model.constraint import Slot

Numbers = Literal["marked", "copied"]
MOST_MARKS = 60
_FIGURE = re.compile(r"\d")


@dataclass(frozen=True)
class Question:
    """A report as it is given to the model, and what may be answered.

    Attributes
    ----------
    source : str
        The text, its numbers marked.
    slots : tuple of Slot
        Of every field in its order.
    values : tuple of tuple
        What each slot's options stand for.
    """

    source: str
    slots: tuple[Slot, ...]
    values: tuple[tuple[Value, ...], ...]

    def chosen(self, values: Mapping[str, Any], template: Template) -> list[int]:
        """The option of each slot that says a value; -1 where the text cannot support it."""
        found = []
        for slot, field, options in zip(self.slots, template.fields, self.values, strict=True):
            wanted = field.written(values[slot.key])
            written = [field.written(option) for option in options]
            found.append(written.index(wanted) if wanted in written else -1)
        return found


@dataclass(frozen=True)
class Form:
    """What a text model reads and writes for a template.

    Attributes
    ----------
    template : Template
    numbers : {"marked", "copied"}
        Whether a number is written by its mark in the text, or as it stands in the record.
    """

    template: Template
    numbers: Numbers = "marked"

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Tokens that make the target short: one for what always stands there, one a value."""
        before = [self._before(k) for k in range(len(self.template.fields))]
        choices = sorted({c for f in self.template.fields for c in f.choices} | {UNSAID})
        marks = [f"#{k}" for k in range(1, MOST_MARKS + 1)] if self.numbers == "marked" else []
        return tuple(dict.fromkeys([*before, *choices, *marks]))

    def _before(self, k: int) -> str:
        return ("; " if k else "") + self.template.fields[k].key + "="

    def question(self, text: str, language: str) -> Question:
        """A text as it is asked about."""
        spans = find_numbers(text, language)[:MOST_MARKS]
        source = _marked(text, spans) if self.numbers == "marked" else text
        slots: list[Slot] = []
        values: list[tuple[Value, ...]] = []
        for k, field in enumerate(self.template.fields):
            options = self._options(field, spans)
            slots.append(Slot(field.key, self._before(k), tuple(options)))
            values.append(tuple(options.values()))
        return Question(source, tuple(slots), tuple(values))

    def _options(self, field: Field, spans: Sequence[NumberSpan]) -> dict[str, Value]:
        found: dict[str, Value] = {UNSAID: NOT_MENTIONED if field.choices else None}
        if field.choices:
            found.update((choice, choice) for choice in field.choices)
            return found
        for k, span in enumerate(spans, 1):
            if (value := possible(field, span)) is not None:
                found.setdefault(
                    f"#{k}" if self.numbers == "marked" else field.written(value), value
                )
        return found

    def read(self, written: str, question: Question) -> tuple[dict[str, Value], bool]:
        """Values of what a model wrote, as far as they can be read, and whether it all follows.

        A number that is copied need not be one of the text, where nothing constrained the model.
        """
        found: dict[str, Value] = {}
        options = {
            slot.key: dict(zip(slot.options, values, strict=True))
            for slot, values in zip(question.slots, question.values, strict=True)
        }
        parts = [part.partition("=") for part in written.split("; ")]
        for key, _, word in parts:
            field = self.template.by_key.get(key)
            if field is None or key in found:
                continue
            if word in options[key]:
                found[key] = options[key][word]
            elif self.numbers == "copied" and not field.choices and _is_number(word, field):
                found[key] = float(word)
        follows = [key for key, _, _ in parts] == [f.key for f in self.template.fields]
        return found, follows and len(found) == len(parts)


def _marked(text: str, spans: Sequence[NumberSpan]) -> str:
    """The text with marks for its numbers; all other figures, as of dates, are noughts."""
    parts, at = [], 0
    for k, span in enumerate(spans, 1):
        parts += [_FIGURE.sub("0", text[at : span.start]), f" #{k} "]
        at = span.end
    return "".join([*parts, _FIGURE.sub("0", text[at:])])


def _is_number(word: str, field: Field) -> bool:
    try:
        value = float(word)
    except ValueError:
        return False
    return field.written(value) == word and field.holds(value)
