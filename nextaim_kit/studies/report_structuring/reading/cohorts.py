"""Cohorts of reports: read as they lie there, tidied report by report, with a split that holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.report_structuring.measures import mentioned
from nextaim_kit.studies.report_structuring.reading import duplicates
from nextaim_kit.studies.report_structuring.reading.columns import (
    language_named,
    split_of,
    value_of,
)
from nextaim_kit.studies.report_structuring.reading.folders import Given, look
from nextaim_kit.studies.report_structuring.reading.identifiers import flagged, mask, pseudonymous
from nextaim_kit.studies.report_structuring.reading.indiana import labels_of
from nextaim_kit.studies.report_structuring.reading.tidy import language_of, tidied
from nextaim_kit.studies.report_structuring.schema import Template

_DRAWN = "no split is given: one is drawn, by groups of copies"
_FAILED = ["subject", "problem"]
FIRST = ["subject", "patient", "site", "split", "language", "group", "text"]


@dataclass(frozen=True)
class Reports:
    """A cohort of reports.

    Attributes
    ----------
    table : DataFrame
        A row a report: ``subject``, ``patient``, ``site``, ``split``, ``language``, ``group``
        (reports that are copies, or one patient's, have one number), ``text``, then the fields.
    template : Template
    labeled : bool
        Whether the fields' values are known; if not, they all are not mentioned.
    failures : DataFrame
        Reports left out: ``subject``, ``problem``.
    notes : DataFrame
        What was done to a text, or moved: ``subject``, ``note``.
    copies : DataFrame
        Exact copies that were left out of a public set, with their values, and ``of``, the
        subject that stands for them.
    second : DataFrame
        Values of a second annotator by subject; empty where there is none.
    clean : DataFrame
        True values by subject, where they are known.
    said : tuple of str
        What was taken for what.
    personal : frozenset of str
        Names and codes of the table, to be covered wherever a text is shown.
    """

    table: pd.DataFrame
    template: Template
    labeled: bool = True
    failures: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=_FAILED))
    notes: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=["subject", "note"]))
    copies: pd.DataFrame = field(default_factory=pd.DataFrame)
    second: pd.DataFrame = field(default_factory=pd.DataFrame)
    clean: pd.DataFrame = field(default_factory=pd.DataFrame)
    said: tuple[str, ...] = ()
    personal: frozenset[str] = frozenset()

    @property
    def values(self) -> pd.DataFrame:
        """Values by subject, a column per field."""
        return self.table.set_index("subject")[[f.key for f in self.template.fields]]

    def shown(self, subject: str) -> str:
        """A report's text as it may be shown: what can tell a person is covered."""
        text = self.table.loc[self.table["subject"] == subject, "text"].iloc[0]
        return mask(text, self.personal)

    def flagged(self) -> pd.DataFrame:
        """Identifiers in the texts by kind: ``kind``, ``reports``, ``count``."""
        kinds = flagged(self.table).groupby("kind")["count"]
        return kinds.agg(reports="size", count="sum").reset_index()


def load_reports(
    spec: str,
    *,
    template: str | Template = "",
    twin: Callable[[], Reports] | None = None,
    seed: int = 0,
) -> Reports:
    """Load a cohort of reports.

    Parameters
    ----------
    spec : str
        ``synthetic``; a data set's name; a table (CSV, TSV, xlsx, parquet) with the reports and,
        where known, a column per field; or a folder with one such table, one for each split, a
        table of reports and one of values (joined by ``subject``), or ``.txt`` files and a table
        of values. Columns may have Italian names (``referto``, ``id``), sections of the text
        columns of their own (``quesito``, ``conclusioni``), and the fields the names of the
        template's labels. The Indiana reports are known by their MeSH codes.
    template : str or Template
        A name, or a path; by default the folder's ``template.yaml``, else the template whose
        fields are there.
    twin : callable, optional
        Makes the synthetic reports.
    seed : int
        Of the split, where the table has none.

    Returns
    -------
    Reports
        A report that cannot be read right is a row of its `failures`; the others go on.

    Raises
    ------
    RequestError
        If the spec stands for nothing, no template is known, or it is not clear which of several
        files are meant.
    DataError
        If a table is damaged, its columns are unclear, or no report is left.
    """
    source = find_source(spec)
    if source.synthetic:
        if twin is None:
            raise RequestError("the synthetic reports are no other cohort than themselves")
        return twin()
    given = look(source.path, template)
    coded = "codes" in given.rows and given.template.name == "indiana"
    rows = _safe(given.rows)
    found = each(rows, _report, workers=1, template=given.template, coded=coded)
    if hidden := int((rows["subject"] != given.rows["subject"]).sum()):
        given = given._replace(said=(*given.said, f"{hidden} subjects get a pseudonym: names"))
    left_out = _safe(pd.DataFrame(given.problems.items(), columns=_FAILED))
    failures = pd.concat([left_out, found.failures[[*left_out]]], ignore_index=True)
    if not found.results:
        first = [": ".join(row) for row in failures.head(3).to_numpy().tolist()]
        raise DataError(
            f"{source.name} holds no report that can be used", found="; ".join(first) or "no row",
            expected="a column text, and the fields of a template",
        )  # fmt: skip
    reports = _assembled(found.table("subject"), given, seed=seed, coded=coded)
    reports = replace(reports, failures=failures)
    _say(source.name, reports)
    return reports


def _assembled(table: pd.DataFrame, given: Given, *, seed: int, coded: bool) -> Reports:
    """The cohort of tidied reports: copies of a public set out, groups of copies in one split."""
    keys = [field.key for field in given.template.fields]
    table = table.astype({field.key: float for field in given.template.fields if not field.choices})
    table["language"] = table["language"].replace("", table["language"].mode()[0])
    notes = [(s, n) for s, of in zip(table["subject"], table["notes"], strict=True) for n in of]
    copies = _copies(table) if coded else table.iloc[:0]
    table = table[~table["subject"].isin(copies["subject"])].reset_index(drop=True)
    table["group"] = duplicates.copy_groups(table["text"].tolist(), table["patient"].tolist())
    said = given.said if table["split"].any() else (*given.said, _DRAWN)
    table, moved = _divided(table, seed)
    return Reports(
        table[[*FIRST, *keys]],
        given.template,
        given.labeled,
        notes=pd.DataFrame([*notes, *moved], columns=["subject", "note"]),
        copies=copies,
        second=_second(table, keys),
        said=said,
        personal=given.personal,
    )


def known_reports(table: pd.DataFrame, template: Template, clean: pd.DataFrame) -> Reports:
    """A cohort of reports made with known truth.

    Parameters
    ----------
    table : DataFrame
        The columns of `Reports.table` but ``group``; ``second_`` and a field for each field where
        there is a second annotator.
    template : Template
    clean : DataFrame
        True values by subject.
    """
    keys = [field.key for field in template.fields]
    group = duplicates.copy_groups(table["text"].tolist(), table["patient"].tolist())
    second = table.set_index("subject").filter(regex="^second_")
    return Reports(
        table.assign(group=group)[[*FIRST, *keys]],
        template,
        clean=clean,
        second=second.rename(columns=lambda name: name.removeprefix("second_")),
    )


def beside(reports: Reports, other: Reports) -> pd.DataFrame:
    """Two cohorts of one template: ``measure``, ``this``, ``other``."""
    both = (reports, other)
    texts = [one.table["text"] for one in both]
    ours, theirs = map(_words, texts)
    measures = {
        "reports": [len(of) for of in texts],
        "words, in the median": [of.str.count(r"\S+").median() for of in texts],
        "fields mentioned, in the mean": [
            mentioned(one.values, one.template).sum(axis=1).mean() for one in both
        ],
        "share of its words that the other lacks": [_lacking(ours, theirs), _lacking(theirs, ours)],
        "copies of a report of this one": [
            np.nan,
            duplicates.shared(*(of.tolist() for of in texts)).sum(),
        ],
    }
    table = pd.DataFrame(measures, index=["this", "other"]).T
    return table.rename_axis("measure").reset_index()


def _words(texts: pd.Series) -> Counter[str]:
    return Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text.casefold()))


