"""Identities learned from headers and tables, to be looked for everywhere else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from nextaim_kit.data.privacy.folding import (
    Piece,
    camel_parts,
    fold,
    mended,
    pieces,
    words,
    words_of,
)

_LEAST_PLAIN = 5  # digits of a number that is looked for in texts
_LEAST_NAME, _LEAST_LOGIN, _LEAST_ID, _LEAST_JOINED = 3, 4, 4, 6  # characters
_LONGEST = 24  # letters of a name that was torn
_PARTICLES = words("""
    de del della dei di da dal dalla dello degli delle la lo le li van von der den ten ter el
    al bin ben ibn san santa mac mc st y e d l o dott dottor dottssa dr sig signor signora
    prof mr mrs ms ssa ra jr sr ii iii md phd
""")
_NOBODY = words("""
    anonymous anon anonymized unknown none patient test phantom removed qa na nn
""")
_NUMBERS = re.compile(r"\d+(?:[-./ ]\d+)+")
_INITIALS = re.compile(r"(?<![\w.])([A-Z])\.\s?([A-Z])\.(?!\w)")
_BEFORE = words("""
    di del dello della d morbo malattia sindrome linea linee segno segni score scala indice
    classificazione criteri linfoma tumore cellule nodo nodi ernia frattura angolo legamento
    sacco poligono circolo diverticolo esofago anello noduli corpi manovra test metodo grado
    stadio unita tecnica disease sign syndrome of
""")
_AFTER = words("""
    disease syndrome sign signs line lines score scale index classification criteria lymphoma
    tumor tumour cells cell node nodes hernia fracture angle ligament pouch circle
    diverticulum esophagus ring nodule nodules bodies maneuver test method grade stage unit
    units technique duct gland canal membrane plexus space procedure operation coefficient
    interval
