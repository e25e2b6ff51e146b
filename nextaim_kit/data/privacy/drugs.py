"""Drugs: words with a capital that no list holds and that are nobody."""

from __future__ import annotations

import re

from nextaim_kit.data.privacy.folding import Piece

# What is taken, given or dosed: a capital there is a drug.
_TAKEN = re.compile(
    r"(?:(?:terapia|trattamento|profilassi|treatment|therapy|treated)(?:\s+\w+)?\s+(?:con|with)"
    r"|assum\w+|assunzione\s+di|sospes\w+|allergi\w+\s+(?:ad?|al|alla|ai|to)|infusion\w+\s+(?:di|of)"
    r"|somministra\w+|taking|started\s+on)\s+"
    r"(?:[\w-]+(?:\s+\d+\s*m?c?g)?(?:\s*,|\s+e|\s+and|\s+ed?)\s+){0,5}$",
    re.I,
)
_DOSE = re.compile(r"\s+\d+(?:[.,]\d+)?\s*(?:mg|mcg|µg|g|ml|ui|iu|cp|cpr|gtt|mmol)\b", re.I)


def as_drug(text: str, piece: Piece) -> bool:
    """Whether a word stands where drugs do: before a dose, after what is taken."""
    return bool(
        _DOSE.match(text, piece.end) or _TAKEN.search(text[max(0, piece.start - 120) : piece.start])
    )
