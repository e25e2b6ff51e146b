"""Tables of features, ready to learn from: every feature a number, every doubtful cell named."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data import schema
from nextaim_kit.data.feature_tables import feature_table
from nextaim_kit.data.manifest import Column, Layout
from nextaim_kit.data.source import SYNTHETIC, Source, find_source
from nextaim_kit.data.tables import FIRST, PATHS, read_table
from nextaim_kit.errors import DataError, RequestError

# What an extraction says of itself beside its features.
NOTES = ("provenance_", "diagnostics_")
_MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>", "-"}
_SPREADSHEET_ERRORS = {
    "#name?", "#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#null!", "#nan",
}  # fmt: skip
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")

Problem = dict[str, str]


def load_table(
    spec: str,
    *,
    subject: str = "subject",
    site: str | None = "site",
    label: str = "label",
    site_table: str | Path | None = None,
    site_column: str | None = None,
    min_site_size: int = 1,
) -> pd.DataFrame:
    """Load a feature table with the site and label of each subject.

    Parameters
    ----------
    spec : str
        A CSV or parquet table, or the name of a data set whose manifest describes one.
    subject, site, label : str, optional
        Names of the table's columns; a data set's manifest knows its own. ``site=None`` for a
        table without sites.
    site_table : path, optional
        Second table (CSV, parquet, xlsx) with the columns `subject` and `site_column`.
    site_column : str, optional
        Column that tells the site, in the second table or the data set's own.
    min_site_size : int, optional
        Sites of fewer subjects are left out.

    Returns
    -------
    pandas.DataFrame
        ``subject`` (str, unique), ``site`` (str), ``label`` (Int64, 0, 1 or missing), then the
        features (float64, NaN where missing). Thousands separators are read; spreadsheet errors
        and infinite values become NaN. ``attrs["problems"]``, a list of ``subject`` and
        ``problem``, names those and the subjects left out.

    Raises
    ------
    RequestError
        If the spec stands for nothing, or for a data set that is no feature table.
    DataError
        If a column is missing (naming the near miss), a subject occurs twice, a label is neither
        0 nor 1, a feature is not numeric, or no subject is left.
    """
    source = _source(spec)
    path, layout = _layout(source, subject, site_table, site_column or site)
    table, problems = _joined(path, layout, site, label)
    name = path.name
    table = schema.typed(table.reset_index(drop=True), name)
    schema.check(table[FIRST], name)
    features, doubts = _numeric(table, name)
    table = pd.concat([table[FIRST], features], axis=1)
    table, small = _large_sites(table, min_site_size)
    if table.empty:
        raise DataError(
            f"{name} holds no subject that can be used",
            expected="subjects with features and a site",
            found="; ".join(f"{p['subject']}: {p['problem']}" for p in (problems + small)[:3]),
            mend="check that both tables name the subjects alike",
        )
    table.attrs["problems"] = problems + doubts + small
    return table


def _source(spec: str) -> Source:
    if spec == SYNTHETIC:
        raise RequestError(
            "a feature table is needed, not a synthetic cohort",
            expected="a CSV or parquet table, or a data set's name",
            found=repr(spec),
            mend="extract the features of the synthetic cohort first",
        )
    return find_source(spec)


def _layout(
    source: Source, subject: str, site_table: str | Path | None, site_column: str | None
) -> tuple[Path, Layout]:
    """Path of the table, and its layout as a manifest would give it."""
    layout: Layout = {"table": source.path.name, "subject": subject}
    path = source.path
    if source.manifest:
        if "table" not in source.manifest.layout:
            raise RequestError(
                f"{source.name} is not a feature table",
                expected="a data set of features",
                found=", ".join(source.manifest.layout) or "a data set without a layout",
                mend="extract its features first, then give their table",
            )
        layout = source.manifest.layout
        path = source.path / layout["table"]
        if site_table is None and site_column not in (None, "site"):
            layout = {**layout, "sites": _other_site(layout, str(site_column))}
    if site_table is not None:
        column = site_column or "site"
        second: Column = {
            "table": str(Path(site_table).expanduser().resolve()),
            "subject": subject,
            "column": column,
        }
        layout = {**layout, "sites": second}
    return path, layout


def _other_site(layout: Layout, column: str) -> Column:
    """Another column of the data set's table of sites; the names belong to the first."""
    sites = dict(layout.get("sites", {}))
    sites.pop("names", None)
    return {**sites, "column": column}  # type: ignore[typeddict-item]  # any column of it


