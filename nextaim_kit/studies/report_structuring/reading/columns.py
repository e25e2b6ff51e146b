"""What the columns of a table of reports are, in the words of those who export them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from nextaim_kit.data.cohort.joining import some
from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, canonical_unit, value_in
from nextaim_kit.studies.report_structuring.reading.duplicates import SPLITS
from nextaim_kit.studies.report_structuring.reading.identifiers import mask
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template, read_words

_WORDS = read_words("columns")
ROLES = tuple(_WORDS["roles"])
SECTIONS = tuple(read_words("headings"))  # codes, in the order of a report
FINDINGS, CONCLUSIONS = "18782-3", "55110-1"  # columns of these are `text` and `end`
_PERSONAL = re.compile(
    r"(^|_)(nome|cognome|nominativo|name|surname|first_?name|last_?name|codice_fiscale|cf|"
    r"fiscal_?code|birth\w*|nascita|dob|indirizzo|address|telefono|phone|medico|radiologo)(_|$)"
)
_NUMBER = re.compile(r"([+-]?(?:\d{1,3}(?:\.\d{3})+(?=,)|\d+)(?:[.,]\d+)?)\s*([^\d\s.,<>/-]\S*)?")


class Named(NamedTuple):
    """What the columns of a table are.

    Attributes
    ----------
    columns : dict of str to str
        Those that are used, by what they are: a role (``subject``, ``text``, ...), a field's key,
        ``second_`` and a key, or the code of a section that is a part of the text.
    personal, others : list of str
        Those that are not used: what tells a person, and the rest.
    """

    columns: dict[str, str]
    personal: list[str]
    others: list[str]


def plain(name: object) -> str:
    """A column's name in small letters without accents, in snake_case."""
    text = unicodedata.normalize("NFKD", str(name).strip().casefold())
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return re.sub(r"\W+", "_", text).strip("_")


_HEADINGS = {
    plain(word): code
    for code, of in read_words("headings").items()
    if code not in (FINDINGS, CONCLUSIONS)
    for words in of.values()
    for word in words
}


def is_header(line: str) -> bool:
    """Whether a line is the first of a table of reports: it names their subjects and texts."""
    cells = {plain(cell) for cell in re.split(r"[\t;,|]", line)}
    return not any(cells.isdisjoint(_WORDS["roles"][role]) for role in ("subject", "text"))


def named(table: pd.DataFrame, template: Template, file: str) -> Named:
    """Find what a table's columns are.

    Raises
    ------
    DataError
        If two columns have one meaning, or the table has some of the template's fields, not all.
    """
    by_name: dict[str, list[str]] = {}
    for column in table:
        by_name.setdefault(plain(column), []).append(str(column))
    used = _roles(table, by_name, file)
    left = {name: of for name, of in by_name.items() if not {*of} & {*used.values()}}
    used |= _of_fields(template, left, "", file) | _of_fields(template, left, "second_", file)
    if "text" in used and "codes" not in used:  # codes are of what is found alone
        used |= {
            code: of[0]
            for name, of in left.items()
            if (code := _HEADINGS.get(name)) and not {*of} & {*used.values()}
        }
    others = [str(column) for column in table if str(column) not in used.values()]
    lacking = [field.key for field in template.fields if field.key not in used]
    if 0 < len(lacking) < len(template.fields):
        there, whole = len(template.fields) - len(lacking), len(template.fields)
        raise DataError(
            f"{file} has {there} of the template's {whole} fields",
            expected=f"also {some(lacking)}", found="other columns: " + (some(others) or "none"),
            mend="add them (an empty cell: not mentioned), or take them out of template.yaml",
        )  # fmt: skip
    personal = [column for column in others if _PERSONAL.search(plain(column))]
    return Named(used, personal, [column for column in others if column not in personal])


