"""Feature tables of data sets: sites and labels brought in from the tables beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import pandas as pd

from nextaim_kit.data.tables import read_table
from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    from nextaim_kit.data.manifest import Column, Layout


def feature_table(folder: Path, layout: Layout) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Join a data set's feature table with its sites and labels.

    Parameters
    ----------
    folder : Path
        Where the data set's files lie.
    layout : Layout
        With `table`; `subject`, the name of its column of subjects; `sites` and `labels`.

    Returns
    -------
    table : pandas.DataFrame
        ``subject``, ``site`` and ``label`` where the layout knows them, then the features.
    problems : list of dict
        Subjects left out since the table of sites does not have them, or sets them aside.
    """
    table = read_table(folder / layout["table"])
    table = _renamed(table, layout.get("subject", "subject"), "subject", layout["table"])
    table["subject"] = table["subject"].astype(str).str.strip()
    if "labels" in layout:
        table["label"] = table["subject"].map(_values(folder, layout["labels"]))
    if "sites" not in layout:
        return table, []
    table["site"] = table["subject"].map(_values(folder, layout["sites"]))
    known = table["site"].notna()
    why = f"no site in {Path(layout['sites']['table']).name}, or set aside by the manifest"
    left_out = [{"subject": str(s), "problem": why} for s in table.loc[~known, "subject"]]
    return table[known].copy(), left_out


def _values(folder: Path, column: Column) -> pd.Series:
    """One column of a second table by subject, its codes replaced by their names."""
    table = _read_sheet(folder / column["table"])
    table = _renamed(table, column["subject"], "subject", column["table"])
    for name, allowed in column.get("where", {}).items():
        table = table[_renamed(table, name, name, column["table"])[name].astype(str).isin(allowed)]
    subjects = table["subject"].astype(str).str.strip().str.removesuffix(column.get("strip", ""))
    values = _renamed(table, column["column"], "value", column["table"])["value"]
    names: dict[str, Any] = dict(column.get("names", {}))
    named = values.map(lambda value: names.get(str(value), value))
    return named.set_axis(subjects)[~subjects.duplicated().to_numpy()]


def _renamed(table: pd.DataFrame, old: str, new: str, file: str) -> pd.DataFrame:
    if old not in table:
        raise DataError(
            f"{file} has no column {old!r}",
            expected="the columns that the data set's manifest names",
            found=", ".join(map(str, table.columns[:12])),
            mend="nextaim data verify shows whether the file is the right one",
        )
    return table.rename(columns={old: new})


def _read_sheet(path: Path) -> pd.DataFrame:
    if path.suffix.lower() != ".xlsx":
        return read_table(path)
    try:
        return pd.read_excel(path)
    except (OSError, ValueError, BadZipFile, KeyError) as error:
        raise DataError(
            f"{path.name} cannot be read",
            expected="a spreadsheet (xlsx)",
            found=" ".join(str(error).replace(str(path), path.name).split())[:200],
            mend="fetch the file again",
        ) from error
