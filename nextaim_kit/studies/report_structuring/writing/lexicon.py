"""The words of a kind of report in a language, read from ``words/phrases``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from nextaim_kit.studies.report_structuring.schema import read_template, read_words
from nextaim_kit.studies.report_structuring.writing.grammar import Forms
from nextaim_kit.studies.report_structuring.writing.writer import Item, Writer

LANGUAGES = ("it", "en")
ABSENT, UNCERTAIN = "absent", "uncertain"
_CUES = ("negated", "resolved", "present", "uncertain", "joined")


class Nouns:
    """The names of a finding: ``fp aree di vetro smerigliato``, with gender and number."""

    def __init__(self, names: Sequence[str], keys: tuple[str, ...]) -> None:
        split = [name.removeprefix("~").split(" ", 1) for name in names]
        self.agrees = [agrees for agrees, _ in split]
        terse = ["~" if name.startswith("~") else "" for name in names]
        self.forms = Forms([t + text for t, (_, text) in zip(terse, split, strict=True)])
        self.keys = keys

    def item(self, writer: Writer) -> Item:
        """One of the names, by the writer's style."""
        at = self.forms.index(writer)
        return Item(self.forms.says[at], self.keys, self.agrees[at])


class Lexicon:
    """All words of a kind of report (``covid_ct``, ``echo``) in a language (``it``, ``en``).

    Attributes
    ----------
    fields : dict of str to Field
        Of the whole template.
    plan : dict
        ``groups``, by section those of fields in their order; ``spoken``, how often a value is
        said; ``restated``, what may come again in the conclusions; ``resolving``, what may be gone
        since.
    units, joints, lobes : dict
        How they are called.
    cues : dict of str to Forms
        How things are said to be there, absent, uncertain, no longer there; ``joined``, how one
        sentence goes on as another.
    says, tables, nouns : dict
        By field and value: whole statements, what stands within statements, and names.
    joint : list of Nouns
        Names for what several fields deny at once.
    after : dict
        What may follow a noun that is there.
    fillers, distractors : dict
        By section: what says nothing of any field, and what only seems to.
    """

    def __init__(self, kind: str, language: str) -> None:
        names = (language, kind, f"{kind}.{language}")
        shared, plan, own = (read_words(f"phrases/{name}") for name in names)
        self.language, self.plan = language, plan
        self.fields = read_template(kind).by_key
        self.units, self.joints = shared["units"], shared["joints"]
        self.lobes = own.get("lobes", {})
        self.cues = {name: Forms(shared[name]) for name in _CUES}
        self.says, self.tables = (
            {
                key: {value: Forms(of) for value, of in _by_value(every)}
                for key, every in own[part].items()
            }
            for part in ("says", "tables")
        )
        self.nouns = {
            key: {value: Nouns(of, (key,)) for value, of in _by_value(every)}
            for key, every in (own["nouns"] | _graded(own)).items()
        }
        self.joint = [Nouns(of["names"], tuple(of["keys"])) for of in own["joint"]]
        self.after = {key: Forms(of) for key, of in own["after"].items()}
        self.fillers, self.distractors = (
            {section: Forms(of, evenly=True) for section, of in own[part].items()}
            for part in ("fillers", "distractors")
        )

    def form(self, key: str, value: Any) -> Forms:
        """What stands within a statement for a field's value."""
        return self.tables[key][value if isinstance(value, str) else ""]

    def noun(self, key: str, value: str) -> Nouns:
        """Names of a finding with this value."""
        there = self.nouns[key]
        return there.get(value) or there[""]


@cache
def lexicon(kind: str, language: str) -> Lexicon:
    """The words of a kind of report in a language."""
    return Lexicon(kind, language)


def _by_value(of: Mapping[str, list[str]] | list[str]) -> Iterable[tuple[str, list[str]]]:
    """Forms by value; a plain list is of whatever value, under an empty name."""
    return of.items() if isinstance(of, Mapping) else [("", of)]


def _graded(own: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Names of what comes in grades: each noun with every grade, and without where it is absent."""
    pattern = own.get("grade", "")
    return {
        key: {ABSENT: names}
        | {
            grade: [_with_grade(name, pattern, words) for name in names]
            for grade, words in own["grades"].items()
        }
        for key, names in own.get("graded", {}).items()
    }


def _with_grade(name: str, pattern: str, words: Sequence[str]) -> str:
    agrees, noun = name.split(" ", 1)
    return f"{agrees} {pattern.format(noun=noun, grade='(' + '|'.join(words) + ')')}"
