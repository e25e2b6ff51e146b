"""Numbers of a report: in digits or in words, with a decimal comma or point, with their unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.report_structuring.schema import Field, read_words


@dataclass(frozen=True)
class NumberSpan:
    """A number of a text.

    Attributes
    ----------
    start, end : int
        Its characters, without the unit.
    value : float
    unit : str
        As it is written here: ``mm``, ``cm2``, ``ml/m2``, ``%``, ...; empty where none follows.
    """

    start: int
    end: int
    value: float
    unit: str = ""


_WORDS = read_words("numbers")
_UNITS: dict[str, str] = _WORDS["units"]
_UNIT = re.compile(
    rf"\s*(?:{'|'.join(f'({forms})' for forms in _UNITS.values())})(?![\w/²])", re.IGNORECASE
)
_NO_NUMBERS = [re.compile(form) for form in _WORDS["no_numbers"].values()]
_PARTS = {name: re.compile(_WORDS[name]["parts"], re.IGNORECASE) for name in ("it", "en")}
_MINUS = "-\u2212\u2013"  # hyphen, minus, dash
_DIGITS = re.compile(rf"(?:(?<![\w)])[{_MINUS}])?(?<![\d.,/])\d+(?:[.,]\d+)*")
_GLUED = re.compile(rf"[^\W\d_][{_MINUS}]?$")
_JOINED = re.compile(rf"\s*(?:x|\u00d7|[{_MINUS}]|per|a|to|by)\s*", re.IGNORECASE)
_ARTICLES = {"un", "uno", "una", "one"}


def find_numbers(text: str, language: str = "it") -> list[NumberSpan]:
    """Numbers of a text, in their order.

    Dates and times of day are none, nor is what is part of a name ("COVID-19", "T2"), nor the
    second number of a score ("18/25"), nor what is of a fraction ("1/3", "due terzi", "2 cm e
    mezzo"), whose value it is not. Of measures that share a unit ("12 x 8 mm") each has it. A dot
    or a comma before three digits parts thousands where the language writes it so.

    Parameters
    ----------
    text : str
    language : {"it", "en"}
        Of the number words, up to 199, and of the thousands.

    Raises
    ------
    RequestError
        If the language is not known.

    Examples
    --------
    >>> found = find_numbers("DTD 5,2 cm, FE cinquantacinque per cento (il 12/03/2020: 48%)")
    >>> [(n.value, n.unit) for n in found]
    [(5.2, 'cm'), (55.0, '%'), (48.0, '%')]
    """
    if language not in _PARTS:
        raise RequestError(
            f"no numbers are known in {language!r}", expected="a language: " + ", ".join(_PARTS)
        )
    return list(_found(text, language))


@lru_cache(maxsize=4096)  # several methods read the same reports, and many times where words go
def _found(text: str, language: str) -> tuple[NumberSpan, ...]:
    bare = text
    for other in _NO_NUMBERS:
        bare = other.sub(lambda found: " " * len(found[0]), bare)
    found = sorted([*_in_digits(bare, language), *_worded(bare, language)], key=lambda n: n.start)
    for k in range(len(found) - 2, -1, -1):  # from the end: a unit is handed on more than once
        here, after = found[k], found[k + 1]
        if not here.unit and _JOINED.fullmatch(bare, here.end, after.start):
            found[k] = replace(here, unit=after.unit)
    return tuple(found)


def value_in(number: NumberSpan, unit: str) -> float | None:
    """A number in the unit of a field; None where the two do not measure the same.

    A number without a unit is taken to be in the field's. So is one with a unit where the field
    has none only if the unit is a share (%).

    Examples
    --------
    >>> value_in(NumberSpan(0, 2, 52.0, "mm"), "cm")
    5.2
    >>> value_in(NumberSpan(0, 2, 52.0, "mm"), "%")
    """
    wanted = canonical_unit(unit)
    if number.unit in ("", wanted) or (not wanted and number.unit == "%"):
        return number.value
    for kind in _WORDS["kinds"]:
        if number.unit in kind and wanted in kind:
            return round(number.value * kind[number.unit] / kind[wanted], 9)
    return None


def possible(field: Field, number: NumberSpan) -> float | None:
    """What a number would be in a field's unit; None where it cannot be of the field."""
    value = value_in(number, field.unit)
    if value is None or not field.holds(value):
        return None
    return round(value, field.decimals) + 0.0


def canonical_unit(unit: str) -> str:
    """The short form of a unit: ``cm²`` is ``cm2``; one that is not known stays as it is.

    Examples
    --------
    >>> canonical_unit("ml/m²"), canonical_unit("millimetri"), canonical_unit("score")
    ('ml/m2', 'mm', 'score')
    """
    found = _UNIT.fullmatch(unit.strip())
    return _named(found) if found else unit.strip()


def _named(found: re.Match) -> str:
    return list(_UNITS)[(found.lastindex or 1) - 1]


def _in_digits(text: str, language: str) -> Iterator[NumberSpan]:
    for found in _DIGITS.finditer(text):
        unit = _UNIT.match(text, found.end())
        if _PARTS[language].match(text, unit.end() if unit else found.end()):
            continue
        if unit or not _GLUED.search(text, 0, found.start()):
            value = _value(found[0], language)
            yield NumberSpan(found.start(), found.end(), value, _named(unit) if unit else "")


def _worded(text: str, language: str) -> Iterator[NumberSpan]:
    names = _number_words(language)
    for found in _word_pattern(language).finditer(text):
        whole, part = (names.get(_plain(w)) for w in (found[1], found[2] or ""))
        if whole is None:
            continue
        end = found.end() if part is not None else found.end(1)
        unit = _UNIT.match(text, end)
        if _PARTS[language].match(text, unit.end() if unit else end):
            continue
        if unit or part is not None or found[1].lower() not in _ARTICLES:
            value = float(f"{whole}.{part}" if part is not None else whole)
            yield NumberSpan(found.start(), end, value, _named(unit) if unit else "")


def _value(written: str, language: str) -> float:
    sign, digits = (-1, written[1:]) if written[0] in _MINUS else (1, written)
    thousands = _WORDS[language]["thousands"]
    if re.fullmatch(rf"[1-9]\d{{0,2}}(?:\{thousands}\d{{3}})+(?:[.,]\d+)?", digits):
        digits = digits.replace(thousands, "")
    *whole, last = re.split("[.,]", digits)
    return sign * float("".join(whole) + "." + last if whole else last)


def _plain(words: str) -> str:
    return words.lower().replace("é", "e").replace("-", " ")


def in_words(number: int, language: str) -> str:
    """A whole number from 0 to 99 in words.

    Examples
    --------
    >>> in_words(28, "it"), in_words(33, "it"), in_words(40, "it"), in_words(21, "en")
    ('ventotto', 'trentatré', 'quaranta', 'twenty-one')
    """
    ones, one = _WORDS[language]["ones"], number % 10
    if number < 20:
        return ones[number]
    ten = _WORDS[language]["tens"][number // 10 - 2]
    if language == "en":
        return ten + (f"-{ones[one]}" if one else "")
    last = {0: "", 3: "tré"}.get(one, ones[one])
    return (ten[:-1] if one in (1, 8) else ten) + last


@lru_cache
def _word_pattern(language: str) -> re.Pattern:
    """A number in words and, after "virgola" or "point", its decimals."""
    words, word = _WORDS[language], r"[^\W\d_]+"
    if language == "en":  # the only one that writes a number in several words
        names = "|".join([*words["ones"], *words["tens"]])
        below = rf"(?:{names})(?:[ -](?:{names}))?"
        word = rf"one hundred(?:(?: and)? {below})?|{below}"
    return re.compile(
        rf"(?<!\bper\s)\b({word})\b(?:\s+(?:{words['point']})\s+({word})\b)?", re.IGNORECASE
    )


@lru_cache
def _number_words(language: str) -> dict[str, int]:
    """The names of 0 to 199."""
    names, words = {_plain(in_words(n, language)): n for n in range(100)}, _WORDS[language]
    above = {h + name: 100 + n for name, n in names.items() if n for h in words["hundred"]}
    return {**names, **above, words["hundred"][0].strip(): 100, **words["articles"]}
