"""Phrases as data: a small notation for choices, agreement, values and their evidence.

======================  ==========================================================================
``(a|b|c)``             one of several forms; so is a list. A form that begins with ``~`` is terse
``[ ...]``              only if every field named in it is to be said
``<key>``               the form of the field's value in the lexicon's ``tables``
``<key:...>``           evidence of the field's value; ``<!key:...>`` only looks like it;
                        ``<?:...>`` is evidence of all fields that the items are of
``#key``, ``#al_key``   the field's number with its unit; with the article that it takes (Italian)
``{a/b}``               by number: singular, plural; ``{a/b/c/d}``: ms, fs, mp, fp
``@``, ``&``            the items, joined as after a negation, or by "and"; ``&il_`` puts a word
                        before each, ``&&`` names them short
``%date``               a drawn date, year or number (`numerals.drawn`)
======================  ==========================================================================

Of three forms or more the last 30 % are held out: they are not used in training texts.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Sequence
from functools import cache
from itertools import accumulate

from nextaim_kit.studies.report_structuring.writing import numerals
from nextaim_kit.studies.report_structuring.writing.writer import Say, Writer

HELD_OUT = 0.3  # share of the forms that only test texts have
_NUMBER = re.compile(r"#(?:(il|al|del|dal)_)?(\w+)")
_ITEMS = re.compile(r"(@|&&?)(?:(\w+)_)?")
_DRAWN = re.compile(r"%([a-z]+)")
_PLAIN = re.compile(r"[^()|\[\]<>#{}@&%\\]+")
_AGREEMENT = {"ms": 0, "fs": 1, "mp": 2, "fp": 3}


class Forms:
    """Several ways to say one thing, the last of them held out of training texts.

    All are as frequent as the style likes them, or `evenly` so where that is no matter of taste.
    """

    def __init__(self, texts: Sequence[str], *, evenly: bool = False) -> None:
        self.evenly = evenly
        self.texts = tuple(texts)
        self.says = [compiled(text.removeprefix("~")) for text in texts]
        self.known = len(texts) - (round(HELD_OUT * len(texts)) if len(texts) > 2 else 0)
        self._weights: dict[tuple[str, bool], list[float]] = {}

    def index(self, writer: Writer) -> int:
        """Which form the writer's style takes this time."""
        key = (writer.style.name, writer.held_out)
        if key not in self._weights:
            there = self.texts if writer.held_out else self.texts[: self.known]
            self._weights[key] = list(
                accumulate(1.0 if self.evenly else writer.style.likes(text) for text in there)
            )
        weights = self._weights[key]
        return min(bisect(weights, writer.rng.random() * weights[-1]), len(weights) - 1)

    def __call__(self, writer: Writer) -> None:
        self.says[self.index(writer)](writer)


class _Parser:
    """Reads a phrase from its start to its end."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def sequence(self, ends: str) -> tuple[Say, set[str]]:
        """What stands until one of `ends`, and the fields whose values it needs."""
        parts: list[Say] = []
        needs: set[str] = set()
        while self.at < len(self.text) and self.text[self.at] not in ends:
            said, of = self._one()
            parts.append(said)
            needs |= of
        return _all_of(parts), needs

    def _one(self) -> tuple[Say, set[str]]:
        sign = self.text[self.at]
        if plain := _PLAIN.match(self.text, self.at):
            return _text(self._took(plain)[0]), set()
        if sign == "\\":
            self.at += 2
            return _text(self.text[self.at - 1]), set()
        if drawn := _DRAWN.match(self.text, self.at):
            return _drawn(self._took(drawn)[1]), set()
        if number := _NUMBER.match(self.text, self.at):
            article, key = self._took(number).groups()
            return _number(key, article or ""), {key}
        if items := _ITEMS.match(self.text, self.at):
            word, prefix = self._took(items).groups()
            return _items(word, f"{prefix} " if prefix else ""), set()
        bracketed = {"(": self._forms, "[": self._optional, "<": self._mark, "{": self._agreement}
        if sign not in bracketed:
            self.at += 1
            return _text(sign), set()
        self.at += 1
        said = bracketed[sign]()
        self.at += 1
        return said

    def _took(self, match: re.Match[str]) -> re.Match[str]:
        self.at = match.end()
        return match

    def _forms(self) -> tuple[Say, set[str]]:
        start, depth = self.at, 0
        texts = [start]
        while depth or self.text[self.at] != ")":
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            if not depth and self.text[self.at] == "|":
                texts.append(self.at + 1)
            self.at += 1
        ends = [*(at - 1 for at in texts[1:]), self.at]
        return Forms([self.text[a:b] for a, b in zip(texts, ends, strict=True)]), set()

    def _optional(self) -> tuple[Say, set[str]]:
        said, needs = self.sequence("]")
        return _if_known(said, frozenset(needs)), set()

    def _mark(self) -> tuple[Say, set[str]]:
        keys = re.compile(r"[!?\w ]+").match(self.text, self.at)
        names = tuple(self._took(keys)[0].split()) if keys else ()
        if self.text[self.at] == ">":
            return _table(names[0]), {names[0]}
        self.at += 1
        said, needs = self.sequence(">")
        return _marked(names, said), needs

    def _agreement(self) -> tuple[Say, set[str]]:
        end = self.text.index("}", self.at)
        forms, self.at = self.text[self.at : end].split("/"), end
        return _agreed(forms), set()


@cache
def compiled(phrase: str) -> Say:
    """What writes a phrase."""
    parser = _Parser(phrase)
    said, _ = parser.sequence("")
    return said


def _all_of(parts: Sequence[Say]) -> Say:
    if len(parts) == 1:
        return parts[0]

    def say(writer: Writer) -> None:
        for part in parts:
            part(writer)

    return say


def _text(text: str) -> Say:
    return lambda writer: writer.put(text)


def _drawn(kind: str) -> Say:
    return lambda writer: writer.put(numerals.drawn(kind, writer))


def _number(key: str, article: str) -> Say:
    return lambda writer: writer.marked((key,), lambda w: w.put(numerals.number(key, w, article)))


def _items(word: str, prefix: str) -> Say:
    joint = "nor" if word == "@" else "and"
    return lambda writer: writer.joined(joint, prefix, short=word == "&&")


def _table(key: str) -> Say:
    return lambda writer: writer.marked((key,), writer.lexicon.form(key, writer.values[key]))


def _marked(names: tuple[str, ...], said: Say) -> Say:
    def say(writer: Writer) -> None:
        every = [key for item in writer.items for key in item.keys]
        writer.marked([k for name in names for k in (every if name == "?" else [name])], said)

    return say


def _if_known(said: Say, needs: frozenset[str]) -> Say:
    def say(writer: Writer) -> None:
        if all(key in writer.values and not writer.said(key) for key in needs):
            said(writer)

    return say


def _agreed(forms: Sequence[str]) -> Say:
    def say(writer: Writer) -> None:
        at = _AGREEMENT[writer.agrees] if len(forms) == 4 else writer.agrees.endswith("p")
        writer.put(forms[at])

    return say