def _lacking(words: Counter[str], others: Counter[str]) -> float:
    return sum(n for word, n in words.items() if word not in others) / max(sum(words.values()), 1)


def _report(row: Mapping[str, str], template: Template, coded: bool) -> dict[str, Any]:
    """One report as it stands in its row, or the reason why it cannot be read right."""
    text, notes = tidied(row["text"])
    _check_row(text, row["subject"])
    told = {name: row.get(name, "").strip() for name in ("patient", "site", "language")}
    seems = language_of(text)
    language = language_named(told["language"]) or seems
    if seems and language != seems:
        notes = (*notes, f"in {seems} by its words, not in {language}")
    values = labels_of(row["codes"]) if coded else _values(row, template)
    second = _values(row, template, "second_") if _has_second(row, template) else None
    notes = (*notes, *_rounded(values, template))
    return {
        "patient": told["patient"] or row["subject"],
        "site": told["site"] or "unknown",
        "split": split_of(row.get("split", "")),
        "language": language,
        "text": text,
        "notes": notes,
        **template.entered(values),
        "second": None if second is None else template.entered(second),
    }


def _check_row(text: str, subject: str) -> None:
    """Refuse a text that goes on with the table's next row: its quotation mark does not close."""
    shape = re.sub(r"\d+", r"\\d+", re.escape(subject))
    if re.search(rf"^\"?{shape}\"?(?:[;\t|]|,(?!\d))", text, re.M):
        raise DataError(
            "another row of the table stands in the text",
            expected="a text in quotation marks that close",
            mend="save the table anew: a quotation mark in a text is written twice",
        )


