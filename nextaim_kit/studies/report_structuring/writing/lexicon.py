"""The words of a kind of report in a language, read from ``phrases``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nextaim_kit.studies.report_structuring.schema import Field, read_template
from nextaim_kit.studies.report_structuring.writing.grammar import Forms
from nextaim_kit.studies.report_structuring.writing.writer import Item, Writer
from nextaim_kit.yaml_text import parse_yaml

LANGUAGES = ("it", "en")
ABSENT, UNCERTAIN = "absent", "uncertain"


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


@dataclass(frozen=True)
class Lexicon:
    """All words of one kind of report in one language.

    Attributes
    ----------
    fields : dict of str to Field
        Of the whole template.
    groups : dict
        By section the groups of fields, in their order; `spoken` how often a value is said,
        `restated` what may come again in the conclusions, `resolving` what may be gone since.
    cues : dict of str to Forms
        How things are said to be there, absent, uncertain, no longer there.
    says, tables : dict
        By field and value: whole statements, and what stands within statements.
    nouns : dict
        By field and value.
    joint : list of Nouns
        Names for what several fields deny at once.
    after : dict
        What may follow a noun that is there.
    fillers, distractors : dict
        By section: what says nothing of any field, and what only seems to.
    """

    language: str
    fields: dict[str, Field]
    units: dict[str, Any]
    joints: dict[str, str]
    joined: Forms
    cues: dict[str, Forms]
    groups: dict[str, dict[str, list[str]]]
    spoken: dict[str, Any]
    restated: tuple[str, ...]
    resolving: tuple[str, ...]
    says: dict[str, dict[str, Forms]]
    tables: dict[str, dict[str, Forms]]
    nouns: dict[str, dict[str, Nouns]]
    joint: tuple[Nouns, ...]
    after: dict[str, Forms]
    fillers: dict[str, Forms]
    distractors: dict[str, Forms]
    lobes: dict[str, dict[str, str]]

    def form(self, key: str, value: Any) -> Forms:
        """What stands within a statement for a field's value."""
        return self.tables[key][value if isinstance(value, str) else ""]

    def noun(self, key: str, value: str) -> Nouns:
        """Names of a finding with this value."""
        there = self.nouns[key]
        return there.get(value) or there[""]


@cache
def lexicon(kind: str, language: str) -> Lexicon:
    """The words of a kind of report (``covid_ct``, ``echo``) in a language (``it``, ``en``)."""
    shared, plan, own = _phrases(language), _phrases(kind), _phrases(f"{kind}.{language}")
    return Lexicon(
        language=language,
        fields=read_template(kind).by_key,
        units=shared["units"],
        joints=shared["joints"],
        joined=Forms(shared["joined"]),
        cues={n: Forms(shared[n]) for n in ("negated", "resolved", "present", "uncertain")},
        groups=plan["groups"],
        spoken=plan["spoken"],
        restated=tuple(plan["restated"]),
        resolving=tuple(plan["resolving"]),
        says={key: _by_value(of) for key, of in own["says"].items()},
        tables={key: _by_value(of) for key, of in own["tables"].items()},
        nouns={key: _nouns(key, of) for key, of in (own["nouns"] | _graded(own)).items()},
        joint=tuple(Nouns(of["names"], tuple(of["keys"])) for of in own["joint"]),
        after={key: Forms(of) for key, of in own["after"].items()},
        fillers={section: Forms(of, evenly=True) for section, of in own["fillers"].items()},
        distractors={section: Forms(of, evenly=True) for section, of in own["distractors"].items()},
        lobes=own.get("lobes", {}),
    )


def _phrases(name: str) -> dict[str, Any]:
    path = Path(__file__).with_name("phrases") / f"{name}.yaml"
    read: dict[str, Any] = parse_yaml(path.read_text(encoding="utf-8"))
    return read


def _by_value(of: Mapping[str, Sequence[str]] | Sequence[str]) -> dict[str, Forms]:
    """Forms by value; a plain list is of whatever value, under an empty name."""
    by_value = of if isinstance(of, Mapping) else {"": of}
    return {value: Forms(forms) for value, forms in by_value.items()}


def _nouns(key: str, of: Mapping[str, Sequence[str]] | Sequence[str]) -> dict[str, Nouns]:
    by_value = of if isinstance(of, Mapping) else {"": of}
    return {value: Nouns(names, (key,)) for value, names in by_value.items()}


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
