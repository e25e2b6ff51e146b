"""Tables for people: text that a spreadsheet would take for a formula is written as text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextaim_kit.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)  # a sign alone, as a dash for "none", is none
_GUARDED = re.compile(r"'+[=+\-@\t\r].", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


def guarded(cell: Any) -> Any:
    """A cell as it goes into a CSV file that a spreadsheet may open: text as text.

    An apostrophe stands before text that begins as a formula does. Numbers stay, also written
    ones: they compute nothing.

    Examples
    --------
    >>> [guarded(cell) for cell in ("=1+1", "-3.5", "-new", -3.5)]
    ["'=1+1", '-3.5', "'-new", -3.5]
    """
    formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given; other text as it is.

    Examples
    --------
    >>> unguarded("'=1+1"), unguarded("o'clock")
    ('=1+1', "o'clock")
    """
    return cell[1:] if _GUARDED.match(cell) else cell


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index for people and for `read_table`, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with atomic_path(path) as partial:
        table.apply(_as_text).rename(columns=guarded).to_csv(partial, index=False)


def _as_text(column: pd.Series) -> pd.Series:
    if column.dtype.kind != "O":  # of numbers, truth values or times
        return column
    cells = [guarded(cell) for cell in column]
    same = all(a is b for a, b in zip(cells, column, strict=True))
    return column if same else type(column)(cells, index=column.index, dtype=object)