def _joined(
    path: Path, layout: Layout, site: str | None, label: str
) -> tuple[pd.DataFrame, list[Problem]]:
    there = [str(column) for column in read_table(path).columns]
    subject = layout.get("subject", "subject")
    _require(subject, there, path)
    table, problems = feature_table(path.parent, layout)
    if "sites" not in layout and site is not None:
        _require(site, there, path)
        table = table.rename(columns={site: "site"})
    if "labels" not in layout and label in there:
        table = table.rename(columns={label: "label"})
    elif "labels" not in layout and label != "label":
        _require(label, there, path)
    return table, problems


def _require(column: str, there: list[str], path: Path) -> None:
    if column in there:
        return
    by_lower = {name.strip().lower(): name for name in there}
    near = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.5)
    raise DataError(
        f"{path.name} has no column {column!r}",
        expected=f"a column {column!r}",
        found=", ".join(name[:40] for name in there[:8])
        + (f" and {len(there) - 8} more" if len(there) > 8 else ""),
        mend="save the table with commas between its columns, not semicolons"
        if len(there) == 1 and ";" in there[0]
        else f"did you mean {by_lower[near[0]]!r}?"
        if near
        else f"add the column {column!r}",
    )


def _numeric(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[Problem]]:
    """All features as numbers; cells that had to be given up, by subject."""
    beside = {*FIRST, *PATHS}
    columns = [c for c in table if c not in beside and not str(c).startswith(NOTES)]
    numbers = {c: _numbers(table[c]) for c in columns}
    wrong = {c: cell for c in columns if (cell := _first_text(table, c, numbers[c]))}
    if wrong or not columns:
        raise _not_numeric(name, wrong)
    given_up: dict[str, list[str]] = {}
    for column in columns:
        lost = ~np.isfinite(numbers[column]) & ~_empty(table[column])
        for subject in table.loc[lost, "subject"]:
            given_up.setdefault(subject, []).append(str(column))
    finite = {c: numbers[c].where(np.isfinite(numbers[c])) for c in columns}
    problems = [
        {"subject": s, "problem": f"no number in {len(c)} features, read as missing: {c[0]}, …"}
        for s, c in given_up.items()
    ]
    return pd.DataFrame(finite, index=table.index), problems


def _numbers(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    plain = text.where(
        ~text.map(lambda t: bool(_THOUSANDS.fullmatch(t))), text.str.replace(",", "")
    )
    return pd.to_numeric(plain, errors="coerce").astype("float64")


def _words(values: pd.Series) -> pd.Series:
    text = values.astype(object).where(values.notna(), "")
    return text.astype(str).str.strip().str.lower()


def _empty(values: pd.Series) -> pd.Series:
    return _words(values).isin(_MISSING)


def _first_text(table: pd.DataFrame, column: Any, numbers: pd.Series) -> str:
    """First cell of a column that is neither a number nor a way to say that there is none."""
    doubtful = numbers.isna()
    words = _words(table.loc[doubtful, column])
    text = words[~words.isin(_MISSING | _SPREADSHEET_ERRORS)]
    if text.empty:
        return ""
    row = text.index[0]
    return f"{table.at[row, column]!r} (subject {table['subject'][row]!s})"


def _not_numeric(name: str, wrong: dict[Any, str]) -> DataError:
    cells = [f"{column}: {cell}" for column, cell in list(wrong.items())[:5]]
    more = f" and {len(wrong) - 5} more columns" if len(wrong) > 5 else ""
    commas = any(re.search(r"\d,\d", cell) for cell in wrong.values())
    return DataError(
        f"{name}: {len(wrong)} feature columns are not numeric"
        if wrong
        else f"{name}: no features",
        expected="numbers in every column but subject, site, label and "
        + ", ".join((*PATHS, *(f"{start}*" for start in NOTES))),
        found="; ".join(cells) + more if wrong else "none",
        mend="write decimal points, not commas"
        if commas
        else "remove those columns, or correct the cells",
    )


def _large_sites(table: pd.DataFrame, least: int) -> tuple[pd.DataFrame, list[Problem]]:
    counts = table["site"].map(table["site"].value_counts())
    small = counts < least
    problems = [
        {"subject": subject, "problem": f"the site {site} has {count} subjects, fewer than {least}"}
        for subject, site, count in zip(
            table.loc[small, "subject"], table.loc[small, "site"], counts[small], strict=True
        )
    ]
    return table[~small].reset_index(drop=True), problems
