"""What a PDF says, or why that cannot be told: a lock, scanned pages, letters without names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nextaim_kit.data.privacy.folding import pieces, words_of
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

_LETTERS = 1 << 24  # of one document
_READABLE, _FEW = 0.15, 12  # share of words that reports use, in a text of more words than few
_STAND_FOR_NOTHING = ("\ufffd", "(cid:")


def text_of(path: Path) -> str:
    """Text of a PDF: its pages and the fields of its forms, without its metadata and notes.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        If it is locked or damaged, if a page shows something and says nothing, as a scan does, or
        if its letters are not told by the fonts they are drawn with.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise _refused(path, "it is locked by a password")
        rows = [_said(page, number, path) for number, page in enumerate(reader.pages, 1)]
        text = "\n".join([*rows, *_fields(reader)]) + "\n"
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused(path, f"it is damaged ({type(error).__name__})") from error
    if len(text) > _LETTERS:
        raise _refused(path, "a text too large")
    if not _readable(text):
        raise _refused(path, "its fonts do not tell which letters it shows")
    return text


def _said(page: PageObject, number: int, path: Path) -> str:
    said = page.extract_text().strip()
    if not said and _shows(page):
        raise _refused(path, f"page {number} is a picture or a drawing without text, as of a scan")
    return said


def _shows(page: PageObject) -> bool:
    """Whether a page draws anything: an image, a form, lines."""
    contents = page.get_contents()
    return contents is not None and bool(contents.get_data().split())


def _fields(reader: PdfReader) -> list[str]:
    """What was filled into forms, which pages do not always repeat."""
    filled = reader.get_form_text_fields() or {}
    return [f"{name}: {value}" for name, value in sorted(filled.items()) if value]


def _readable(text: str) -> bool:
    """Whether a text is made of words: of letters that were mixed up, none is one."""
    if any(sign in text for sign in _STAND_FOR_NOTHING):
        return False
    said = [piece.folded for piece in pieces(text) if len(piece.folded) > 2]
    letters = [word for word in said if word.isalpha()]
    known = sum(word in words_of("vocabulary") for word in letters)
    return len(letters) <= _FEW or known >= _READABLE * len(letters)


def _refused(path: Path, found: str) -> DataError:
    return DataError(
        f"{path.name} is left out: a PDF whose text is not told",
        found=found,
        mend="pass its text on by hand, once looked at",
    )
