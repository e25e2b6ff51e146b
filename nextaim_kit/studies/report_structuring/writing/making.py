"""One report of a synthetic cohort: its patient, words, flaws, and what annotators enter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.patients import covid, echo
from nextaim_kit.studies.report_structuring.schema import SHORT, Template
from nextaim_kit.studies.report_structuring.writing import composing, noise
from nextaim_kit.studies.report_structuring.writing.identities import identity
from nextaim_kit.studies.report_structuring.writing.lexicon import Lexicon, lexicon
from nextaim_kit.studies.report_structuring.writing.statements import Sentence
from nextaim_kit.studies.report_structuring.writing.styles import STYLES, Section

SECOND = "second_"  # before a field's name: what the second annotator entered
SECOND_ERRORS = 0.05  # share of the second annotator's entries that are wrong
TRUTH = ("values", "spans", "earlier", "identifiers", "noise")
_PATIENTS: dict[str, Callable[[Random], dict[str, Any]]] = {
    "covid_ct": covid.draw, "echo": echo.draw,
}  # fmt: skip
_RETURNING = 0.12  # share of the reports whose patient had one before
_WHOLE, _NEARLY = 0.25, 0.6  # of the copies: the whole text; that, or nearly
_PASTED = {"it": ("referto precedente", "si riporta il referto precedente", ""),
           "en": ("previous report", "the previous report reads", "")}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """What reports are made by: see `twin.make_reports`."""

    template: Template
    style: str
    language: str
    quality: noise.Quality
    seed: int
    held_out: bool = False
    first: int = 0

    @cached_property
    def kind(self) -> str:
        """The kind of report, which both forms of its template share."""
        return self.template.name.removesuffix(SHORT)

    @cached_property
    def lexicon(self) -> Lexicon:
        """The words of the kind in the language."""
        return lexicon(self.kind, self.language)

    @cached_property
    def manner(self) -> composing.Manner:
        """How the reports are to be written."""
        asked = tuple(field.key for field in self.template.fields)
        return composing.Manner(asked, self.held_out, contradictions=self.quality.contradictions)

    def rng(self, of: str, index: int) -> Random:
        """A chance of its own for each thing that is drawn of each report."""
        return Random(f"{self.seed} {self.kind} {self.style} {of} {index}")


def record(index: int, setting: Setting) -> dict[str, Any]:
    """A report's row of the table and of the truth.

    Every flaw has a chance of its own, so that it changes nothing else.
    """
    quality = setting.quality
    draft, copied = _perhaps_copied(index, setting)
    done: dict[str, Any] = copied | _contradicted(draft)
    if (rng := setting.rng("lost", index)).random() < quality.missing_sections:
        done["lost_section"] = noise.lose_section(draft, rng)
    if quality.typos or quality.abbreviations:
        slips = setting.rng("slips", index)
        done |= noise.misspell(draft, quality.typos, quality.abbreviations, slips)
    if (rng := setting.rng("identity", index)).random() < quality.identifiers:
        person = Sentence([(identity(rng, setting.language), ("!identifier",))])
        draft.sections[Section.HISTORY].insert(0, person)
    told = said(composing.laid_out(draft), draft.values, setting.template)
    return {
        "subject": _subject(index, setting),
        "patient": f"{setting.style}-P{patient_of(index, setting):05d}",
        "site": setting.style, "split": "", "language": setting.language,
        **_entered(index, told["values"], setting), **told, "noise": done,
    }  # fmt: skip


def said(report: composing.Report, values: dict[str, Any], template: Template) -> dict[str, Any]:
    """A report's text, with the truth of it: what it says of the template's fields, and where."""
    true = template.empty() | {key: values[key] for key in report.spans if key in template.by_key}
    earlier = {key: of for key, of in report.earlier.items() if key in true}
    return {
        "text": report.text, "values": true,
        "spans": {key: of for key, of in report.spans.items() if key in true},
        "earlier": earlier, "identifiers": report.earlier.get("identifier", []),
    }  # fmt: skip


def drafted(index: int, setting: Setting) -> composing.Draft:
    """A report's sentences before anything spoils them."""
    values, rng = _values(index, setting), setting.rng("words", index)
    return composing.compose(values, setting.lexicon, STYLES[setting.style], setting.manner, rng)


def patient_of(index: int, setting: Setting) -> int:
    """Number of a report's patient: that of the first report of the same one."""
    while index > setting.first and setting.rng("patient", index).random() < _RETURNING:
        index -= 1
    return index


def _subject(index: int, setting: Setting) -> str:
    return f"{setting.kind}-{setting.style}-{index:05d}"


def _values(index: int, setting: Setting) -> dict[str, Any]:
    patient = patient_of(index, setting)
    values = _PATIENTS[setting.kind](setting.rng("patient", patient))
    if patient < index:
        rng = setting.rng("course", index)
        values["comparison"] = "stable" if rng.random() < 0.7 else rng.choice(("worse", "improved"))
    return values


def _perhaps_copied(index: int, setting: Setting) -> tuple[composing.Draft, dict[str, Any]]:
    """A report's draft; or that of another report, nearly or whole; or its own with a block.

    What is copied is a training report, so that copies lie across the splits.
    """
    rng = setting.rng("copy", index)
    below = setting.first if setting.held_out else index
    if not below or rng.random() >= setting.quality.copy_paste:
        return drafted(index, setting), {}
    how, source = rng.random(), rng.randrange(below)
    known = replace(setting, held_out=False, first=0)
    named = _subject(source, setting)
    if how >= _NEARLY:
        draft = drafted(index, setting)
        words = rng.choice(_PASTED[setting.language])
        if not words and Section.PREVIOUS in draft.style.within:
            words = _PASTED[setting.language][0]  # else no heading would tell what it is
        noise.paste_block(draft, drafted(source, known), words)
        return draft, {"pasted_from": named}
    draft = drafted(source, known)
    if how >= _WHOLE:
        _touch_up(draft, known, rng)
    return draft, {"copied_from": named}


def _touch_up(draft: composing.Draft, setting: Setting, rng: Random) -> None:
    """Change what a hurried author changes in a copy: the comparison, and one sentence less."""
    draft.values["comparison"] = "stable"
    style, previous = STYLES[setting.style], Section.PREVIOUS
    draft.sections[previous] = composing.only(draft.values, previous, setting.lexicon, style, rng)
    findings = draft.sections[Section.FINDINGS]
    if len(findings) > 2:
        findings.pop(rng.randrange(len(findings)))


def _contradicted(draft: composing.Draft) -> dict[str, Any]:
    wrong = [s for of in draft.sections.values() for s in of if s.does == "contradicts"]
    keys = {mark.removeprefix("!") for s in wrong for _, marks in s.pieces for mark in marks}
    return {"contradiction": sorted(keys)} if keys else {}


def _entered(index: int, values: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """What both annotators enter; the first is B, who has habits, or A."""
    quality, template = setting.quality, setting.template
    habits = setting.rng("habit", index).random() < quality.systematic
    seen = noise.by_habit(values, template) if habits else values
    first = noise.annotated(seen, template, quality.template_errors, setting.rng("slip", index))
    second = noise.annotated(values, template, SECOND_ERRORS, setting.rng("second", index))
    return {
        "annotator": "B" if habits else "A",
        **first, **{SECOND + key: value for key, value in second.items()},
    }  # fmt: skip
