"""How many rows of a table are alike, and coarser values until each has enough like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nextaim_kit.data.privacy.learning import quasi_identifier
from nextaim_kit.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

_WIDTHS = (5, 10, 20, 40)  # of the bins that a number is put into, one after the other
_OTHER = "*"


@dataclass(frozen=True)
class Generalized:
    """A table in which each row has at least k like it, and what that took.

    Parameters
    ----------
    table : pandas.DataFrame
    before, after : int
        The smallest group of rows alike in the quasi-identifiers (k of k-anonymity).
    columns : dict of str to str
        What became of each quasi-identifier: as it was, bins of a width, or one value.
    lost : float
        Share of what the quasi-identifiers told that is gone, from 0 to 1: the mean over cells of
        how much of its column's range or values a cell now stands for.
    gone : tuple of str
        Columns of names, births and addresses that were taken out before.
    """

    table: pd.DataFrame
    before: int
    after: int
    columns: dict[str, str]
    lost: float
    gone: tuple[str, ...] = ()


def smallest_group(table: pd.DataFrame, columns: list[str]) -> int:
    """Rows of the smallest group that is alike in some columns; all rows where there are none.

    L. Sweeney, Int J Uncertain Fuzz 10 (2002) 557, doi:10.1142/S0218488502001648.
    """
    if table.empty or not columns:
        return len(table)
    return int(table.groupby(columns, dropna=False).size().min())


def quasi_identifiers(table: pd.DataFrame) -> list[str]:
    """Columns that tell a person together with others, by their names: age, sex, and so on."""
    return [str(column) for column in table.columns if quasi_identifier(str(column))]


def reach(table: pd.DataFrame, k: int, columns: list[str] | None = None) -> Generalized:
    """Make quasi-identifiers coarser until at least `k` rows are alike, step by step.

    The column with the most different values is made coarser first: numbers in bins of 5, 10, 20
    and 40, then in one value, words in one value at once.

    Parameters
    ----------
    table : pandas.DataFrame
        All of it text.
    k : int
        At least 2.
    columns : list of str, optional
        The quasi-identifiers; else those that their names tell.

    Returns
    -------
    Generalized

    Raises
    ------
    RequestError
        If `k` is below 2 or above the number of rows.
    """
    if not 2 <= k <= max(2, len(table)):
        raise RequestError(f"k of {k} for {len(table)} rows", expected="from 2 to the rows")
    chosen = quasi_identifiers(table) if columns is None else columns
    steps = dict.fromkeys(chosen, 0)
    current = table.copy()
    most = {name: (len(_WIDTHS) + 1 if _numbers(table[name]) else 1) for name in chosen}
    while smallest_group(current, chosen) < k:
        able = [name for name in chosen if steps[name] < most[name]]
        if not able:
            break
        widest = max(able, key=lambda name: (current[name].nunique(), name))
        steps[widest] += 1
        current[widest] = _coarser(table[widest], steps[widest], most[widest])
    return Generalized(
        current,
        smallest_group(table, chosen),
        smallest_group(current, chosen),
        {name: _said(steps[name], most[name]) for name in chosen},
        _lost(table, current, chosen),
    )


def coarser(table: pd.DataFrame, k: int) -> Generalized:
    """What `reach` gives; as it was, and measured, where `k` is 0 or there are fewer rows."""
    if 2 <= k <= len(table):
        return reach(table, k)
    chosen = quasi_identifiers(table)
    found = smallest_group(table, chosen)
    return Generalized(table, found, found, dict.fromkeys(chosen, "as it was"), 0.0)


def _numbers(cells: pd.Series) -> bool:
    import pandas as pd

    filled = cells[cells != ""]
    return bool(len(filled)) and bool(pd.to_numeric(filled, errors="coerce").notna().all())


def _coarser(cells: pd.Series, step: int, most: int) -> pd.Series:
    if step == most:
        return cells.map(lambda _: _OTHER)
    width = _WIDTHS[step - 1]
    return cells.map(lambda cell: _bin(cell, width) if cell != "" else "")


def _bin(cell: str, width: int) -> str:
    low = int(float(cell) // width * width)
    return f"{low}-{low + width - 1}"


def _said(step: int, most: int) -> str:
    if step == 0:
        return "as it was"
    return "one value" if step == most else f"bins of {_WIDTHS[step - 1]}"


def _lost(before: pd.DataFrame, after: pd.DataFrame, columns: list[str]) -> float:
    """Mean over cells of how many other values a cell may stand for, of its column's."""
    if before.empty or not columns:
        return 0.0
    shares = []
    for name in columns:
        values = max(1, before[name].nunique() - 1)
        covered = before.groupby(after[name])[name].nunique() - 1
        shares.append(float((after[name].map(covered) / values).mean()))
    return sum(shares) / len(shares)
