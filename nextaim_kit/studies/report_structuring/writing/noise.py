"""What spoils reports: their texts (slips, lost sections, copies) and their labels (annotators)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template
from nextaim_kit.studies.report_structuring.writing.composing import Draft
from nextaim_kit.studies.report_structuring.writing.statements import Sentence
from nextaim_kit.studies.report_structuring.writing.styles import Section
from nextaim_kit.studies.report_structuring.writing.writer import Piece, only_seeming

_LOSABLE = (Section.HISTORY, Section.PREVIOUS, Section.TECHNIQUE, Section.CONCLUSIONS)
_WORD = re.compile(r"[^\W\d_]+")
_TYPED, _SHORTENED = 4, 8  # letters that a word has at least to be misspelled, to be cut
_BESIDE = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopoasdfghjklkzxcvbn", strict=False))
_PLAIN = str.maketrans({"à": "a'", "è": "e'", "é": "e'", "ì": "i'", "ò": "o'", "ù": "u'"})
_VOWELS = set("aeiouàèéìòù")
# Errors come together: a report's rate is the usual one by one of these, whose mean is 1.
_CARE = (0.0, 0.25, 0.25, 0.5, 1.0, 4.0)
_HABITUAL = 4  # fields of a template that the annotator with habits fills where nothing is said
_BLOCK = 4  # sentences of an earlier report that are pasted


@dataclass(frozen=True)
class Quality:
    """How bad reports and labels are; each a rate from 0 to 1.

    Attributes
    ----------
    typos : float
        Share of words (of four letters or more) that are misspelled.
    abbreviations : float
        Share of long words cut short in a way that no list has.
    missing_sections : float
        Share of reports that lost a section; what only it said is not mentioned.
    contradictions : float
        Share of reports (of those that can) whose conclusions contradict a finding. The findings
        are what counts.
    copy_paste : float
        Share of reports that are copied from another, whole or nearly, or that hold a block of an
        earlier one.
    identifiers : float
        Share of reports with a name, a date of birth and a fiscal code, all made up.
    template_errors : float
        Share of an annotator's entries that are wrong, where there is something to enter; errors
        come together.
    systematic : float
        Share of reports labeled by an annotator with habits: what is not mentioned is entered as
        absent in a few fields, what is uncertain as present.
    """

    typos: float = 0.0
    abbreviations: float = 0.0
    missing_sections: float = 0.0
    contradictions: float = 0.0
    copy_paste: float = 0.0
    identifiers: float = 0.0
    template_errors: float = 0.0
    systematic: float = 0.0


def lose_section(draft: Draft, rng: Random) -> str:
    """Take a section out of a draft; its code, empty where there is none to lose."""
    there = [code for code in _LOSABLE if draft.sections.get(code)]
    if not there:
        return ""
    lost = rng.choice(there)
    draft.sections[lost] = []
    return lost.value


def paste_block(draft: Draft, earlier: Draft, words: str) -> None:
    """Paste findings of an earlier report among the previous examinations."""
    block: list[Piece] = [(f"{words}: ", ())] if words else []
    for at, sentence in enumerate(earlier.sections[Section.FINDINGS][:_BLOCK]):
        block += [("; " if at else "", ())]
        block += map(only_seeming, sentence.pieces)
    draft.sections[Section.PREVIOUS].append(Sentence([p for p in block if p[0]], "copied"))


def misspell(draft: Draft, typos: float, abbreviations: float, rng: Random) -> dict[str, int]:
    """Misspell and cut words of a draft, in place; how many of each."""
    count = {"typos": 0, "abbreviations": 0}

    def changed(match: re.Match[str]) -> str:
        word, cut, typed = match[0], rng.random() < abbreviations, rng.random() < typos
        if cut and len(word) >= _SHORTENED and word.islower():
            count["abbreviations"] += 1
            return shortened(word, rng)
        if typed and len(word) >= _TYPED:
            count["typos"] += 1
            return mistyped(word, rng)
        return word

    for sentences in draft.sections.values():
        for sentence in sentences:
            sentence.pieces = [(_WORD.sub(changed, text), m) for text, m in sentence.pieces]
    return count


def mistyped(word: str, rng: Random) -> str:
    """A word with one slip: letters swapped, one lost, doubled, or the key beside it."""
    plain = word.translate(_PLAIN)
    if plain != word and rng.random() < 0.7:
        return plain
    at = rng.randrange(1, len(word) - 1)
    slips: list[Callable[[], str]] = [
        lambda: word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        lambda: word[:at] + word[at + 1 :],
        lambda: word[: at + 1] + word[at:],
        lambda: word[:at] + _BESIDE.get(word[at], "x") + word[at + 1 :],
    ]
    rng.shuffle(slips)
    return next((made for slip in slips if (made := slip()) != word), word)


def shortened(word: str, rng: Random) -> str:
    """A word cut after a consonant, with a period."""
    ends = [at for at in range(4, 7) if word[at - 1] not in _VOWELS] or [5]
    return f"{word[: rng.choice(ends)]}."


def annotated(
    values: Mapping[str, Any], template: Template, rate: float, rng: Random
) -> dict[str, Any]:
    """What an annotator enters for a report: its values, some of them wrong.

    Parameters
    ----------
    values : mapping
        As they are.
    template : Template
    rate : float
        Share of the entries that are wrong, of choices and of numbers that are mentioned. An
        error is a slip: another choice, nothing entered, digits swapped, another unit; where
        nothing is said it is the first choice of all, or absent.
    rng : Random
    """
    rate *= rng.choice(_CARE)
    entered = {}
    for field in template.fields:
        slips, kind = rng.random() < rate, rng.random()
        value = values[field.key]
        entered[field.key] = _slip(field, value, kind, rng) if slips else value
    return entered


def _slip(field: Field, value: Any, kind: float, rng: Random) -> Any:
    if field.choices:
        if value == NOT_MENTIONED:
            return "absent" if "absent" in field.choices else field.choices[0]
        others = [choice for choice in field.choices if choice != value]
        return NOT_MENTIONED if kind < 0.3 else rng.choice(others)
    if value is None or kind < 0.3:
        return None
    tens, ones = divmod(round(value), 10)
    wrong = (10.0 * ones + tens, value * 10, value / 10, value + 10, value - 10, value + 1)
    possible = [round(w, field.decimals) for w in wrong if field.holds(w) and w != value]
    return rng.choice(possible) + 0.0 if possible else None


def by_habit(values: Mapping[str, Any], template: Template) -> dict[str, Any]:
    """What the annotator with habits makes of a report: some silence absent, all doubt present."""
    open_to = [field.key for field in template.fields if "absent" in field.choices][:_HABITUAL]
    silent = {key: "absent" for key in open_to if values[key] == NOT_MENTIONED}
    doubted = {key: "present" for key, value in values.items() if value == "uncertain"}
    return {**values, **silent, **doubted}
