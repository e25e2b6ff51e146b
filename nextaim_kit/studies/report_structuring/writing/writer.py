"""Who writes a report: what is to be said, in which style, and what was written so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from nextaim_kit.studies.report_structuring.writing.styles import Style

Piece = tuple[str, tuple[str, ...]]  # text, and the fields that it is evidence of
Say = Callable[["Writer"], None]


def only_seeming(piece: Piece) -> Piece:
    """A piece whose evidence of a value is none, since it is of another time, or wrong."""
    text, marks = piece
    return text, tuple(mark if mark.startswith("!") else f"!{mark}" for mark in marks)


@dataclass(frozen=True)
class Item:
    """A noun that a statement is about: how it is said, the fields it is of, its agreement."""

    say: Say
    keys: tuple[str, ...]
    agrees: str = "ms"
    short: Say | None = None


@dataclass
class Writer:
    """Who writes one report: by which style, what is to be said, and what was written so far."""

    style: Style
    lexicon: Any  # a `Lexicon`, whose forms take a writer
    values: Mapping[str, Any]  # that are to be said
    patient: Mapping[str, Any]  # all that are so
    rng: Random
    held_out: bool = False
    centimeters: bool = False  # whether lengths are in cm this time, as a rule
    agrees: str = "ms"
    items: Sequence[Item] = ()
    marks: tuple[str, ...] = ()
    pieces: list[Piece] = field(default_factory=list)

    def put(self, text: str) -> None:
        """Write a text as evidence of what is being marked."""
        if text and self.pieces and self.pieces[-1][1] == self.marks:
            self.pieces[-1] = (self.pieces[-1][0] + text, self.marks)
        elif text:
            self.pieces.append((text, self.marks))

    def said(self, key: str) -> bool:
        """Whether a field's value is in what was written so far of the sentence."""
        return any(key in marks for _, marks in self.pieces)

    def marked(self, marks: Iterable[str], say: Say) -> None:
        """Write something as evidence of further fields."""
        before, self.marks = self.marks, (*self.marks, *marks)
        say(self)
        self.marks = before

    def joined(self, word: str, prefix: str, short: bool) -> None:
        """Write the items as a list."""
        for at, item in enumerate(self.items):
            last = at and at == len(self.items) - 1
            if at:
                self.put(self.lexicon.joints[word] if last else ", ")
            before = len(self.pieces)
            self.put(prefix)
            self.marked(item.keys, (item.short or item.say) if short else item.say)
            text, marks = self.pieces[before - 1] if last else ("", ())
            if text.endswith(" e ") and self.pieces[before][0].startswith("e"):
                self.pieces[before - 1] = (f"{text[:-1]}d ", marks)