""")


class Found(NamedTuple):
    """What was found in a text, between two characters, and what it is put in place of."""

    start: int
    end: int
    kind: str
    instead: str | None = None


class _Entry(NamedTuple):
    parts: tuple[str, ...]
    kind: str
    sure: bool  # false for an ordinary word, which is a name only where it is written as one
    patient: str


@dataclass
class Lexicon:
    """Names, numbers and addresses of people, by the piece they begin with."""

    _entries: dict[str, set[_Entry]] = field(default_factory=lambda: defaultdict(set))
    _numbers: dict[str, str] = field(default_factory=dict)  # digits without separators: patient
    _initials: set[str] = field(default_factory=set)
    births: set[tuple[int, int, int]] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)

    def _add(self, parts: Iterable[str], kind: str, sure: bool, patient: str) -> None:
        tuple_ = tuple(parts)
        if tuple_:
            self._entries[tuple_[0]].add(_Entry(tuple_, kind, sure, patient))

    def add_name(self, text: str, patient: str = "") -> None:
        """Learn a person's name, as DICOM writes it (family^given) or in any order."""
        for group in mended(text).split("="):
            comma = group.count(",") == 1 and "^" not in group
            sides = group.split("," if comma else "^")[:3]
            self._add_sides([_plain(side) for side in sides if _plain(side)], patient)

    def _add_sides(self, sides: list[list[str]], patient: str) -> None:
        whole = [part for side in sides for part in side]
        names = [part for part in whole if part not in _PARTICLES and len(part) > 1]
        if not names or set(names) <= _NOBODY:
            return
        self._add_orders(sides, patient)
        if len(names) > 1:
            self._initials |= {names[0][0] + names[1][0], names[1][0] + names[0][0]}
        for name in names:
            if len(name) >= _LEAST_NAME:
                self._add([name], "name", name not in words_of("vocabulary"), patient)
        for one in names:
            for other in (o for o in names if o != one):
                self._add([other[0], one], "name", True, patient)
                self._add([one, other[0]], "name", True, patient)
                if len(one) >= _LEAST_LOGIN:
                    self._add([other[0] + one], "name", True, patient)
                    self._add([one + other[0]], "name", True, patient)

    def _add_orders(self, sides: list[list[str]], patient: str) -> None:
        orders = [sides, sides[::-1]] if len(sides) > 1 else [sides]
        if len(sides) == 1 and len(sides[0]) > 1:  # no telling which of them is the surname
            words = sides[0]
            orders += [[words[-1:], words[:-1]], [words[1:], words[:1]]]
        for order in [*orders, *([side] for side in sides)]:
            parts = [part for side in order for part in side]
            joined = "".join(parts)
            if len(parts) > 1:
                self._add(parts, "name", True, patient)
                if len(joined) >= _LEAST_JOINED:
                    self._add([joined], "name", True, patient)
        for side in sides:
            if len(side) > 1 and len("".join(side)) >= _LEAST_LOGIN:
                self._add(["".join(side)], "name", True, patient)

    def add_id(self, text: str, patient: str = "") -> None:
        """Learn a number or code that tells a person; short plain numbers only for file names."""
        found = pieces(text)
        size = sum(len(piece.text) for piece in found)
        digits = any(piece.text.isdecimal() for piece in found)
        plain = text.strip().isdecimal() and len(text.strip().lstrip("0")) < _LEAST_PLAIN
        sure = digits and size >= _LEAST_ID and not plain
        self._add([piece.folded for piece in found], "id", sure, patient)
        joined = "".join(piece.text for piece in found).lstrip("0")
        if joined.isdecimal() and len(joined) >= _LEAST_JOINED:
            self._numbers[joined] = patient
            self._add([joined], "id", True, patient)

    def add_phrase(self, text: str, kind: str = "place") -> None:
        """Learn an address or an institution: whole, and its words that are not ordinary."""
        parts = [piece.folded for piece in pieces(mended(text))]
        if len(parts) > 1:
            self._add(parts, kind, True, "")
        for part in parts:
            ordinary = part in _PARTICLES or part in words_of("vocabulary")
            if part.isalpha() and len(part) >= _LEAST_NAME and not ordinary:
                self._add([part], kind, True, "")

    def find(self, text: str, *, in_name: bool = False) -> list[Found]:
        """Places of a text that hold something learned.

        Parameters
        ----------
        text : str
        in_name : bool
            Whether the text is a file's name: there short numbers and plain words count too.
        """
        every = pieces(text)
        split = [part for piece in every for part in camel_parts(piece)]
        found = [hit for row in (every, split) for hit in self._in_pieces(row, text, in_name)]
        for match in _NUMBERS.finditer(text):
            digits = re.sub(r"\D", "", match[0]).lstrip("0")
            if digits in self._numbers:
                found.append(Found(match.start(), match.end(), "id", self._numbers[digits] or None))
        for match in _INITIALS.finditer(text):
            if fold(match[1] + match[2]) in self._initials:
                found.append(Found(match.start(), match.end(), "name"))
        return [*found, *self._torn(every, text)]

    def _torn(self, row: list[Piece], text: str) -> Iterator[Found]:
        """Names within which a line, a page or letters set apart were broken: "Zan-", "frini"."""
        for at, first in enumerate(row):
            joined, end = first.folded, at + 1
            while end < len(row) and len(joined) < _LONGEST and _may_be_torn(row, end, text):
                joined += row[end].folded
                end += 1
                entry = next((e for e in self._entries.get(joined, ()) if len(e.parts) == 1), None)
                words = all(one.folded in words_of("vocabulary") for one in row[at:end])
                if entry and entry.sure and len(joined) >= _LEAST_JOINED and not words:
                    yield Found(first.start, row[end - 1].end, entry.kind, entry.patient or None)

    def _in_pieces(self, row: list[Piece], text: str, in_name: bool) -> Iterator[Found]:
        for at, piece in enumerate(row):
            for entry in self._entries.get(piece.folded, ()):
                end = at + len(entry.parts)
                if tuple(one.folded for one in row[at:end]) != entry.parts:
                    continue
                if in_name or self._counts(entry, row, at, text):
                    yield Found(piece.start, row[end - 1].end, entry.kind, entry.patient or None)

    def _counts(self, entry: _Entry, row: list[Piece], at: int, text: str) -> bool:
        if len(entry.parts) > 1 and entry.sure:
            return True
        if as_term(row, at):
            return False
        if entry.sure:
            return True
        return entry.kind != "id" and written_as_name(row[at], text)

    def owner(self, text: str) -> str:
        """The one patient whom a text names, or nothing where it is none or several."""
        owners = {hit.instead for hit in self.find(text, in_name=True) if hit.instead}
        return owners.pop() if len(owners) == 1 else ""


def _may_be_torn(row: list[Piece], at: int, text: str) -> bool:
    """Whether a run of letters may go on the one before it."""
    gap = text[row[at - 1].end : row[at].start]
    return row[at].folded.isalpha() and gap.strip(" \t\r\n") in ("", "-", "\u00ad")


def _plain(text: str) -> list[str]:
    return [piece.folded for piece in pieces(text) if piece.folded.isalpha()]


def as_term(row: list[Piece], at: int) -> bool:
    """Whether a name stands as a term of medicine, as in Hodgkin's disease or morbo di Hodgkin."""
    if row[at].folded not in words_of("eponyms"):
        return False
    before = [piece.folded for piece in row[max(0, at - 2) : at]]
    after = [piece.folded for piece in row[at + 1 : at + 4] if piece.folded != "s"][:2]
    return bool(before and before[-1] in _BEFORE) or any(word in _AFTER for word in after)


def written_as_name(piece: Piece, text: str) -> bool:
    """Whether a word has its capital within a sentence of small letters."""
    if not (piece.text[0].isupper() and piece.text[1:].islower()):
        return False
    before = text[: piece.start].rstrip(" \t\"'«(“")
    return bool(before) and before[-1] not in ".:;!?\n\r-•*"
