"""The clinical table: values that cannot be are set aside by name, then all becomes numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.catalog import near_miss
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.cxr_severity.variables import NAMES, SIGNS, VARIABLES

Problem = dict[str, str]
_COMMON = 5  # films that a view must have to be a view of its own

# What a living patient can have; beyond it the unit is another, or a digit is wrong. Below 55 a
# "saturation" is most often a pressure in mmHg.
_POSSIBLE = {
    "Age": (0.0, 120.0), "Temp_C": (25.0, 44.0), "WBC": (0.0, 500.0), "CRP": (0.0, 1000.0),
    "LDH": (20.0, 20000.0), "D_dimer": (0.0, 500000.0), "PaO2": (10.0, 700.0),
    "SaO2": (55.0, 100.0), "pH": (6.5, 8.0),
}  # fmt: skip


def read_clinical(
    table: pd.DataFrame, columns: Sequence[str] = ()
) -> tuple[pd.DataFrame, list[str], list[Problem]]:
    """Numbers of the clinical columns, with impossible ones taken out and named.

    Parameters
    ----------
    table : DataFrame
        With ``subject``.
    columns : sequence of str
        Those to use; by default those of the study's 13 variables that are there.

    Returns
    -------
    numbers : DataFrame
        float64, NaN where missing or set aside; a row for each of `table`.
    used : list of str
        Columns with at least two different values.
    problems : list of dict
        ``subject`` and ``problem``: a value in another unit (a temperature in °F, a saturation
        above 100), a word in place of a number, a column without values.

    Raises
    ------
    RequestError
        If a column is asked for that is not there.
    DataError
        If no column has two different values.
    """
    absent = [name for name in columns if name not in table]
    if absent:
        near = near_miss(absent[0], map(str, table.columns))
        raise RequestError(
            f"the cohort has no column {', '.join(absent)}",
            found=", ".join(map(str, table.columns[:20])),
            mend=f"did you mean {near!r}?" if near else "name columns of the cohort's table",
        )
    numbers, problems = possible(table, columns or [n for n in NAMES if n in table])
    used = []
    for name in map(str, numbers):
        if numbers[name].nunique() > 1:
            used.append(name)
        else:
            what = "has no value" if numbers[name].isna().all() else "is the same for all"
            problems.append({"subject": "all", "problem": f"{name} {what}: not used"})
    if not used:
        raise DataError(
            "the cohort has no clinical value to learn from",
            expected="columns such as " + ", ".join(NAMES[:6]),
            found="; ".join(row["problem"] for row in problems[:3])
            or "columns of numbers: "
            + (", ".join(table.select_dtypes("number").columns[:10]) or "none"),
            mend="add the columns to cohort.csv, or name yours with the parameter clinical",
        )
    return numbers, used, problems


def possible(table: pd.DataFrame, columns: Sequence[str]) -> tuple[pd.DataFrame, list[Problem]]:
    """Numbers of the columns, NaN where missing or impossible, and the impossible ones by name.

    A column that is not there is missing throughout.
    """
    numbers, problems = {}, []
    for name in columns:
        if name in table:
            numbers[name], odd = _column(table, name)
            problems += odd
    return pd.DataFrame(numbers, index=table.index).reindex(columns=[*columns]), problems


def named(problems: Sequence[Problem]) -> pd.DataFrame:
    """Problems as a table: ``subject``, ``problem``."""
    return pd.DataFrame(problems, columns=["subject", "problem"])


def _column(table: pd.DataFrame, name: str) -> tuple[pd.Series, list[Problem]]:
    values = pd.to_numeric(table[name], errors="coerce").astype(float)
    values = values.where(np.isfinite(values))
    given = table[name].notna() & (table[name].astype(str).str.strip() != "")
    problems = [
        {"subject": str(subject), "problem": f"{name} is {word!r}, {_hint(name, word)}: set aside"}
        for subject, word in zip(
            table["subject"][given & values.isna()], table[name][given & values.isna()], strict=True
        )
    ]
    low, high, unit = _range(name)
    for row in np.flatnonzero((values < low) | (values > high)):
        value = float(values.iloc[row])
        expected = f"{low:g} to {high:g} {unit}".rstrip()
        problem = f"{name} is {value:g}: {_guess(name, value)} ({expected}); set aside"
        problems.append({"subject": str(table["subject"].iloc[row]), "problem": problem})
    return values.where(values.between(low, high)), problems


def _hint(name: str, word: object) -> str:
    if name == "Sex":
        return "not M, F, 1 or 0"
    comma = str(word).replace(",", ".", 1).replace(".", "", 1).strip("-").isdigit()
    return "a decimal comma, not a point" if comma and "," in str(word) else "not a number"


def _range(name: str) -> tuple[float, float, str]:
    if name in SIGNS:
        return 0.0, 1.0, ""
    if name in VARIABLES:
        return *_POSSIBLE[name], VARIABLES[name].unit
    return -np.inf, np.inf, ""


def _guess(name: str, value: float) -> str:
    if name == "Temp_C" and 93 <= value <= 108:
        return "in °F?"
    if name == "SaO2" and 0 < value <= 1:
        return "a fraction, not percent?"
    if name == "SaO2" and value > 100:
        return "no saturation, but a pressure?"
    return "cannot be"


def missingness(numbers: pd.DataFrame) -> pd.DataFrame:
    """1 where a value is missing, 0 elsewhere; of the columns in which some are."""
    empty = numbers.isna()
    some = [name for name in numbers if empty[name].any() and not empty[name].all()]
    return empty[some].astype(float).add_prefix("missing_")


def views(table: pd.DataFrame, like: Sequence[str] = ()) -> pd.DataFrame:
    """A column of zeros and ones for each projection that several films have, the rest as one.

    With `like`, the columns that another cohort has: these, and no others.
    """
    if "view" not in table:
        return pd.DataFrame(index=table.index)
    names = table["view"].fillna("unknown").astype(str).str.strip()
    known = ("view_" + names).isin(like) if like else names.map(names.value_counts()) >= _COMMON
    found = pd.get_dummies(names.where(known, "other"), prefix="view", dtype=float)
    return found.reindex(columns=[*like], fill_value=0.0) if like else found


@dataclass(frozen=True)
class Standard:
    """Centers and spreads of the training rows, by which a network's clinical inputs are made.

    A missing value becomes the training median; a column without any value there becomes 0.
    """

    median: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, numbers: pd.DataFrame) -> Self:
        """Learn them from training rows, shape (n, p)."""
        if not len(numbers):
            raise DataError("no training rows for the clinical branch")
        values = numbers.to_numpy(float)
        empty = np.isnan(values).all(0)
        known = np.where(empty, 0.0, values)
        median = np.nanmedian(known, 0)
        filled = np.where(np.isnan(known), median, known)
        spread = filled.std(0)
        spread[spread == 0] = 1.0
        spread[empty] = np.inf  # whatever comes, it becomes 0
        return cls(median, filled.mean(0), spread)

    def apply(self, numbers: pd.DataFrame) -> NDArray[np.float32]:
        """Standardized inputs of any rows, shape (n, p)."""
        values = numbers.to_numpy(float)
        filled = np.where(np.isnan(values), self.median, values)
        return ((filled - self.mean) / self.spread).astype(np.float32)