def _roles(table: pd.DataFrame, by_name: Mapping[str, list[str]], file: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for role, names in _WORDS["roles"].items():
        there = [column for name in names for column in by_name.get(name, [])]
        if role == "text":  # "referto" may be the report's number beside its text
            there = [c for c in there if _are_texts(table[c])] if len(there) > 1 else there
        exact = [column for column in there if column == role]
        if role in ("text", "end") and len(there) > 1 and not exact:
            raise DataError(
                f"{file}: several columns can be the report's text", found=some(there),
                expected="one, or one of findings and one of conclusions",
                mend="name the one that is meant text",
            )  # fmt: skip
        if there:
            roles[role] = (exact or there)[0]
    if "end" in roles and "text" not in roles:  # conclusions are all there is
        roles["text"] = roles.pop("end")
    return roles


def _are_texts(cells: pd.Series) -> bool:
    filled = cells[cells.str.strip() != ""]
    return bool(len(filled)) and filled.str.contains(r"\w+\W+\w+\W+\w+").mean() > 0.5


def _of_fields(
    template: Template, left: Mapping[str, list[str]], prefix: str, file: str
) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in template.fields:
        names = {prefix + plain(name) for name in (field.key, *field.label.values())}
        columns = [column for name in sorted(names) for column in left.get(name, [])]
        if len(columns) > 1:
            raise DataError(f"{file}: several columns for the field {field.key}", expected="one",
                            found=some(columns), mend="keep one of them")  # fmt: skip
        if columns:
            found[prefix + field.key] = columns[0]
    return found


def split_of(word: str) -> str:
    """One of `SPLITS`, or nothing where the cell is empty.

    Raises
    ------
    DataError
        If the word is none.

    Examples
    --------
    >>> split_of("Training"), split_of("val")
    ('train', 'validation')
    """
    told = [name for name in SPLITS if plain(word) in _WORDS["splits"][name]]
    if not told and plain(word):
        raise DataError("an unknown split", expected=", ".join(SPLITS), found=repr(mask(word[:20])))
    return told[0] if told else ""


def language_named(word: str) -> str:
    """Two letters of a language: ``it`` for itself, ``italiano``, ``it-IT``; empty for nothing."""
    return _WORDS["languages"].get(plain(word), plain(word)[:2])


def value_of(cell: str, field: Field, template: Template) -> str | float | None:
    """What a cell says of a field; a word that is none of its choices comes back as it is.

    Raises
    ------
    DataError
        If a number is a bound or a range, or has another unit than the field.

    Examples
    --------
    >>> from nextaim_kit.studies.report_structuring.schema import read_template
    >>> template = read_template("echo")
    >>> value_of("5,2 cm", template.by_key["lvedd"], template)
    5.2
    """
    word = cell.strip()
    if word.casefold() in _WORDS["blank"]:
        return None
    return _choice(word, field, template) if field.choices else _number(word, field)


def _choice(word: str, field: Field, template: Template) -> str:
    said = plain(word) if not re.fullmatch(r"-?\d(\.0)?", word) else word
    for choice in (*field.choices, NOT_MENTIONED):
        words = {choice, *map(plain, template.words.get(choice, {}).values())}
        if said in words | {*_WORDS["choices"].get(choice, ())}:
            return choice
    return word


def _number(word: str, field: Field) -> float:
    found = _NUMBER.fullmatch(word)
    digits, unit = (found[1], canonical_unit(found[2] or "")) if found else ("", "")
    number = float(digits.replace(".", "").replace(",", ".") if "," in digits else digits or "nan")
    value = value_in(NumberSpan(0, 0, number, unit), field.unit) if found else None
    if value is None:
        mend = f"write one number{f', in {field.unit}' if field.unit else ''}"
        if re.fullmatch(_WORDS["date"], word, re.I):
            mend += "; a spreadsheet took it for a date: format the column as text first"
        raise DataError(f"field {field.key}", expected=field.expected, found=repr(word[:40]),
                        mend=mend)  # fmt: skip
    return value
