"""Feature tables of data sets: sites and labels brought in from the tables beside them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nextaim_kit.data.cohort.tables import FIRST, read_table
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    from nextaim_kit.data.datasets.manifest import Column, Layout


def feature_table(
    folder: Path, layout: Layout, text: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Join a data set's feature table with its sites and labels.

    Parameters
    ----------
    folder : Path
        Where the data set's files lie.
    layout : Layout
        With `table`; `subject`, the name of its column of subjects; `sites` and `labels`.
    text : sequence of str
        Columns that are names, though they may look like numbers.

    Returns
    -------
    table : pandas.DataFrame
        ``subject``, ``site`` and ``label`` where the layout knows them, then the features.
    problems : list of dict
        Subjects left out since the table of sites does not have them, or sets them aside.
    """
    subject = layout.get("subject", "subject")
    table = read_table(folder / layout["table"], (subject, *text))
    table = renamed(table, subject, "subject", layout["table"])
    table["subject"] = _text(table["subject"])
    if "labels" in layout:
        table["label"] = table["subject"].map(_values(folder, layout["labels"]))
    if "sites" not in layout:
        return table, []
    table["site"] = table["subject"].map(_values(folder, layout["sites"]))
    known = table["site"].notna()
    why = f"no site in {Path(layout['sites']['table']).name}, or set aside by the manifest"
    left_out = [{"subject": str(s), "problem": why} for s in table.loc[~known, "subject"]]
    return table[known].copy(), left_out


def renamed(table: pd.DataFrame, old: str, new: str, file: str) -> pd.DataFrame:
    """The table with its column `old` called `new`, in place of another of that name.

    Raises
    ------
    DataError
        If there is no column `old`; names the near miss.
    """
    there = [str(column) for column in table]
    if old not in there:
        by_lower = {name.strip().lower(): name for name in there}
        near = difflib.get_close_matches(old.lower(), by_lower, n=1, cutoff=0.5)
        raise DataError(
            f"{Path(file).name} has no column {old!r}",
            expected=f"a column {old!r}",
            found=", ".join(name[:40] for name in there[:8])
            + (f" and {len(there) - 8} more" if len(there) > 8 else ""),
            mend=(f"did you mean {by_lower[near[0]]!r}? " if near else "")
            + (f"name yours with {new}_column" if new in FIRST else "name another column"),
        )
    return (
        table if old == new else table.drop(columns=new, errors="ignore").rename(columns={old: new})
    )


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def _values(folder: Path, column: Column) -> pd.Series:
    """One column of a second table by subject, its codes replaced by their names."""
    file = column["table"]
    table = read_table(folder / file, (column["subject"],))
    for name, allowed in column.get("where", {}).items():
        table = table[renamed(table, name, name, file)[name].astype(str).isin(allowed)]
    subjects = _text(renamed(table, column["subject"], "subject", file)["subject"])
    values = renamed(table, column["column"], "value", file)["value"]
    names: dict[str, Any] = dict(column.get("names", {}))
    named = values.map(lambda value: names.get(str(value), value))
    named = named.set_axis(subjects.str.removesuffix(column.get("strip", "")))
    told = named.groupby(level=0).nunique()
    if (told > 1).any():
        raise DataError(
            f"{Path(file).name}: {int((told > 1).sum())} subjects have several values",
            expected=f"one {column['column']} for each subject",
            found=", ".join(map(str, told.index[told > 1][:5])),
            mend="keep one row of each",
        )
    return named[~named.index.duplicated()]
