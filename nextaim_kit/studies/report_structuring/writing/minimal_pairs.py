"""Two reports of the same words but one thing: side, negation, or time."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, read_words
from nextaim_kit.studies.report_structuring.writing.composing import Draft
from nextaim_kit.studies.report_structuring.writing.statements import Sentence
from nextaim_kit.studies.report_structuring.writing.styles import Section
from nextaim_kit.studies.report_structuring.writing.writer import Piece, only_seeming

SIDED = ("ggo_side", "consolidation_side", "pleural_effusion", "pneumothorax")


class Pair(NamedTuple):
    """Two drafts that differ in one thing, and the field whose value differs."""

    kind: str
    field: str
    one: Draft
    other: Draft


def pairs(draft: Draft, fields: Mapping[str, Field]) -> Iterator[Pair]:
    """All minimal pairs that a draft allows in these fields; its conclusions say nothing again."""
    end = Section.CONCLUSIONS
    draft.sections[end] = [s for s in draft.sections[end] if s.does == "says"]
    yield from _other_side(draft, fields)
    yield from _denied(draft, fields)
    yield from _earlier(draft, fields)


def _other_side(draft: Draft, fields: Mapping[str, Field]) -> Iterator[Pair]:
    words = _swapped(draft)["sides"]
    both = words | {other: word for word, other in words.items()}
    pattern = re.compile(rf"\b({'|'.join(both)})\b")
    said = {key for sentence in draft.sections[Section.FINDINGS] for key in sentence.keys}
    for key in SIDED:
        side = draft.values.get(key)
        if not {key} <= said & {*fields} or side not in ("right", "left") or "rul" in said:
            continue
        other = copy.deepcopy(draft)
        other.values[key] = "left" if side == "right" else "right"
        changes = 0
        for sentence in other.sections[Section.FINDINGS]:
            for at, (text, marks) in enumerate(sentence.pieces):
                if key in marks:
                    text, n = pattern.subn(lambda match: both[match[0]], text)
                    sentence.pieces[at] = (text, marks)
                    changes += n
        if changes == 1:
            yield Pair("side", key, draft, other)


def _denied(draft: Draft, fields: Mapping[str, Field]) -> Iterator[Pair]:
    pattern, instead = _swapped(draft)["denial"]
    for at, sentence in enumerate(draft.sections[Section.FINDINGS]):
        text, marks = sentence.pieces[0]
        if sentence.does != "denies" or len(sentence.keys) != 1 or not re.search(pattern, text):
            continue
        (key,) = sentence.keys
        lures = any(mark.startswith("!") for _, marks in sentence.pieces for mark in marks)
        if key not in fields or "present" not in fields[key].choices or lures:
            continue
        other = copy.deepcopy(draft)
        other.values[key] = "present"
        changed: Piece = (re.sub(pattern, instead, text), marks)
        other.sections[Section.FINDINGS][at] = Sentence([changed, *sentence.pieces[1:]], "affirms")
        yield Pair("negation", key, draft, other)


def _earlier(draft: Draft, fields: Mapping[str, Field]) -> Iterator[Pair]:
    now, before = _swapped(draft)["now"]
    for at, sentence in enumerate(draft.sections[Section.FINDINGS]):
        if sentence.does != "affirms" or sentence.keys[0] not in fields:
            continue
        past = [_in_the_past(p, _swapped(draft)["past"]) for p in sentence.pieces]
        if all(a[0] == b[0] for a, b in zip(past, sentence.pieces, strict=True)):
            continue
        one, other = copy.deepcopy(draft), copy.deepcopy(draft)
        one.sections[Section.FINDINGS][at] = Sentence([(now, ()), *sentence.pieces], "affirms")
        other.sections[Section.FINDINGS][at] = Sentence([(before, ()), *past], "distracts")
        for key in sentence.keys:
            other.values[key] = NOT_MENTIONED
        yield Pair("time", sentence.keys[0], one, other)


def _swapped(draft: Draft) -> dict[str, Any]:
    """What is swapped in reports of the draft's language."""
    found: dict[str, Any] = read_words(f"phrases/{draft.language}")["pairs"]
    return found


def _in_the_past(piece: Piece, changes: Sequence[Sequence[str]]) -> Piece:
    text, marks = piece
    for pattern, instead in changes:
        text = re.sub(pattern, instead, text)
    return only_seeming((text, marks))
