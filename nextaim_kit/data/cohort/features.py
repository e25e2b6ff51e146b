"""Tables of features, ready to learn from: every feature a number, every doubtful cell named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort import schema
from nextaim_kit.data.cohort.feature_names import NOTES, chosen, like_an_outcome, named_as_features
from nextaim_kit.data.cohort.feature_tables import feature_table, renamed
from nextaim_kit.data.cohort.sheets import THOUSANDS
from nextaim_kit.data.cohort.tables import FIRST, PATHS
from nextaim_kit.data.datasets.manifest import Column, Layout
from nextaim_kit.data.datasets.source import Source, find_source
from nextaim_kit.errors import DataError, RequestError

_MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>", "-"}
_SPREADSHEET_ERRORS = {
    "#name?", "#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#null!", "#nan",
}  # fmt: skip
_CLEAR_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3}(\.\d+|(,\d{3})+(\.\d*)?))")
_LARGEST = 1e100  # beyond it squares overflow: no feature is that large

Problem = dict[str, str]


def load_table(
    spec: str,
    *,
    subject_column: str = "subject",
    site_column: str = "site",
    label_column: str = "label",
    feature_columns: Sequence[str] = (),
    beside: Sequence[str] = (),
    site_table: str | Path | None = None,
    min_site_size: int = 1,
) -> pd.DataFrame:
    """Load a feature table with the site and label of each subject.

    Parameters
    ----------
    spec : str
        A table (CSV, TSV, also packed; xlsx; parquet), or the name of a data set whose manifest
        describes one.
    subject_column, site_column, label_column : str, optional
        Names of the table's columns. A data set's manifest knows its own; another name is then
        another column of the same second table. Without a column ``site`` all subjects are of
        the site ``unknown``.
    feature_columns : sequence of str, optional
        Features by name, or by shell-style pattern (``deep_*``); else those that are named as
        pyradiomics, CaPTk or MIRP name theirs. Nothing else is used.
    beside : sequence of str, optional
        Numbers to be kept where they are there, that are no features.
    site_table : path, optional
        Second table with the columns `subject_column` and `site_column`.
    min_site_size : int, optional
        Sites of fewer subjects are left out.

    Returns
    -------
    pandas.DataFrame
        ``subject`` (str, unique), ``site`` (str), ``label`` (Int64, 0, 1 or missing), `beside`,
        then the features (float64, NaN where missing). Thousands separators are read; spreadsheet
        errors and infinite values become NaN. ``attrs["problems"]``, a list of ``subject`` and
        ``problem``, names those and the subjects left out; `column_use` tells the columns'.

    Raises
    ------
    RequestError
        If the spec stands for nothing, or for a data set that is no feature table, or
        `feature_columns` for no column.
    DataError
        If a column is missing (naming the near miss), no column is named as a feature, a subject
        occurs twice, a label is neither 0 nor 1, a feature is not numeric, or no subject is left.
    """
    source = _source(spec)
    path, layout = _layout(source, subject_column, site_table, site_column, label_column)
    name = path.name
    table, problems = _joined(path, layout, site_column, label_column)
    there = [str(c) for c in table if c not in (*FIRST, *beside)]
    if set(feature_columns) & {subject_column, site_column, label_column}:
        raise RequestError(
            "feature_columns: subject, site and label are no features",
            found=", ".join(feature_columns),
        )
    candidates = [c for c in there if c not in PATHS and not c.startswith(NOTES)]
    features = (
        chosen(candidates, feature_columns) if feature_columns else named_as_features(candidates)
    )
    if not features:
        raise _no_feature(name, candidates)
    table = schema.typed(table.reset_index(drop=True), name)
    schema.check(table[FIRST], name)
    numbers, doubts = _numeric(table, [*(c for c in beside if c in table), *features], name)
    raw = table
    table, small = large_sites(pd.concat([table[FIRST], numbers], axis=1), min_site_size)
    if table.empty:
        raise DataError(
            f"{name} holds no subject that can be used",
            expected="subjects with features and a site",
            found="; ".join(f"{p['subject']}: {p['problem']}" for p in (problems + small)[:3]),
            mend="check that both tables name the subjects alike",
        )
    used = [feature for feature in features if table[feature].notna().any()]
    if not used:
        raise DataError(
            f"{name}: no feature has a value in any subject",
            expected="numbers in at least one of the features",
            found=f"{len(features)} empty columns: {', '.join(features[:3])}",
            mend="see in the extraction's failures.csv why nothing was measured",
        )
    columns = _use(raw, there, used)
    table.attrs |= {"problems": problems + doubts + small, "columns": columns}
    return table


def column_use(table: pd.DataFrame) -> pd.DataFrame:
    r"""What became of each column of a table: ``column``, ``use``, ``note``, left-out ones first.

    `use` is ``feature`` or ``left out``.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "features.csv"
    >>> header = "subject,label,original_shape_MeshVolume,remark"
    >>> _ = path.write_text(f"{header}\nP1,0,3.5,fine\nP2,1,4.5,late\n")
    >>> column_use(load_table(str(path)))[["column", "use"]].to_numpy().tolist()
    [['remark', 'left out'], ['original_shape_MeshVolume', 'feature']]
    """
    found = pd.DataFrame(table.attrs.get("columns", []), columns=["column", "use", "note"])
    return found.sort_values("use", ascending=False, kind="stable", ignore_index=True)


def missing(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Which columns lack values, and of how many subjects: ``column``, ``missing``, ``of``.

    The emptiest first; no row where nothing is missing.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [50.0, np.nan], "crp": [3.0, 9.0]})
    >>> missing(table, ["age", "crp"]).to_numpy().tolist()
    [['age', 1, 2]]
    """
    gaps = table[list(columns)].isna().sum().sort_values(ascending=False, kind="stable")
    found = gaps[gaps > 0].rename_axis("column").reset_index(name="missing")
    return found.assign(of=len(table))


