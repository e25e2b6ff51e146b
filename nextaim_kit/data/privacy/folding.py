"""Text as pieces that can be compared: without accents, case and separators."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple

_PIECE = re.compile(r"(?:[^\W\d_][\u0300-\u036f]*)+|\d+")
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-Z])")
_STRAIGHT = {
    0x2018: "'",
    0x2019: "'",
    0x02BC: "'",
    0x00B4: "'",
    0x2010: "-",
    0x2011: "-",
    0x2013: "-",
}
_SPELLED = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "œ": "oe"})


class Piece(NamedTuple):
    """A run of letters or of digits of a text: folded, as it stands, and where."""

    folded: str
    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """Lower case without accents; UTF-8 that was read as Latin-1 is put right.

    Examples
    --------
    >>> fold("Nicolò D'AMICO")
    "nicolo d'amico"
    """
    low = unicodedata.normalize("NFKD", mended(text)).casefold().translate(_SPELLED)
    return "".join(one for one in low if not unicodedata.combining(one))


def straight(text: str) -> str:
    """Text of the same length whose apostrophes and dashes are those of ASCII."""
    return text.translate(_STRAIGHT)


def mended(text: str) -> str:
    """Text whose UTF-8 bytes were taken for Latin-1, as it was meant; other text as it is."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def pieces(text: str) -> list[Piece]:
    """Runs of letters and of digits, folded; numbers without zeros before them."""
    found = []
    for match in _PIECE.finditer(text):
        whole = match[0]
        folded = whole.lstrip("0") or "0" if whole[0].isdecimal() else fold(whole)
        found.append(Piece(folded, whole, match.start(), match.end()))
    return found


def camel_parts(piece: Piece) -> list[Piece]:
    """Parts of a word written like RossiMario; the word itself where it has none."""
    cuts = [0, *(m.start() for m in _CAMEL.finditer(piece.text)), len(piece.text)]
    return [
        Piece(fold(piece.text[a:b]), piece.text[a:b], piece.start + a, piece.start + b)
        for a, b in pairwise(cuts)
    ]


@cache
def words_of(name: str) -> frozenset[str]:
    """Words of a list that lies beside this module: vocabulary, eponyms or given_names."""
    text = files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(
        word for line in text.splitlines() if not line.startswith("#") for word in line.split()
    )


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
