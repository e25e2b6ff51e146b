"""The form of a cohort's first three columns, and what to say when a table has another."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from math import inf

import pandas as pd

from nextaim_kit.data.cohort.sheets import NO_VALUE
from nextaim_kit.errors import DataError, RequestError

Classes = Sequence[str | int] | type[float]
BINARY: Classes = (0, 1)


def typed(table: pd.DataFrame, name: str, classes: Classes = BINARY) -> pd.DataFrame:
    """Give `subject`, `site` and `label` their types; missing sites become ``unknown``.

    Labels become the places of their `classes` (Int64), or numbers where these are ``float``.
    """
    site = table["site"] if "site" in table else pd.Series("", index=table.index)
    return table.assign(
        subject=_text(table["subject"]),
        site=_text(site).replace("", "unknown"),
        label=_labels(table, name, classes),
    )


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def class_names(classes: Sequence[str | int]) -> list[str | int]:
    """Names of classes that a label can be told by; refused where it could mean two of them."""
    names = [one.strip() if isinstance(one, str) else one for one in classes]
    words = [one for one in names if isinstance(one, str)]
    numbers = [one for one in names if type(one) is int]
    unclear = [one for one in words if one in NO_VALUE or _is_number(one)]
    alike = isinstance(classes, str) or len(names) not in (len(words), len(numbers))
    if alike or unclear or not 1 < len(names) == len(set(names)):
        raise RequestError(
            "the classes of a label cannot be told apart",
            expected="two names or more, or two whole numbers or more, each once",
            found=repr(classes),
            mend="give such as ('benign', 'malignant') or (1, 2, 3); a name is no number in "
            f"quotes and none of {', '.join(NO_VALUE[1:])}, which stand for a missing value",
        )
    return names


def _is_number(text: str) -> bool:
    return bool(pd.notna(pd.to_numeric(text, errors="coerce")))


def _labels(table: pd.DataFrame, name: str, classes: Classes) -> pd.Series:
    kind = pd.Float64Dtype() if classes is float else pd.Int64Dtype()
    if "label" not in table:
        return pd.Series(pd.NA, index=table.index, dtype=kind)
    raw, text = table["label"], _text(table["label"])
    given = raw.notna() & (text != "")
    number = pd.to_numeric(raw.where(given), errors="coerce").astype("Float64").astype(float)
    names = [] if isinstance(classes, type) else class_names(classes)
    found = _class_numbers(text, number, names, name) if names else number.where(abs(number) < inf)
    wrong = given & found.isna()
    if not wrong.any():
        return found.astype("Float64").astype(kind)
    rows = [
        f"row {row} (subject {subject}): {value}{_perhaps(value, names)}"
        for row, (subject, value) in enumerate(zip(table["subject"], raw, strict=True), 1)
        if wrong.iloc[row - 1]
    ]
    known = [str(one) for one in names]
    raise DataError(
        f"{name}: {len(rows)} labels are "
        + ("neither " + " nor ".join(known) if names else "no finite numbers"),
        expected=", ".join(known or ["a number"]) + ", or nothing where it is not known",
        found=_some(rows),
        mend="write 1 for the class to be found (such as severe) and 0 for the other"
        if names == [0, 1]
        else "correct these labels, or leave their cells empty",
    )


def _class_numbers(
    text: pd.Series, number: pd.Series, names: list[str | int], table: str
) -> pd.Series:
    """Places of the labels' classes among `names`, NaN where there is none."""
    places = {one: place for place, one in enumerate(names)}
    if isinstance(names[0], int):
        return number.map(places)
    by_name, by_number = text.map(places), number.where(number.isin(range(len(names))))
    if by_name.notna().any() and by_number.notna().any():
        raise DataError(
            f"{table}: some labels are names of classes, others numbers",
            expected="one of the two in all rows",
            found=f"{text[by_name.notna()].iloc[0]} and {text[by_number.notna()].iloc[0]}",
            mend="write the names everywhere",
        )
    return by_name.fillna(by_number)


def _perhaps(value: object, names: list[str | int]) -> str:
    known = {one.casefold(): one for one in names if isinstance(one, str)}
    near = difflib.get_close_matches(str(value).strip().casefold(), known, n=1)
    return f", perhaps {known[near[0]]}" if near else ""


def check(table: pd.DataFrame, name: str, classes: Classes = BINARY) -> None:
    """Refuse a cohort that is not of the agreed form.

    Raises
    ------
    DataError
        Naming the subjects that occur twice, the rows without a subject, or the column of
        another type.
    """
    import pandera.pandas as pa

    label = (
        pa.Column("Float64", nullable=True)
        if isinstance(classes, type)
        else pa.Column("Int64", pa.Check.isin(range(len(classes))), nullable=True)
    )
    form = pa.DataFrameSchema(
        {
            "subject": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
            "site": pa.Column(str, pa.Check.str_length(min_value=1)),
            "label": label,
        }
    )
    try:
        form.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise _said_plainly(error.failure_cases, name) from None


def _said_plainly(cases: pd.DataFrame, name: str) -> DataError:
    first = cases.iloc[0]
    same = cases[(cases["check"] == first["check"]) & (cases["column"] == first["column"])]
    if first["check"] == "field_uniqueness":
        twice = sorted({str(value) for value in same["failure_case"]})
        return DataError(
            f"{name}: {len(twice)} subjects occur more than once",
            expected="one row per subject",
            found=_some(twice),
            mend="keep one row of each, or give each lesion or visit a subject name of its own",
        )
    rows = [f"row {int(row) + 1}" for row in same["index"] if pd.notna(row)]
    return DataError(
        f"{name}: the column {first['column']} is not as agreed",
        expected="subject and site as text that is not empty, label a class or nothing",
        found=f"{first['check']} fails" + (f" in {_some(rows)}" if rows else ""),
        mend=f"fill or correct the column {first['column']}",
    )


def _some(items: list[str]) -> str:
    return ", ".join(items[:8]) + (f" and {len(items) - 8} more" if len(items) > 8 else "")
