"""Tables of readings and of software's values as users write them: checked, doubts named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort import schema
from nextaim_kit.data.cohort.tables import check_columns
from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.panel.readers import SCALES

READ = ("reader", "percent", *SCALES)
MEASURED = ("involvement", "consolidation", "left", "upper", "lesions_ml")
_LARGEST = {"involvement": 100.0, "consolidation": 1.0, "left": 1.0, "upper": 1.0}
Doubts = list[tuple[str, str, str]]  # subject, reader, problem


def checked_readings(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readings in the form of `readers.read_panel`, and what is wrong with some.

    A label or a percentage that cannot be is taken as missing and named. Of a subject that a
    reader has twice the readings are left out, unless they are the same.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``reader``, ``percent`` (0 to 100), ``ct_ss`` (1 to 5), and in words ``type``,
        ``sides``, ``zones``; empty where not read, empty or ``none`` where there is no lesion.
    name : str
        For the messages.

    Raises
    ------
    DataError
        If a column is not there or empty, none of a label's values is known, or there is one
        reader only.
    """
    check_columns(list(table.columns), READ, Path(name))
    who = {column: table[column].astype(str).str.strip() for column in ("subject", "reader")}
    read = table[["subject", *READ]].assign(**who)
    found: Doubts = []
    read = _without_doubles(read, found)
    read["percent"] = _numbers(read, "percent", found).where(lambda x: x.between(0, 100))
    for label in SCALES:
        read[label] = _classes(read, label, found, name)
    read = read.astype({"ct_ss": "Int64"}).reset_index(drop=True)
    # Where nobody sees a lesion, nobody says its type or place.
    unread = [column for column in ("percent", "ct_ss") if read[column].isna().all()]
    if unread:
        raise DataError(
            f"{name}: nobody has read {unread[0]}",
            expected="values in the columns percent and ct_ss",
            found=f"an empty column {unread[0]}",
            mend="add the readings; the notebook compares all of them",
        )
    count = read["reader"].nunique()
    if count < 2:
        raise DataError(
            f"{name}: readers cannot be compared with each other",
            expected="two readers or more in the column reader",
            found=f"{count}",
            mend="add the readings of another reader",
        )
    return read, pd.DataFrame(found, columns=["subject", "reader", "problem"])


def checked_values(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values of software by subject, and the subjects that are left out.

    Parameters
    ----------
    table : DataFrame
        As the quantification notebook writes it: ``subject``, ``site`` where known,
        ``involvement`` (%), ``consolidation``, ``left``, ``upper`` (shares of the lesions, missing
        without any) and ``lesions_ml``.
    name : str
        For the messages.

    Raises
    ------
    DataError
        If a column is not there or a subject is there twice.
    """
    check_columns(list(table.columns), MEASURED, Path(name))
    values = schema.typed(table, name)
    schema.check(values, name)
    found = pd.Series("", values.index)
    for column, largest in _LARGEST.items():
        number = pd.to_numeric(values[column], errors="coerce")
        wrong = values[column].notna() & ~number.between(0, largest)
        found = found.mask(wrong, f"{column} is not a number from 0 to {largest:g}")
        values[column] = number
    found = found.mask((found == "") & values["involvement"].isna(), "no involvement measured")
    doubts = values.loc[found != "", ["subject"]].assign(reader="", problem=found[found != ""])
    return values[found == ""].reset_index(drop=True), doubts


def _without_doubles(read: pd.DataFrame, found: Doubts) -> pd.DataFrame:
    twice = read.duplicated(["subject", "reader"], keep=False)
    same = read.duplicated(keep=False)
    for subject, reader in read.loc[twice, ["subject", "reader"]].drop_duplicates().to_numpy():
        rows = (read["subject"] == subject) & (read["reader"] == reader)
        what = "the same, kept once" if same[rows].all() else "not the same, left out"
        found.append((subject, reader, f"read {rows.sum()} times, {what}"))
    return read[~twice | (same & ~read.duplicated())].copy()


def _numbers(read: pd.DataFrame, column: str, found: Doubts) -> pd.Series:
    number = pd.to_numeric(read[column], errors="coerce")
    wrong = read[column].notna() & ~number.between(0, 100)
    for row in read[wrong].to_dict("records"):
        problem = f"{column} {row[column]} is not a number from 0 to 100: taken as missing"
        found.append((row["subject"], row["reader"], problem))
    return number.astype(float)


def _classes(read: pd.DataFrame, label: str, found: Doubts, name: str) -> pd.Series:
    known: dict[Any, Any] = {str(value): value for value in SCALES[label]}
    text = read[label].astype(object).map(_word, na_action="ignore")
    given = text.notna() & ~text.isin(["", "none"])  # no lesion has no type and no place
    wrong = given & ~text.isin(list(known))
    if given.any() and (wrong | ~given).all():
        raise DataError(
            f"{name}: no value of {label} is known",
            expected=", ".join(known),
            found=", ".join(sorted(set(text[wrong]))[:5]),
            mend=f"write the classes of {label} in these words",
        )
    for row in read[wrong].to_dict("records"):
        problem = f"{label} {row[label]!r} is none of {', '.join(known)}: taken as missing"
        found.append((row["subject"], row["reader"], problem))
    return text.map(known).astype(object)


def _word(value: Any) -> str:
    text = str(value).strip().lower()
    return text.removesuffix(".0")  # a column of whole numbers with gaps is read as 3.0
