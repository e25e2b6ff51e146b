"""Dates in text: found in the ways Italian and English write them, and moved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date

from nextaim_kit.data.privacy.folding import fold
from nextaim_kit.data.privacy.lexicon import Found

_MONTHS = {
    "it": [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ],
    "en": [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
}
_NUMBER = {
    name[:size]: number
    for names in _MONTHS.values()
    for number, name in enumerate(names, 1)
    for size in (3, 4, len(name))
}
_WORD = "|".join(sorted(_NUMBER, key=len, reverse=True))
# Without a year only whole names tell a month: "2 set", "may 3" are none.
_WHOLE = "|".join(name for names in _MONTHS.values() for name in names if name != "may")
_YEAR = r"(?P<y>(?:1[89]|20)\d\d)"
_SHORT = r"(?P<y>(?:(?:1[89]|20)\d\d|\d\d))"
_UNIT = r"(?!\s?(?:mm|cm|m|ml|mg|kg|g|ms|s|min|gy|msv|kv|ma|hu|%|x)\b)"
_FORMS = {
    "ymd": rf"(?<![\w./-]){_YEAR}(?P<a>[-./ ])(?P<m>\d\d?)(?P=a)(?P<d>\d\d?)(?:(?![\w-])"
    rf"|(?=T\d))(?!\.\d)",
    "compact": rf"(?<![\d.]){_YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d"
    rf"|3[01])(?=\d{{6}}(?!\d)|(?!\d))",
    "dmy": rf"(?<![\w./-])(?P<d>\d\d?)(?P<a>\s?[-./]\s?)(?P<m>\d\d?)(?P=a){_SHORT}(?![\w-])"
    rf"(?!\.\d)(?!/\d){_UNIT}",
    "spaced": rf"(?<![\w./-])(?P<d>\d\d) (?P<m>\d\d) {_YEAR}(?!\w)",
    "dayname": rf"(?<!\w)(?P<d>\d\d?)(?:st|nd|rd|th|°|º)?[\s_-]+(?:of"
    rf"\s+)?(?P<w>{_WORD})\.?,?[\s_-]+'?{_SHORT}(?!\w)",
    "namedday": rf"(?<!\w)(?P<w>{_WORD})\.?\s+(?P<d>\d\d?)(?:st|nd|rd|th)?,?\s+{_YEAR}(?!\w)",
    "daymonth": rf"(?<!\w)(?P<d>\d\d?)(?:st|nd|rd|th|°|º)?\s+(?:of\s+)?(?P<w>{_WHOLE}"
    rf"|(?-i:May))(?!\w)",
    "monthday": rf"(?<!\w)(?P<w>{_WHOLE})\s+(?P<d>\d\d?)(?:st|nd|rd|th)?(?!\w)",
    "monthyear": rf"(?<!\w)(?P<w>{_WORD})\.?(?:\s+(?:of|del))?\s+{_YEAR}(?!\w)",
}
_PATTERNS = {name: re.compile(form, re.IGNORECASE) for name, form in _FORMS.items()}
_VERSION = re.compile(r"(?:\bv|ver|vers|version|versione|release|rel|syngo|software)[\s.:]*$", re.I)
_BIRTH = re.compile(
    r"(?:nat[oaie](?:\s+(?:a|in)\s+[^\d,;:]{1,40},?)?(?:\s+il)?|nascita|born(?:\s+on)?|birth|dob"
    r"|d\.o\.b\.?)"
    r"[\s:.,(]*$",
    re.I,
)
Move = Callable[[date], date] | None


def find_dates(text: str, births: set[tuple[int, int, int]], move: Move) -> Iterator[Found]:
    """Dates of a text, each with what takes its place.

    Parameters
    ----------
    text : str
    births : set of (int, int, int)
        Dates of birth, as year, month, day: these and what is called one are taken out.
    move : callable or None
        What gives a date's new day; without it a date is taken out.
    """
    taken: list[tuple[int, int]] = []
    for name, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            span = match.span()
            day = _day(name, match)
            if day is None or any(a < span[1] and span[0] < b for a, b in taken):
                continue
            if _VERSION.search(text[: span[0]]):
                continue
            taken.append(span)
            yield Found(*span, "date", _instead(name, match, text, day, births, move))


def _day(name: str, match: re.Match[str]) -> date | None:
    parts = match.groupdict()
    month = _NUMBER[fold(parts["w"])] if parts.get("w") else int(parts["m"])
    day = int(parts.get("d") or 15)
    year = int(parts.get("y") or 2000)
    if year < 100:
        year += 1900 if year > 29 else 2000
    if month > 12 >= day and not parts.get("w"):
        day, month = month, day
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _instead(
    name: str,
    match: re.Match[str],
    text: str,
    day: date,
    births: set[tuple[int, int, int]],
    move: Move,
) -> str:
    known = (day.year, day.month, day.day) in births
    if known or _BIRTH.search(text[: match.start()]):
        return "[date of birth]"
    if move is None or name in ("daymonth", "monthday"):
        return "[date]"  # without a year there is no telling the day of a leap year
    return _written(name, match, move(day))


def _written(name: str, match: re.Match[str], day: date) -> str:
    """A date as the one it takes the place of was written."""
    parts = match.groupdict()
    apart = parts.get("a") or ""
    year = f"{day.year % 100:02d}" if len(parts.get("y") or "") == 2 else f"{day.year:04d}"
    if name == "compact":
        return f"{day:%Y%m%d}"
    if name == "ymd":
        return f"{day.year:04d}{apart}{day.month:02d}{apart}{day.day:02d}"
    if name in ("dmy", "spaced"):
        swapped = int(parts["m"]) > 12
        first, second = (day.month, day.day) if swapped else (day.day, day.month)
        apart = apart or " "
        return f"{first:02d}{apart}{second:02d}{apart}{year}"
    word = _month_word(parts["w"], day.month)
    if name == "namedday":
        return f"{word} {day.day}, {day.year}"
    return f"{word} {day.year}" if name == "monthyear" else f"{day.day} {word} {year}"


def _month_word(as_written: str, month: int) -> str:
    low = fold(as_written)
    number = _NUMBER[low]
    tongue = "it" if _MONTHS["it"][number - 1].startswith(low) else "en"
    word = _MONTHS[tongue][month - 1]
    word = (
        word[: len(low)] if len(low) <= 4 and len(low) < len(_MONTHS[tongue][number - 1]) else word
    )
    return word.capitalize() if as_written[0].isupper() else word
