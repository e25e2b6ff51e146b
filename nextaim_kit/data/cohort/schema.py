"""The form of a cohort's first three columns, and what to say when a table has another."""

from __future__ import annotations

import pandas as pd

from nextaim_kit.errors import DataError


def typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Give `subject`, `site` and `label` their types; missing sites become ``unknown``."""
    site = table["site"] if "site" in table else pd.Series("", index=table.index)
    return table.assign(
        subject=_text(table["subject"]),
        site=_text(site).replace("", "unknown"),
        label=_labels(table, name),
    )


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()


def _labels(table: pd.DataFrame, name: str) -> pd.Series:
    if "label" not in table:
        return pd.Series(pd.NA, index=table.index, dtype="Int64")
    raw = table["label"]
    given = raw.notna() & (_text(raw) != "")
    number = pd.to_numeric(raw.where(given), errors="coerce")
    wrong = given & ~number.isin([0, 1])
    if wrong.any():
        rows = [
            f"row {row} (subject {subject}): {value}"
            for row, (subject, value) in enumerate(zip(table["subject"], raw, strict=True), 1)
            if wrong.iloc[row - 1]
        ]
        raise DataError(
            f"{name}: {len(rows)} labels are neither 0 nor 1",
            expected="0, 1, or nothing where it is not known",
            found=_some(rows),
            mend="write 1 for the class to be found (such as severe) and 0 for the other",
        )
    return number.astype("Float64").astype("Int64")


def check(table: pd.DataFrame, name: str) -> None:
    """Refuse a cohort that is not of the agreed form.

    Raises
    ------
    DataError
        Naming the subjects that occur twice, the rows without a subject, or the column of
        another type.
    """
    import pandera.pandas as pa

    form = pa.DataFrameSchema(
        {
            "subject": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
            "site": pa.Column(str, pa.Check.str_length(min_value=1)),
            "label": pa.Column("Int64", pa.Check.isin([0, 1]), nullable=True),
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
        expected="subject and site as text that is not empty, label 0, 1 or nothing",
        found=f"{first['check']} fails" + (f" in {_some(rows)}" if rows else ""),
        mend=f"fill or correct the column {first['column']}",
    )


def _some(items: list[str]) -> str:
    return ", ".join(items[:8]) + (f" and {len(items) - 8} more" if len(items) > 8 else "")
