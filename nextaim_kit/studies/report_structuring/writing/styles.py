"""House styles: how a hospital orders, heads, shortens and phrases its reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from random import Random

from nextaim_kit.studies.report_structuring.schema import read_words


class Section(StrEnum):
    """Sections of a report in their usual order, by their LOINC codes."""

    QUESTION = "18785-6"
    HISTORY = "11329-0"
    TECHNIQUE = "55111-9"
    PREVIOUS = "55114-3"
    FINDINGS = "18782-3"
    CONCLUSIONS = "55110-1"


HEADINGS: dict[str, dict[str, list[str]]] = {
    code: {language: words[:4] for language, words in by.items()}
    for code, by in read_words("headings").items()
}


@dataclass(frozen=True)
class Style:
    """A house style.

    Attributes
    ----------
    name : str
        Its tastes (which of several forms it likes) follow from the name.
    sections : sequence of str
        LOINC codes in their order. What is left out is written in the section of `within`.
    within : dict of str to str
        Sections that are no sections of their own here.
    groups : sequence of str
        Groups of findings that come first, in their order.
    terse : float
        How much more often terse forms and abbreviations are used than elsewhere.
    words, centimeters : float
        How often a number is written in words; how often a length in cm.
    decimal_comma, tight, capitals, lines : bool
        Whether numbers have a comma; no space before mm; headings in capitals; a sentence a line.
    restated : float
        How often a finding comes again in the conclusions.
    denied_first : bool
        Whether what is absent comes before what is there.
    """

    name: str
    sections: Sequence[str] = tuple(Section)
    within: dict[str, str] = field(default_factory=dict)
    groups: Sequence[str] = ()
    terse: float = 1.0
    words: float = 0.1
    centimeters: float = 0.3
    decimal_comma: bool = True
    tight: bool = False
    capitals: bool = False
    lines: bool = False
    restated: float = 0.35
    denied_first: bool = False

    def likes(self, form: str) -> float:
        """How often the house takes a form, beside others."""
        return _taste(self.name, form) * (self.terse if form.startswith("~") else 1.0)

    def habit(self, what: str, n: int) -> int:
        """Which of `n` ways the house always takes."""
        return _habit(self.name, what, n)

    def heading(self, section: str, language: str) -> str:
        """How the house heads a section."""
        forms = HEADINGS[section][language]
        text = forms[self.habit(f"{section} {language}", len(forms))]
        return text.upper() if self.capitals else text

    def place(self, section: str) -> str:
        """Code of the section under whose heading another's sentences stand."""
        return self.within.get(section, section)


@cache
def _taste(name: str, form: str) -> float:
    return math.exp(Random(f"{name} {form}").gauss(0.0, 1.0))


@cache
def _habit(name: str, what: str, n: int) -> int:
    return Random(f"{name} {what}").randrange(n)


STYLES = {name: Style(name, **options) for name, options in read_words("styles").items()}
# Styles that no labeled report is written in.
UNLABELED = ("house_3", "house_4", "house_5")
