"""From a patient's values to a report: what is said, in which sentences, with which evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.writing.grammar import compiled
from nextaim_kit.studies.report_structuring.writing.lexicon import ABSENT, UNCERTAIN, Lexicon
from nextaim_kit.studies.report_structuring.writing.statements import (
    LOBES,
    Sentence,
    about,
    statements,
    written,
)
from nextaim_kit.studies.report_structuring.writing.styles import Section, Style
from nextaim_kit.studies.report_structuring.writing.writer import Piece, Writer, only_seeming

_ASIDE = 0.2  # how often a value is said, beside elsewhere, that the template does not ask for
_FILLED = 0.3  # how often a section says what is of no field
Span = tuple[int, int]


@dataclass
class Draft:
    """A report before it is laid out: sentences by section."""

    style: Style
    language: str
    values: dict[str, Any]
    sections: dict[str, list[Sentence]] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A report's text, and where in it each field's value and what only seems so are."""

    text: str
    spans: dict[str, list[Span]]
    earlier: dict[str, list[Span]]


@dataclass(frozen=True)
class Manner:
    """How a report is to be written, beside its style.

    Attributes
    ----------
    asked : tuple of str
        Fields of the template; others are said now and then.
    held_out : bool
        Whether forms may be used that training texts do not have.
    distractors : float
        How many a section has, in the mean, that may have some.
    contradictions : float
        How often the conclusions contradict a finding.
    """

    asked: tuple[str, ...]
    held_out: bool = False
    distractors: float = 0.25
    contradictions: float = 0.0


def compose(
    values: Mapping[str, Any], lexicon: Lexicon, style: Style, manner: Manner, rng: Random
) -> Draft:
    """Write a patient's report, sentence by sentence."""
    said = _spoken(values, lexicon, manner, rng)
    centimeters = rng.random() < style.centimeters
    writer = Writer(style, lexicon, said, values, rng, manner.held_out, centimeters)
    draft = Draft(style, lexicon.language, dict(values))
    for section in Section:
        sentences = [*statements(section, writer)]
        if section == Section.CONCLUSIONS:
            sentences += _restated(draft, writer, manner)
        draft.sections[section] = _with_others(section, sentences, writer, manner)
    return draft


def only(
    values: Mapping[str, Any], section: str, lexicon: Lexicon, style: Style, rng: Random
) -> list[Sentence]:
    """Sentences of one section that say all that is so of its fields, and nothing else."""
    return [*statements(section, Writer(style, lexicon, values, values, rng))]


def laid_out(draft: Draft) -> Report:
    """The report's text under its headings, with the spans of what it says."""
    style = draft.style
    pieces: list[Piece] = []
    for section in style.sections:
        codes = [code for code in Section if style.place(code) == section]
        sentences = [s for code in codes for s in draft.sections.get(code, ()) if s.pieces]
        if not sentences:
            continue
        heading = style.heading(section, draft.language)
        pieces.append((("\n" if pieces else "") + heading + (":\n" if style.lines else ": "), ()))
        for at, sentence in enumerate(sentences):
            if at:
                pieces.append(("\n" if style.lines else " ", ()))
            pieces += _capitalized(sentence.pieces)
            if sentence.pieces[-1][0][-1] not in ".?":
                pieces.append((".", ()))
    return _spanned(pieces)


def _spanned(pieces: Sequence[Piece]) -> Report:
    spans: dict[str, list[Span]] = {}
    at = 0
    for text, marks in pieces:
        for key in dict.fromkeys(marks):
            there = spans.setdefault(key, [])
            if there and there[-1][1] == at:
                there[-1] = (there[-1][0], at + len(text))
            else:
                there.append((at, at + len(text)))
        at += len(text)
    return Report(
        "".join(text for text, _ in pieces),
        {key: of for key, of in spans.items() if not key.startswith("!")},
        {key[1:]: of for key, of in spans.items() if key.startswith("!")},
    )


def _capitalized(pieces: Sequence[Piece]) -> list[Piece]:
    (text, marks), *others = pieces
    return [(text[:1].upper() + text[1:], marks), *others]


def _spoken(
    values: Mapping[str, Any], lexicon: Lexicon, manner: Manner, rng: Random
) -> dict[str, Any]:
    """The values that the report says; how often depends on the value."""
    said, usual = {}, lexicon.plan["spoken"]["other"]
    of_lobes = rng.random()
    for key, value in values.items():
        kind = value if isinstance(value, str) else "number"
        own = lexicon.plan["spoken"].get("lobes" if key in LOBES else key, {})
        often = own.get(kind, own.get("else", usual.get(kind, usual["else"])))
        often *= 1.0 if key in manner.asked else _ASIDE
        chance = rng.random()
        # All lobes are spoken of, or none.
        if (of_lobes if key in LOBES else chance) < often:
            said[key] = value
    return said


def _with_others(
    section: str, sentences: list[Sentence], writer: Writer, manner: Manner
) -> list[Sentence]:
    """The sentences with some that say nothing, or only seem to say something, of the fields."""
    lexicon, rng = writer.lexicon, writer.rng
    always = section == Section.QUESTION or (section == Section.TECHNIQUE and not sentences)
    if section in lexicon.fillers and (always or rng.random() < _FILLED):
        sentences.append(written(writer, lexicon.fillers[section]))
    first = section == Section.PREVIOUS and writer.values.get("comparison") == "first"
    if section in lexicon.distractors and not first and rng.random() < manner.distractors:
        sentences.append(written(writer, lexicon.distractors[section], does="distracts"))
    return sentences


def _restated(draft: Draft, writer: Writer, manner: Manner) -> list[Sentence]:
    """Findings that come again in the conclusions, and one that contradicts them."""
    keys = {key for s in draft.sections[Section.FINDINGS] for key in s.keys}
    there = [k for k in writer.lexicon.plan["restated"] if k in keys]
    sentences = []
    for key in there:
        value = writer.values[key]
        if value != ABSENT and writer.rng.random() < writer.style.restated:
            sentences.append(_briefly(key, value, writer))
    apart, before = Random(writer.rng.random()), writer.rng
    if there and apart.random() < manner.contradictions:
        key, writer.rng = apart.choice(there), apart
        sentences = [s for s in sentences if key not in s.keys]
        wrong = _briefly(key, _opposite(key, writer), writer)
        pieces = [only_seeming(piece) for piece in wrong.pieces]
        sentences.append(Sentence(pieces, "contradicts"))
    writer.rng = before
    return sentences


def _briefly(key: str, value: str, writer: Writer) -> Sentence:
    cue = {ABSENT: "negated", UNCERTAIN: "uncertain"}.get(value)
    item = writer.lexicon.noun(key, value).item(writer)
    say = writer.lexicon.cues[cue] if cue else compiled("&")
    return about([item], say, writer, "restates")


def _opposite(key: str, writer: Writer) -> str:
    """Another value of a field than the one that it has."""
    value, choices = writer.values[key], writer.lexicon.fields[key].choices
    never = UNCERTAIN if value == ABSENT or "right" not in choices else ABSENT
    return writer.rng.choice([c for c in choices if c not in (value, never)])
