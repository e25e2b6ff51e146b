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
_KEYS = re.compile(r"[!?\w ]+")
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
        self.needs: set[str] = set()  # fields whose values are written

    def sequence(self, ends: str) -> Say:
        """What stands until one of `ends`."""
        parts: list[Say] = []
        while self.at < len(self.text) and self.text[self.at] not in ends:
            parts.append(self._one())

        def say(writer: Writer) -> None:
            for part in parts:
                part(writer)

        return parts[0] if len(parts) == 1 else say

    def _one(self) -> Say:
        sign = self.text[self.at]
        if plain := self._took(_PLAIN):
            return _text(plain[0])
        if drawn := self._took(_DRAWN):
            return lambda writer: writer.put(numerals.drawn(drawn[1], writer))
        if number := self._took(_NUMBER):
            return self._number(number[2], number[1] or "")
        if items := self._took(_ITEMS):
            joint, prefix = "nor" if items[1] == "@" else "and", f"{items[2]} " if items[2] else ""
            return lambda writer: writer.joined(joint, prefix, short=items[1] == "&&")
        bracketed = {"(": self._forms, "[": self._optional, "<": self._mark, "{": self._agreement}
        self.at += 1
        if sign not in bracketed:
            self.at += sign == "\\"
            return _text(self.text[self.at - 1])
        said = bracketed[sign]()
        self.at += 1
        return said

    def _took(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()
        return match

    def _number(self, key: str, article: str) -> Say:
        self.needs.add(key)
        return lambda w: w.marked((key,), lambda w: w.put(numerals.number(key, w, article)))

    def _forms(self) -> Say:
        start, depth = self.at, 0
        texts = [start]
        while depth or self.text[self.at] != ")":
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            if not depth and self.text[self.at] == "|":
                texts.append(self.at + 1)
            self.at += 1
        ends = [*(at - 1 for at in texts[1:]), self.at]
        return Forms([self.text[a:b] for a, b in zip(texts, ends, strict=True)])

    def _optional(self) -> Say:
        outer, self.needs = self.needs, set()
        said = self.sequence("]")
        needs, self.needs = self.needs, outer

        def say(writer: Writer) -> None:
            if all(key in writer.values and not writer.said(key) for key in needs):
                said(writer)

        return say

    def _mark(self) -> Say:
        keys = self._took(_KEYS)
        names = tuple(keys[0].split()) if keys else ()
        if self.text[self.at] == ">":
            (key,) = names
            self.needs.add(key)
            return lambda w: w.marked((key,), w.lexicon.form(key, w.values[key]))
        self.at += 1
        said = self.sequence(">")

        def say(writer: Writer) -> None:
            every = [key for item in writer.items for key in item.keys]
            writer.marked([k for name in names for k in (every if name == "?" else [name])], said)

        return say

    def _agreement(self) -> Say:
        end = self.text.index("}", self.at)
        forms, self.at = self.text[self.at : end].split("/"), end

        def say(writer: Writer) -> None:
            four = len(forms) == 4
            at = _AGREEMENT[writer.agrees] if four else writer.agrees.endswith("p")
            writer.put(forms[at])

        return say


def _text(text: str) -> Say:
    return lambda writer: writer.put(text)


@cache
def compiled(phrase: str) -> Say:
    """What writes a phrase."""
    return _Parser(phrase).sequence("")
