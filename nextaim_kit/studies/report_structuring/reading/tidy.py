"""A report's text as exports deliver it, made readable where that is certain, else refused.

What is taken out or repaired is said with the report. Refused are texts of which a part is lost
(letters, or a cell's end), that hold more than one report, or that are no text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import partial
from typing import NamedTuple

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.schema import read_words

MOST = 32_767  # characters that a cell of Excel holds
_WORDS = read_words("exports")
_LEADS = set("ÂÃâ")  # that no Western word has before such signs: what follows is surely UTF-8
# Programs that read UTF-8 as something else, by the code page they took it for.
_MISREAD = ("cp1252", "cp850", "mac_roman")
_NO_TEXT = {kind: re.compile(form) for kind, form in _WORDS["no_text"].items()}
_ONCE = {kind: re.compile(form) for kind, form in _WORDS["once"].items()}
_FORM = {name: re.compile(form) for name, form in _WORDS["forms"].items()}
_FIGURES = "0123456789+-"
_RAISED = {
    "sup": str.maketrans(_FIGURES, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻"),
    "sub": str.maketrans(_FIGURES, "₀₁₂₃₄₅₆₇₈₉₊₋"),
}


class Tidied(NamedTuple):
    """A text, and what was done to it."""

    text: str
    notes: tuple[str, ...]


def tidied(text: str) -> Tidied:
    r"""Repair a report's text where the repair is exact.

    Parameters
    ----------
    text : str
        As it stands in a cell or a file.

    Returns
    -------
    Tidied
        The text without markup, in composed letters (NFC); and what was done. A text in which
        there is nothing to do comes back as it is, but for its outer blanks.

    Raises
    ------
    DataError
        If it is empty, was cut, has lost letters or struck words, is no plain text, or holds
        two reports.

    Examples
    --------
    >>> tidied("Il versamento Ã¨ &lt; 3 cm<br>Cuore nei limiti.")
    Tidied(text='Il versamento è < 3 cm\nCuore nei limiti.', notes=('HTML', 'letters repaired'))
    """
    notes: list[str] = []
    _check_kind(text)
    for note, step in _STEPS.items():
        changed = step(text)
        if changed != text:
            notes.append(note)
        text = changed
    text = text.strip()
    if not re.search(r"\w", text):
        raise DataError("the report is empty", mend="fill the cell, or take the row out")
    _check_letters(text)
    _check_one(text)
    if _FORM["ruled"].search(text):
        notes.append("a line is drawn across it: one report, or two?")
    return Tidied(text, tuple(notes))


def _check_kind(text: str) -> None:
    if len(text) == MOST:
        raise DataError(
            "the report was cut by a spreadsheet",
            found=f"{MOST} characters, all that a cell holds",
            mend="export the table as CSV from where the reports are kept",
        )
    kinds = [kind for kind, form in _NO_TEXT.items() if form.match(text)]
    if kinds:
        raise DataError(
            f"the cell holds {kinds[0]}", expected="the report's own words",
            mend="export the reports as plain text",
        )  # fmt: skip
    if _FORM["struck"].search(text):
        raise DataError(
            "a part of the report is struck through",
            mend="take the struck words out, which plain text cannot show",
        )


def repaired(text: str) -> str:
    """Letters that were UTF-8 and read as something else, where going back gives the same text.

    Examples
    --------
    >>> repaired("cavitÃ¨ â‰¤ 3 cm, perchÃƒÂ©"), repaired("È già così")
    ('cavitè ≤ 3 cm, perché', 'È già così')
    """
    for page in [*_MISREAD, *_MISREAD]:  # some texts went that way twice
        text = text.translate(_CONTROLS)
        text = _MOJIBAKE[page].sub(partial(_decoded, page=page), text)
    return text


def _decoded(found: re.Match[str], page: str) -> str:
    """The one character that a piece of several was, or the piece as it is."""
    piece = found[0]
    try:
        letter = bytes(_BYTES[page][sign] for sign in piece).decode("utf-8")
    except UnicodeError:
        return piece
    sure = page == "cp1252" and piece[0] in _LEADS
    return letter if sure or letter in _WORDS["known"] else piece


def _byte_of(page: str) -> dict[str, int]:
    """Byte of each sign of a code page; one that it lacks stands for its own number, as in HTML."""
    return {bytes([byte]).decode(page, "ignore") or chr(byte): byte for byte in range(0x80, 0x100)}


def _shapes(signs: dict[str, int]) -> re.Pattern[str]:
    """What a character of two or three bytes looks like in a code page."""
    first, second, more = (
        "[" + re.escape("".join(s for s, byte in signs.items() if low <= byte <= high)) + "]"
        for low, high in ((0xC2, 0xDF), (0xE0, 0xEF), (0x80, 0xBF))
    )
    return re.compile(f"{first}{more}|{second}{more}{more}")


_BYTES = {page: _byte_of(page) for page in _MISREAD}
_MOJIBAKE = {page: _shapes(signs) for page, signs in _BYTES.items()}
# Windows' signs in a text that was read as Latin-1: the same bytes.
_CONTROLS = {byte: sign for sign, byte in _BYTES["cp1252"].items() if byte < 0xA0}


def _check_letters(text: str) -> None:
    if text.isascii():
        return
    broken = _FORM["broken"].search(text)
    strange = sum(letter.isalpha() and ord(letter) > 0x24F for letter in text)
    if strange > sum(map(str.isalpha, text)) / 4:
        raise DataError("the report is not in Latin letters", mend="see whether it is a text file")
    if "\ufffd" in text or broken:
        kind = repr(broken[0]) if broken else "the mark that stands for a lost letter"
        raise DataError(
            "the letters of the report are broken", expected="a text in which nothing is lost",
            found=kind, mend="export it again as UTF-8 from where it is kept",
        )  # fmt: skip


def without_html(text: str) -> str:
    """A text without tags and entities; "< 3 cm" stays, as does what no browser knows."""
    before = text
    for _ in range(2):  # exports of exports have their entities coded twice
        text = _FORM["unseen"].sub(" ", text)
        text = _FORM["raised"].sub(_raised, text)
        text = _FORM["tag"].sub(_gap, text)
        text = _FORM["entity"].sub(lambda entity: html.unescape(entity[0]), text)
    return text if text == before else re.sub(r"\n\s*\n\s*\n", "\n\n", text)


def _gap(tag: re.Match[str]) -> str:
    name = (tag[2] or "").lower()
    return "\n" if name in _WORDS["block"] else " " if name in _WORDS["cell"] else ""


def _raised(found: re.Match[str]) -> str:
    """An exponent must not become a digit of its number: 10<sup>3</sup> is not 103."""
    kind, inner = found[1].lower(), found[2]
    digits = re.fullmatch(r"[0-9+-]*", inner)
    return inner.translate(_RAISED[kind]) if digits else f" {inner}"


def _plain_spaces(text: str) -> str:
    text = _FORM["unprinted"].sub(
        "", text.replace("\r\n", "\n").replace("_x000D_", "").replace("\r", "\n")
    )
    return re.sub(r"[\u00a0\u2007\u202f\u2009]", " ", text)


# In this order: entities can stand for letters, and both for spaces.
_STEPS = {
    "HTML": without_html,
    "letters repaired": repaired,
    "unprinted characters": _plain_spaces,
    "composed letters": lambda text: unicodedata.normalize("NFC", text),
}


def _check_one(text: str) -> None:
    """Refuse two reports in one cell: something is there twice that a report has once."""
    added = _FORM["added"].search(text)
    own = text[: added.start()] if added else text
    for kind, form in _ONCE.items():
        names = [name.casefold().strip() for name in form.findall(own)]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise _two(f"the {kind} {twice[0]} is there twice")
    if _FORM["signed"].search(own):
        raise _two("two signatures, with text between them")
    numbers = {number.casefold() for number in _FORM["number"].findall(own)}
    if len(numbers) > 1:
        raise _two(f"{len(numbers)} numbers of reports")


def _two(found: str) -> DataError:
    return DataError(
        "the cell holds two reports", expected="one report a row", found=found,
        mend="divide it into two rows, each with a subject and values of its own",
    )  # fmt: skip


_COMMON = {name: frozenset(words.split()) for name, words in _WORDS["languages"].items()}


def language_of(text: str) -> str:
    """``it``, ``en`` or ``es`` by its commonest words; empty where they do not tell.

    Examples
    --------
    >>> language_of("Non si apprezzano versamento né addensamenti."), language_of("TC")
    ('it', '')
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    hits = {name: sum(map(common.__contains__, words)) for name, common in _COMMON.items()}
    first, second = sorted(hits.values(), reverse=True)[:2]
    return max(hits, key=lambda name: hits[name]) if first > second else ""