def _values(row: Mapping[str, str], template: Template, prefix: str = "") -> dict[str, Any]:
    there = [field for field in template.fields if row.get(prefix + field.key) is not None]
    given = [row[prefix + field.key] for field in there]
    cells = [mask(cell) if isinstance(cell, str) else "" for cell in given]  # NaN: no row for it
    if not prefix and there and not any(cell.strip() for cell in cells):
        raise DataError(
            "no field of the report is filled", expected="a value in at least one",
            mend="write not_mentioned into one, if the report mentions none of them",
        )  # fmt: skip
    return {f.key: value_of(cell, f, template) for f, cell in zip(there, cells, strict=True)}


def _rounded(values: Mapping[str, Any], template: Template) -> list[str]:
    """What is to be said of numbers with more decimals than their field has."""
    numbers = [f for f in template.fields if isinstance(values.get(f.key), float)]
    finer = [f for f in numbers if round(values[f.key], f.decimals) != values[f.key]]
    return [f"{f.key}: rounded, the template has {f.decimals} decimals" for f in finer]


def _has_second(row: Mapping[str, Any], template: Template) -> bool:
    return any(isinstance(row.get(f"second_{field.key}"), str) for field in template.fields)


def _safe(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose names tell nobody."""
    columns = [column for column in ("subject", "patient") if column in rows]
    return rows.assign(**{column: rows[column].map(pseudonymous) for column in columns})


def _copies(table: pd.DataFrame) -> pd.DataFrame:
    """Rows that repeat an earlier text, with the subject that has it."""
    pairs = duplicates.near_pairs(table["text"].tolist(), alike=1.0)
    first = pairs.groupby("other")["one"].min()
    rows = table.iloc[first.index.to_numpy(int)]
    return rows.assign(of=table["subject"].to_numpy()[first.to_numpy(int)])


def _divided(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """The table with splits that tear no group apart, and what was moved for it."""
    given = table["split"] != ""
    if not given.any():
        return table.assign(split=duplicates.drawn_split(table, seed=seed)), []
    if not given.all():
        raise DataError(
            f"{int((~given).sum())} reports are of no split",
            expected="train, validation or test in every row, or in none",
            found=", ".join(table.loc[~given, "subject"][:5]),
            mend="fill the column split, or take it out",
        )
    mended = duplicates.whole(table)
    rows = zip(table["subject"], table["split"], mended, strict=True)
    said = [(s, f"from {a} to {b}, where a copy of it is") for s, a, b in rows if a != b]
    return table.assign(split=mended), said


def _second(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    there = table[table["second"].notna()]
    values = pd.DataFrame(there["second"].tolist(), index=there["subject"].to_list())
    return values.reindex(columns=keys if len(there) else [])


def _say(name: str, reports: Reports) -> None:
    for line in reports.said:
        print(line)
    counts = reports.table["split"].value_counts()
    parts = ", ".join(f"{counts[s]} {s}" for s in ("train", "validation", "test") if s in counts)
    print(f"{name}: {len(reports.table)} reports ({parts}), {len(reports.failures)} left out")
    for note, n in reports.notes["note"].value_counts().items():
        print(f"  {n} reports: {note}")
    if len(reports.copies):
        print(f"  {len(reports.copies)} copies of other reports left out")
