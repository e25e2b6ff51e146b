"""From what is to be said to sentences: statements, lists of what is absent, lobes, measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nextaim_kit.studies.report_structuring.writing.grammar import compiled
from nextaim_kit.studies.report_structuring.writing.lexicon import ABSENT, UNCERTAIN
from nextaim_kit.studies.report_structuring.writing.styles import Section
from nextaim_kit.studies.report_structuring.writing.writer import Item, Piece, Say, Writer

LOBES = ("rul", "rml", "rll", "lul", "lll")
_JOINED, _MEASURES = 0.12, 0.85  # how often two sentences, and two measures, are one
_NOUNS = 4  # in a denial, at most


@dataclass
class Sentence:
    """One sentence: its pieces, what it does, and the fields that it is evidence of."""

    pieces: list[Piece]
    does: str = "says"

    @property
    def keys(self) -> tuple[str, ...]:
        """Fields that it says."""
        marks = [key for _, marks in self.pieces for key in marks if not key.startswith("!")]
        return tuple(dict.fromkeys(marks))


def statements(section: str, writer: Writer) -> Iterator[Sentence]:
    """What a section says of its fields, in the house's order."""
    groups = writer.lexicon.plan["groups"].get(section, {})
    first = [name for name in writer.style.groups if name in groups]
    sentences: list[Sentence] = []
    for name in [*first, *(name for name in groups if name not in first)]:
        sentences += _measures_joined(_group(groups[name], writer), writer)
    if section == Section.HISTORY and sentences:
        yield _merged(sentences, ", ")
    else:
        yield from _sometimes_joined(sentences, writer)


def _group(keys: Sequence[str], writer: Writer) -> list[Sentence]:
    """Sentences of one group of fields; what is absent is denied in lists."""
    said: list[Sentence] = []
    denied: list[str] = []
    for key in keys:
        if key == "lobes":
            said += _lobes(writer)
        elif key not in writer.values or any(key in sentence.keys for sentence in said):
            continue
        elif (value := writer.values[key]) == ABSENT and key not in writer.lexicon.says:
            denied.append(key)
        else:
            said.append(statement(key, value, writer))
    denials = [*_denials(denied, writer)]
    return [*denials, *said] if writer.style.denied_first else [*said, *denials]


def statement(key: str, value: Any, writer: Writer) -> Sentence:
    """What is said of one field: a statement of its own, or that its noun is there or is not."""
    lexicon = writer.lexicon
    forms = lexicon.says.get(key, {})
    own = forms.get(value if isinstance(value, str) else "")
    if own:
        single = writer.values.get("focality") == "single"
        does = "says" if isinstance(value, str) else "measures"
        return written(writer, own, agrees="fs" if single else "fp", does=does)
    item = lexicon.noun(key, value).item(writer)
    if value == UNCERTAIN:
        return about([item], lexicon.cues["uncertain"], writer, "doubts")
    if value == ABSENT:
        return about([item], lexicon.cues["negated"], writer, "denies")
    return about([_followed(item, key, writer)], lexicon.cues["present"], writer, "affirms")


def _followed(item: Item, key: str, writer: Writer) -> Item:
    """A noun with what may stand after it, such as its side or size."""
    if key not in writer.lexicon.after:
        return item
    after = writer.lexicon.after[key]

    def say(w: Writer) -> None:
        item.say(w)
        marks, w.marks = w.marks, ()
        after(w)
        w.marks = marks

    return replace(item, say=say)


def _denials(keys: Sequence[str], writer: Writer) -> Iterator[Sentence]:
    items = _denied_items(keys, writer)
    while items:
        n = writer.rng.choice((1, 2, 2, 3, 3, _NOUNS))
        some, items = items[:n], items[n:]
        better = writer.values.get("comparison") == "improved" and writer.rng.random() < 0.4
        gone = better and len(some) == 1 and some[0].keys[0] in writer.lexicon.plan["resolving"]
        cue = "resolved" if gone else "negated"
        yield about(some, writer.lexicon.cues[cue], writer, "denies")


def _denied_items(keys: Sequence[str], writer: Writer) -> list[Item]:
    items, left = [], [*keys]
    for joint in writer.lexicon.joint:
        if all(key in left for key in joint.keys) and writer.rng.random() < 0.5:
            items.append(joint.item(writer))
            left = [key for key in left if key not in joint.keys]
    return [*items, *(writer.lexicon.noun(key, ABSENT).item(writer) for key in left)]


def _lobes(writer: Writer) -> list[Sentence]:
    """Sentences on the lobes: those involved, now and then those spared."""
    says, names = writer.lexicon.says.get("lobes", {}), writer.lexicon.lobes
    there = [key for key in LOBES if writer.values.get(key) == "present"]
    spared = [key for key in LOBES if writer.values.get(key) == ABSENT]
    if not there:
        return []

    def items(keys: Sequence[str]) -> list[Item]:
        full, short = names["full"], names["short"]
        return [Item(compiled(full[k]), (k,), "ms", compiled(short[k])) for k in keys]

    if len(there) == len(LOBES):
        return [written(writer, says["all"])]
    said = [about(items(there), says["present"], writer, "affirms")]
    if len(spared) <= 2 and writer.rng.random() < 0.5:
        said.append(about(items(spared), says["spared"], writer, "denies"))
    return said


def about(items: Sequence[Item], cue: Say, writer: Writer, does: str) -> Sentence:
    """A sentence about some things; several agree as a plural in Italian."""
    agrees = items[0].agrees
    if len(items) > 1:
        genders = {item.agrees[0] for item in items}
        agrees = next(form for form in ("mp", "fp", "p", "s") if form[0] in genders)
    return written(writer, cue, agrees=agrees, items=items, does=does)


def written(
    writer: Writer, say: Say, *, agrees: str = "ms", items: Sequence[Item] = (), does: str = "says"
) -> Sentence:
    """A sentence that `say` writes; `does` tells what it does with its fields."""
    writer.pieces, writer.agrees, writer.items = [], agrees, items
    say(writer)
    return Sentence(writer.pieces, does)


def _measures_joined(sentences: Sequence[Sentence], writer: Writer) -> list[Sentence]:
    """Measures one after the other in one sentence, as most houses write them."""
    joined: list[Sentence] = []
    for sentence in sentences:
        both = bool(joined) and sentence.does == joined[-1].does == "measures"
        if both and writer.rng.random() < _MEASURES:
            joined[-1] = _merged([joined[-1], sentence], ", ", "measures")
        else:
            joined.append(sentence)
    return joined


def _sometimes_joined(sentences: Sequence[Sentence], writer: Writer) -> Iterator[Sentence]:
    """Now and then what is there follows in the sentence of what is not."""
    at = 0
    while at < len(sentences):
        pair = [*sentences[at : at + 2]]
        turns = [sentence.does for sentence in pair] == ["denies", "affirms"]
        if turns and writer.rng.random() < _JOINED:
            joint = written(writer, writer.lexicon.cues["joined"]).pieces[0][0]
            yield _merged(pair, joint)
            at += 2
        else:
            yield sentences[at]
            at += 1


def _merged(sentences: Sequence[Sentence], joint: str, does: str = "says") -> Sentence:
    pieces = [*sentences[0].pieces]
    for sentence in sentences[1:]:
        pieces += [(joint, ()), *sentence.pieces]
    return Sentence(pieces, does)
