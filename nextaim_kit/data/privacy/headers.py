"""Whether a table's first row is its columns' names, or already somebody's; names of columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nextaim_kit.data.privacy.dates import find_dates
from nextaim_kit.data.privacy.folding import Piece, camel_parts, fold, pieces, words_of
from nextaim_kit.data.privacy.learning import kind_of, quasi_identifier
from nextaim_kit.data.privacy.lexicon import Found
from nextaim_kit.data.privacy.patterns import OLDEST, find_patterns
from nextaim_kit.data.privacy.suspects import find_suspects, known
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?$")
_EMPTY = re.compile(r"Unnamed: \d+|\s*$|(?i:nan|na|n/a|none|null|nd)$")
_LONG = 5  # digits, from which a number may be a patient's
_AGES = 125
_NAMELIKE = 0.6  # share of a column's cells that look like names, from which all are taken for such


def headless(names: list[str], rows: list[list[str]]) -> bool:
    """Whether the names of a table's columns are a row of data.

    Parameters
    ----------
    names : list of str
        What stands in the first row.
    rows : list of list of str
        What stands below it.

    Raises
    ------
    DataError
        If some of it looks like names of columns and some like data.
    """
    told = {at: name.strip() for at, name in enumerate(names) if not _EMPTY.match(name)}
    if _in_sequence(list(told.values())):
        return False
    columns = [(name, [row[at].strip() for row in rows]) for at, name in told.items()]
    strong = any(_is_data(name, cells, names in rows) for name, cells in columns)
    weak = any(_looks_like_data(name, cells) for name, cells in columns)
    named = any(_is_name(name, cells) for name, cells in columns)
    strange = not (strong or weak or named) and not all(_plain_word(name) for name in told.values())
    if (strong and named) or strange:
        raise DataError(
            "its first row may be names of columns and may be data",
            expected="one row of names, which tells nobody, above the data",
        )
    return bool(strong or (weak and not named))


def _in_sequence(names: list[str]) -> bool:
    """Whether all names are 0, 1, 2, …, as a program numbers columns that have none."""
    start = int(names[0]) if names and names[0] in ("0", "1") else None
    return start is not None and names == [str(start + at) for at in range(len(names))]


def _is_data(name: str, cells: list[str], repeated: bool) -> bool:
    """Whether what stands above cells is certainly no name of a column."""
    number = _NUMBER.match(name) is not None
    if number and (len(re.split(r"[.,]", name)[0]) >= _LONG or not name.isdecimal()):
        return True
    if _is_date(name) or any(find_patterns(name, str)):
        return True
    if not repeated and name in cells and not _plain_word(name):
        return True
    if not number and any(one.isdigit() for one in name) and _alike(name, cells):
        return True
    return (
        one_name(name, small=True) and not _is_name(name, []) and full_of_names(cells, small=True)
    )


def _alike(name: str, cells: list[str]) -> bool:
    """Whether half of the cells are built as a code is: each run of letters, of digits as one."""
    filled = [_form(cell) for cell in cells if cell]
    return bool(filled) and 2 * filled.count(_form(name)) >= len(filled)


def _looks_like_data(name: str, cells: list[str]) -> bool:
    """Whether it may be data: a short number, a word that stands below it too, a person's name."""
    return bool(_NUMBER.match(name) or name in cells or suspects_of(name))


def _is_name(name: str, cells: list[str]) -> bool:
    """Whether a text names a column: by its words, or as words above nothing but numbers."""
    if _NUMBER.match(name) or _is_date(name):
        return False
    if kind_of(name) or quasi_identifier(name):
        return True
    filled = [cell for cell in cells if not _EMPTY.match(cell)]
    words = any(one.isalpha() for one in name)
    return words and bool(filled) and all(_NUMBER.match(cell) or _is_date(cell) for cell in filled)


def _is_date(text: str) -> bool:
    return any(f.end - f.start >= len(text) - 9 for f in find_dates(text, set(), None))


