"""Rules: patterns of each field, what denies or doubts them, and what belongs to the past.

The patterns were written on training reports alone (`words/rules.yaml`). A template without
patterns of its own is looked for by the names of its fields.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.baselines.classical import languages_of
from nextaim_kit.studies.report_structuring.measures import Answers
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, possible
from nextaim_kit.studies.report_structuring.schema import (
    NOT_MENTIONED,
    SHORT,
    Field,
    Template,
    read_words,
)

_STOP = re.compile(
    r"[;\n]|\.(?=\s+[^\sa-zà-ù]|\s*$)"
)  # a dot before a small letter is of a short form
_AFTER = 30  # characters after a finding in which it may be denied or doubted
_FOUND = ("18782-3", "55110-1")  # sections of what is found, and of conclusions
_STATES = ("present", "absent", "uncertain")
Pattern = re.Pattern[str]


@dataclass(frozen=True)
class Clause:
    """A part of a report between two stops.

    Attributes
    ----------
    text : str
    start : int
        Its place in the report.
    earlier : bool
        Whether it tells of the past, of another person or of another organ.
    asked : bool
        Whether its heading says that nothing is found there.
    """

    text: str
    start: int
    earlier: bool
    asked: bool


class Rule(NamedTuple):
    """What a field is found by: its pattern, those of its values, and whether in the past too."""

    find: Pattern
    values: Mapping[str, Pattern]
    earlier: bool = False


@dataclass(frozen=True)
class Rules:
    """A rule for each field.

    Attributes
    ----------
    template : Template
    rules : mapping of str to Rule
    silence : mapping of str to str
        What a field is that nothing is said of, where it is not `NOT_MENTIONED`.
    language, name : str
    """

    template: Template
    rules: Mapping[str, Rule]
    silence: Mapping[str, str]
    language: str = "it"
    name: str = "rules"

    def answer(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> Answers:
        """The first definite mention of each field; rules have no confidence."""
        known = languages_of(texts, languages, self.language)
        rows = [self._read(text, language) for text, language in zip(texts, known, strict=True)]
        nothing = [np.nan] * len(texts)
        return Answers.of({
            f.key: (np.array([row[f.key] for row in rows], float if f.kind == "number" else object),
                    nothing)
            for f in self.template.fields
        })  # fmt: skip

    def plain(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What it is made of, for `methods.saved`."""
        return {"silence": dict(self.silence)}, {}

    @classmethod
    def restored(cls, template: Template, told: Mapping[str, Any], arrays: Any) -> Rules:
        """From its plain parts."""
        rules = fit_rules(None, template, language=told["language"])
        return replace(rules, silence=told["silence"], name=told["name"])

    def _read(self, text: str, language: str) -> dict[str, Any]:
        found: dict[str, Any] = {**self.template.empty(), **self.silence}
        parts = clauses(text)
        starts = [clause.start for clause in parts]
        numbers = find_numbers(text, language)
        for field in self.template.fields:
            rule = self.rules[field.key]
            for hit in rule.find.finditer(text):
                clause = parts[bisect_right(starts, hit.start()) - 1]
                asked = clause.asked and field.section in _FOUND
                if asked or (clause.earlier and not rule.earlier):
                    continue
                value: str | float | None = (
                    self.choice(field, clause, hit)
                    if field.choices
                    else _number(field, clause, hit, numbers)
                )
                if value is not None:
                    found[field.key] = value
                    break
        return {k: np.nan if v is None else v for k, v in found.items()}

    def choice(self, field: Field, clause: Clause, hit: re.Match) -> str | None:
        """The value that a clause gives a field; None if it does not speak of it."""
        at, end = hit.start() - clause.start, hit.end() - clause.start
        before, after = clause.text[:at], clause.text[end:]
        turns = list(_cue("turn").finditer(before))
        before = before[turns[-1].end() :] if turns else before
        denied = _cue("negation").search(before) or _cue("denied_after").search(after)
        if "uncertain" in field.choices and _cue("uncertainty").search(before + after[:_AFTER]):
            return "uncertain"
        if denied and (none := {"absent", "normal"} & {*field.choices}):
            return none.pop()
        near = [
            (abs(found.start() - at), -len(found[0]), value)
            for value, pattern in self.rules[field.key].values.items()
            for found in pattern.finditer(clause.text)
        ]
        if near:
            return min(near)[2]
        return "present" if "present" in field.choices and not denied else None


def fit_rules(table: pd.DataFrame | None, template: Template, *, language: str = "it") -> Rules:
    """The rules of a template.

    Of the training reports they take one thing: where none of them leaves a choice out, as if
    coded by a list of findings, silence stands for its most frequent value.

    Parameters
    ----------
    table : DataFrame, optional
        Training reports.
    template : Template
    language : str
        Of texts, where none is given with them.

    Raises
    ------
    DataError
        If a field has neither a pattern nor a name that it could be found by.
    """
    known = read_words("rules")
    own = known["fields"].get(template.name.removesuffix(SHORT), {})
    rules = {f.key: _rule(f, template, own, known["values"]) for f in template.fields}
    silence = {} if table is None else _silence(table, template)
    return Rules(template, rules, silence, language)


def _silence(table: pd.DataFrame, template: Template) -> dict[str, str]:
    choices = {f.key: table[f.key].fillna(NOT_MENTIONED) for f in template.fields if f.choices}
    return {
        key: str(values.mode().iloc[0])
        for key, values in choices.items()
        if len(values) and not (values == NOT_MENTIONED).any()
    }


@lru_cache(maxsize=4096)
def clauses(text: str) -> tuple[Clause, ...]:
    """Parts of a report between stops; a dot within a number or a short form is none."""
    found, start, asked = [], 0, False
    for stop in [*(found.end() for found in _STOP.finditer(text)), len(text)]:
        part = text[start:stop]
        if _cue("asked").search(part.strip()):
            asked = True
        elif _cue("heading").search(part.strip()):
            asked = False
        found.append(Clause(part, start, bool(_cue("earlier").search(part)), asked))
        start = stop
    return tuple(found)


def _number(
    field: Field, clause: Clause, hit: re.Match, numbers: Sequence[NumberSpan]
) -> float | None:
    """The first number after the field's name that can be of it, in the same clause."""
    end = clause.start + len(clause.text)
    after = (possible(field, number) for number in numbers if hit.end() <= number.start < end)
    return next((value for value in after if value is not None), None)


def _rule(
    field: Field, template: Template, own: Mapping[str, Any], shared: Mapping[str, str]
) -> Rule:
    names = "|".join(re.escape(label) for label in field.label.values())
    told = _told(own.get(field.key, names))
    find = _told(own[told["like"]])["find"] if "like" in told else told["find"]
    values = {}
    for choice in field.choices:
        words = "|".join(re.escape(template.word(choice, lang)) for lang in field.label)
        known = shared.get(choice, None if choice in _STATES else words)
        if pattern := told.get(choice, known):
            values[choice] = _compiled(pattern)
    if not find and not values:
        raise DataError(f"field {field.key} has no pattern", mend="give it a label in the template")
    find = find or "|".join(pattern.pattern for pattern in values.values())
    return Rule(_compiled(find), values, told.get("earlier", False))


def _told(entry: Any) -> dict[str, Any]:
    """An entry of the patterns: a pattern alone is what the field is found by."""
    return {"find": entry} if isinstance(entry, str) else dict(entry)


@lru_cache
def _cue(name: str) -> Pattern:
    return _compiled(read_words("rules")["cues"][name])


@cache
def _compiled(pattern: str) -> Pattern:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