def _use(table: pd.DataFrame, there: Iterable[str], features: Sequence[str]) -> list[Problem]:
    used = set(features)
    return [
        {
            "column": column,
            "use": "feature" if column in used else "left out",
            "note": _note(table[column], column),
        }
        for column in there
    ]


def _note(values: pd.Series, column: str) -> str:
    if _empty(values).all():
        return "empty"
    if like_an_outcome(column):
        return "named like an outcome"
    return "the same in all subjects" if _words(values).nunique() == 1 else ""


def _no_feature(name: str, columns: Sequence[str]) -> DataError:
    return DataError(
        f"{name}: no column is named as a feature",
        expected="names as pyradiomics (original_firstorder_Mean), CaPTk (T1_ED_GLCM_..._Energy) "
        "or MIRP (cm_joint_max_...) gives them",
        found=", ".join(columns[:8]) + (f" and {len(columns) - 8} more" if columns[8:] else "")
        or "none beside subject, site and label",
        mend="name them with feature_columns: names, or a pattern such as deep_*",
    )


def _source(spec: str | Source) -> Source:
    source = find_source(spec)
    if source.synthetic:
        raise RequestError(
            "a feature table is needed, not a synthetic cohort",
            expected="a CSV or parquet table, or a data set's name",
            found=repr(source.name),
            mend="extract the features of the synthetic cohort first",
        )
    return source