def _form(text: str) -> str:
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "A", text))


def _plain_word(text: str) -> bool:
    return all(piece.folded.isalpha() and known(piece.folded) for piece in pieces(text))


def full_of_names(cells: list[str], *, small: bool = False) -> bool:
    """Whether most cells of a column hold a capital word that nobody knows, each its own."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    if len(filled) < 3 or len(set(filled)) < 0.8 * len(filled):
        return False
    return sum(one_name(cell, small=small) for cell in filled) >= _NAMELIKE * len(filled)


def one_name(cell: str, *, small: bool = False) -> bool:
    """Whether a cell holds nothing but one to three words, one of them nobody knows.

    Parameters
    ----------
    cell : str
    small : bool
        Whether they may begin with small letters; else all begin with a capital.
    """
    row = pieces(cell)
    letters = all(p.folded.isalpha() and (small or p.text[0].isupper()) for p in row)
    strange = any(not known(p.folded) or p.folded in words_of("given_names") for p in row)
    return bool(row) and len(row) <= 3 and letters and strange


def without_header(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose columns have no names: numbered, and named by what they hold where it tells.

    Columns of dates, of names and of long numbers or codes are named so that they are removed or
    become pseudonyms; short numbers and known words stay.

    Parameters
    ----------
    table : pandas.DataFrame
        All of it text.

    Raises
    ------
    DataError
        If what a column holds is not told by its cells.
    """
    out = table.copy()
    out.columns = [
        f"column_{at}{_held([str(cell) for cell in table.iloc[:, at - 1]], at)}"
        for at in range(1, table.shape[1] + 1)
    ]
    return out


def _held(cells: list[str], number: int) -> str:
    """What a column holds, as the end of its name; nothing for what tells nobody."""
    filled = [cell.strip() for cell in cells if not _EMPTY.match(cell.strip())]
    numbers = [cell for cell in filled if _NUMBER.match(cell)]
    if len(numbers) == len(filled):
        return _numbers(numbers, number)
    if all(_is_date(cell) for cell in filled):
        return "_birth"
    if all(_plain_word(cell) and not one_name(cell) for cell in filled):
        return ""
    if all(any(one.isdigit() for one in cell) and " " not in cell for cell in filled):
        return "_code"
    if full_of_names(filled) or all(one_name(cell) for cell in filled):
        return "_name"
    raise _untold(number)


def _numbers(cells: list[str], number: int) -> str:
    if any(len(re.split(r"[.,]", cell)[0]) >= _LONG for cell in cells):
        whole = all(cell.isdecimal() for cell in cells)
        if not whole:
            raise _untold(number)
        return "_birth" if all(_is_date(cell) for cell in cells) else "_code"
    values = [float(cell.replace(",", ".")) for cell in cells]
    if values and min(values) >= 0 and OLDEST < max(values) <= _AGES:
        raise _untold(number)  # ages, of which great ones would have to be one
    return ""


def _untold(number: int) -> DataError:
    return DataError(
        "its columns have no names, and what they hold is not told by their cells",
        found=f"column {number}",
        mend="give its columns names, in a first row",
    )


def suspects_of(name: str) -> list[Found]:
    """Names of people within the name of a column, where no lexicon knows them."""
    spaced = name.replace("_", " ")
    row = pieces(spaced)
    alone = len(row) == 1 and row[0].text.istitle()
    found = find_suspects(spaced, short=alone)
    return [one for one in found if _person(one, row, spaced)]


def _person(found: Found, row: list[Piece], name: str) -> bool:
    within = [piece for piece in row if found.start <= piece.start < found.end]
    digits = name[found.end : found.end + 1].isdigit() or name[: found.start][-1:].isdigit()
    built = any(len(camel_parts(piece)) > 2 for piece in within)
    return not digits and not built and fold(name) != "unnamed: 0"
