"""Numbers as reports write them: digits or words, decimal comma, this unit or that."""

from __future__ import annotations

from nextaim_kit.studies.report_structuring.numbers import in_words
from nextaim_kit.studies.report_structuring.writing.writer import Writer

# Before a number whose name begins with a vowel.
_ELIDED = {"il": "l'", "al": "all'", "del": "dell'", "dal": "dall'"}
_VOWELED = {1, 8, 11, *range(80, 90)}
# Days without an article of their own in Italian.
DAYS = [day for day in range(2, 29) if day not in _VOWELED]
# Numbers of no field: lowest, highest, unit.
_ELSEWHERE = {"mm": (5, 34, " mm"), "ef": (35, 60, "%"), "mmhg": (25, 50, " mmHg"),
              "pct": (12, 60, "%")}  # fmt: skip
# Numbers of another time or kind: the field beside, factors between which it is, bounds, unit.
_BESIDE = {
    "more": ("extent", 1.3, 2.2, 10, 79, "%"), "less": ("extent", 0.3, 0.7, 2, 79, "%"),
    "efmore": ("ef", 1.12, 1.3, 20, 68, "%"), "efless": ("ef", 0.7, 0.9, 15, 60, "%"),
    "peak": ("aortic_gradient", 1.5, 1.8, 5, 190, " mmHg"),
}  # fmt: skip
# How often numbers of a unit are in words, beside days; how often a length is in the other unit.
_IN_WORDS, _OTHER_UNIT = {"days": 1.0, "mm": 0.5, "%": 0.3}, 0.08
_IN_WORDS_TO = {"days": 30, "mm": 12, "%": 99}
_TEN = {"mm": ("cm", 0.1), "cm": ("mm", 10.0)}


def number(key: str, writer: Writer, article: str = "") -> str:
    """A field's number as the writer's style writes it, with its unit."""
    style, rng, field = writer.style, writer.rng, writer.lexicon.fields[key]
    value, unit, decimals = writer.values[key], field.unit, field.decimals
    other, factor = _TEN.get(unit, ("", 1.0))
    if other and (unit == "cm") != (writer.centimeters != (rng.random() < _OTHER_UNIT)):
        value, unit = value * factor, other
        decimals += 1 if other == "cm" else -1
    figures = f"{value:.{max(decimals, 0)}f}"
    words = "." not in figures and float(figures) <= _IN_WORDS_TO.get(unit, 0)
    words = words and rng.random() < style.words * _IN_WORDS.get(unit, 0.0)
    written = in_words(int(figures), writer.lexicon.language) if words else figures
    if style.decimal_comma and writer.lexicon.language == "it":
        written = written.replace(".", ",")
    return _with_article(article, int(float(figures))) + written + _unit(unit, words, writer)


def drawn(kind: str, writer: Writer) -> str:
    """A number or date that is no value of the report: of the past, of another organ, a peak."""
    rng = writer.rng
    if kind == "date":
        day, month, year = rng.choice(DAYS), rng.randint(3, 12), rng.randint(2020, 2021)
        european = f"{day:02d}/{month:02d}/{year}"
        return european if writer.lexicon.language == "it" else f"{year}-{month:02d}-{day:02d}"
    if kind == "year":
        return str(rng.randint(2005, 2019))
    if kind in _BESIDE:
        key, low, high, least, most, unit = _BESIDE[kind]
        value = writer.patient.get(key, 30) * rng.uniform(low, high)
        whole = min(most, max(least, round(value)))
        return f"{whole + (whole in _VOWELED)}{unit}"
    low, high, unit = _ELSEWHERE[kind]
    return f"{rng.randint(low, high)}{unit}"


def _with_article(article: str, value: int) -> str:
    if not article:
        return ""
    return _ELIDED[article] if value in _VOWELED else f"{article} "


def _unit(unit: str, words: bool, writer: Writer) -> str:
    spelled = writer.lexicon.units.get(unit)
    if not spelled:
        return ""
    short, long = spelled["short"], spelled["long"]
    if words:
        return f" {long}"
    form = short[writer.style.habit(unit, len(short))]
    return form if unit == "%" or (writer.style.tight and unit in ("mm", "cm")) else f" {form}"