def _layout(
    source: Source, subject: str, site_table: str | Path | None, site: str, label: str
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
        if site_table is None and site != "site" and "sites" in layout:
            layout = {**layout, "sites": _other(layout["sites"], site)}
        if label != "label" and "labels" in layout:
            layout = {**layout, "labels": _other(layout["labels"], label)}
    if site_table is not None:
        place = str(Path(site_table).expanduser().resolve())
        second: Column = {"table": place, "subject": subject, "column": site}
        layout = {**layout, "sites": second}
    return path, layout


def _other(known: Column, column: str) -> Column:
    """Another column of a data set's second table; the names belong to the first."""
    kept = {key: value for key, value in known.items() if key != "names"}
    return {**kept, "column": column}  # type: ignore[typeddict-item]  # any column of it


def _joined(
    path: Path, layout: Layout, site: str, label: str
) -> tuple[pd.DataFrame, list[Problem]]:
    table, problems = feature_table(path.parent, layout, (site,))
    for key, column, new in (("sites", site, "site"), ("labels", label, "label")):
        if key not in layout and (column in table or column != new or _misspelt(table, new)):
            table = renamed(table, column, new, path.name)
    return table, problems


def _misspelt(table: pd.DataFrame, column: str) -> bool:
    """Whether a name nearly says `column`, and would be lost without a word."""
    return column in {str(name).strip().lower().rstrip("s") for name in table}


def _numeric(
    table: pd.DataFrame, columns: Sequence[str], name: str
) -> tuple[pd.DataFrame, list[Problem]]:
    """Columns as numbers; cells that had to be given up, by subject."""
    _refuse_doubtful_commas(table[list(columns)], name)
    numbers = {c: _numbers(table[c]) for c in columns}
    wrong = {c: cell for c in columns if (cell := _first_text(table, c, numbers[c]))}
    if wrong:
        raise _not_numeric(name, wrong)
    given_up: dict[str, list[str]] = {}
    usable = {c: np.isfinite(numbers[c]) & (numbers[c].abs() < _LARGEST) for c in columns}
    for column in columns:
        for subject in table.loc[~usable[column] & ~_empty(table[column]), "subject"]:
            given_up.setdefault(subject, []).append(str(column))
    finite = {c: numbers[c].where(usable[c]) for c in columns}
    problems = [
        {"subject": s, "problem": f"no number in {len(c)} features, read as missing: {c[0]}, …"}
        for s, c in given_up.items()
    ]
    return pd.DataFrame(finite, index=table.index), problems


def _refuse_doubtful_commas(columns: pd.DataFrame, name: str) -> None:
    """Refuse 1,234 where no other cell tells whether it is a thousand or a little more than one."""
    text = [c for c in columns if not _is_number(columns[c])]
    cells = {cell for c in text for cell in _words(columns[c])}
    doubtful = sorted(cell for cell in cells if THOUSANDS.fullmatch(cell))
    clear = any(_CLEAR_THOUSANDS.fullmatch(cell) or _has_point(cell) for cell in cells)
    if doubtful and not clear and not _with_points(columns.drop(columns=text)):
        raise DataError(
            f"{name}: the comma in {doubtful[0]} may mark thousands or decimals",
            expected="numbers without separators of thousands, with decimal points",
            found=", ".join(doubtful[:5]),
            mend="write decimal points, and no separators of thousands",
        )


def _has_point(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d*\.\d+(e[+-]?\d+)?", cell) is not None


def _with_points(numbers: pd.DataFrame) -> bool:
    values = numbers.to_numpy(float, na_value=np.nan)
    return bool((np.mod(values[np.isfinite(values)], 1) != 0).any())


def _is_number(values: pd.Series) -> bool:
    types = pd.api.types
    return types.is_numeric_dtype(values) and not types.is_complex_dtype(values)


def _numbers(values: pd.Series) -> pd.Series:
    if _is_number(values):
        return pd.Series(values.to_numpy(float, na_value=np.nan), index=values.index)
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    comma = text.map(lambda t: bool(THOUSANDS.fullmatch(t) or _CLEAR_THOUSANDS.fullmatch(t)))
    plain = text.where(~comma, text.str.replace(",", ""))
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
        f"{name}: {len(wrong)} feature columns are not numeric",
        expected="numbers in every feature",
        found="; ".join(cells) + more,
        mend="write decimal points, not commas"
        if commas
        else "correct the cells, or empty them where nothing was measured",
    )


def large_sites(table: pd.DataFrame, least: int) -> tuple[pd.DataFrame, list[Problem]]:
    """Subjects of sites with at least `least` subjects, and the others as problems."""
    counts = table["site"].map(table["site"].value_counts())
    small = counts < least
    problems = [
        {"subject": subject, "problem": f"the site {site} has {count} subjects, fewer than {least}"}
        for subject, site, count in zip(
            table.loc[small, "subject"], table.loc[small, "site"], counts[small], strict=True
        )
    ]
    return table[~small].reset_index(drop=True), problems
