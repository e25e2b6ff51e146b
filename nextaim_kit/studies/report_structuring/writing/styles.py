"""House styles: how a hospital orders, heads, shortens and phrases its reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

QUESTION, HISTORY, TECHNIQUE = "18785-6", "11329-0", "55111-9"
PREVIOUS, FINDINGS, CONCLUSIONS = "55114-3", "18782-3", "55110-1"
# Of each section the headings that some house uses, by language.
HEADED: dict[str, dict[str, tuple[str, ...]]] = {
    "it": {
        QUESTION: ("Quesito diagnostico", "Quesito clinico", "Motivo dell'esame", "Quesito"),
        HISTORY: ("Notizie cliniche", "Anamnesi", "Storia clinica", "Dati clinici"),
        TECHNIQUE: ("Esame eseguito", "Tecnica", "Tecnica di esame", "Prestazione"),
        PREVIOUS: ("Precedenti esami", "Confronto", "Precedenti", "Esami precedenti"),
        FINDINGS: ("Referto", "Reperti", "Descrizione", "Esito"),
        CONCLUSIONS: ("Conclusioni", "Giudizio conclusivo", "In conclusione", "Sintesi"),
    },
    "en": {
        QUESTION: ("Clinical question", "Indication", "Reason for examination", "Question"),
        HISTORY: ("History", "Clinical information", "Clinical history", "Background"),
        TECHNIQUE: ("Examination performed", "Technique", "Procedure", "Examination"),
        PREVIOUS: ("Previous examinations", "Comparison", "Prior studies", "Priors"),
        FINDINGS: ("Findings", "Description", "Report", "Results"),
        CONCLUSIONS: ("Conclusions", "Impression", "Summary", "Opinion"),
    },
}
HEADINGS: dict[str, tuple[str, ...]] = {
    code: tuple(heading for headed in HEADED.values() for heading in headed[code])
    for code in HEADED["it"]
}


@dataclass(frozen=True)
class Style:
    """A house style.

    Attributes
    ----------
    name : str
        Its tastes (which of several forms it likes) follow from the name.
    sections : tuple of str
        LOINC codes in their order. What is left out is written in the section of `within`.
    within : dict of str to str
        Sections that are no sections of their own here.
    groups : tuple of str
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
    sections: tuple[str, ...] = (QUESTION, HISTORY, TECHNIQUE, PREVIOUS, FINDINGS, CONCLUSIONS)
    within: dict[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
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
        forms = HEADED[language][section]
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


_ORDERS: dict[str, dict[str, Any]] = {
    "hospital_1": {"terse": 0.35, "words": 0.15},
    "hospital_2": {
        "sections": (TECHNIQUE, QUESTION, FINDINGS, CONCLUSIONS),
        "within": {HISTORY: QUESTION, PREVIOUS: FINDINGS},
        "groups": ("pleura", "mediastinum", "vessels", "chambers", "valves"),
        "terse": 4.0, "words": 0.03, "centimeters": 0.7, "tight": True, "capitals": True,
        "restated": 0.2, "denied_first": True,
    },
    "house_3": {
        "sections": (QUESTION, TECHNIQUE, PREVIOUS, FINDINGS, CONCLUSIONS),
        "within": {HISTORY: QUESTION}, "groups": ("background", "mediastinum"),
        "lines": True, "restated": 0.5, "words": 0.2,
    },
    "house_4": {
        "sections": (HISTORY, TECHNIQUE, FINDINGS, CONCLUSIONS),
        "within": {QUESTION: HISTORY, PREVIOUS: TECHNIQUE}, "groups": ("vessels", "right heart"),
        "terse": 2.0, "capitals": True, "lines": True, "decimal_comma": False,
    },
    "house_5": {
        "sections": (TECHNIQUE, HISTORY, PREVIOUS, FINDINGS, CONCLUSIONS),
        "within": {QUESTION: HISTORY}, "groups": ("mediastinum", "parenchyma", "valves"),
        "centimeters": 0.5, "denied_first": True, "restated": 0.1,
    },
}  # fmt: skip
STYLES = {name: Style(name, **options) for name, options in _ORDERS.items()}
# Styles that no labeled report is written in.
UNLABELED = ("house_3", "house_4", "house_5")
