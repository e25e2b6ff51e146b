"""From a structurer's answers to reports for the record, with confidence and evidence."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from IPython.display import HTML
from numpy.typing import NDArray

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.files import data_folder, files_below
from nextaim_kit.learn.applied import unseen
from nextaim_kit.report import document, verdicts
from nextaim_kit.report.fhir import Resource
from nextaim_kit.report.filling import fill_all
from nextaim_kit.report.marked_text import marked_text
from nextaim_kit.report.model import Report, pseudonym
from nextaim_kit.studies.report_structuring.baselines.classical import fit_tfidf
from nextaim_kit.studies.report_structuring.measures import mentioned
from nextaim_kit.studies.report_structuring.methods import load_structurer, who_trained
from nextaim_kit.studies.report_structuring.reading.cohorts import Reports
from nextaim_kit.studies.report_structuring.reading.identifiers import find
from nextaim_kit.studies.report_structuring.record import evidence
from nextaim_kit.studies.report_structuring.record.sheet import report_template
from nextaim_kit.studies.report_structuring.schema import Template

_TELLING = re.compile(r"\w[\w/'-]{3,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}")


class Filled(NamedTuple):
    """Reports by subject, and the failures, as of `data.each.Done`."""

    reports: dict[str, Report]
    failures: pd.DataFrame


def structurer_of(model: str, reports: Reports, *, seed: int = 0) -> Any:
    """A saved structurer; without one, TF-IDF with a logistic regression of the training reports.

    Parameters
    ----------
    model : str
        A file of `methods.save_structurer`, or empty.
    reports : Reports
    seed : int

    Raises
    ------
    DataError
        If the saved one fills another template, or there are no labels to learn from.
    """
    if not model:
        rows = reports.table
        if not reports.labeled:
            raise DataError(
                "there is nothing to learn from: these reports have no values",
                mend="give model= the structurer that report_structuring/structuring has saved",
            )
        language = str(rows["language"].mode()[0])
        return fit_tfidf(
            rows[rows["split"] == "train"], reports.template, seed=seed, language=language
        )
    saved = load_structurer(Path(model))
    if [f.key for f in saved.template.fields] != [f.key for f in reports.template.fields]:
        raise DataError(
            "the structurer fills another template than these reports have",
            expected=f"one of {reports.template.name}", found=saved.template.name,
            mend="give template= the structurer's, or another model",
        )  # fmt: skip
    return saved


def looked_at(reports: Reports, model: str, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reports to structure, and those that are left out.

    They are those for the test; with a saved structurer all whose patients did not train it. Where
    values are known they are measured, `most` of them.

    Returns
    -------
    table : DataFrame
        Rows of the reports' table.
    named : DataFrame
        ``subject``, ``problem``.

    Raises
    ------
    DataError
        If there is no such report.
    """
    rows, named = reports.table, pd.DataFrame(columns=["subject", "problem"])
    if model:
        rows, named = unseen(rows, who_trained(Path(model)).seen, by="patient")
    elif reports.labeled:
        rows = rows[rows["split"] == "test"]
    if rows.empty:
        raise DataError("there is no report for the test", expected="a split with test reports",
                        mend="add some, or leave the column split out")  # fmt: skip
    return (rows.head(most) if reports.labeled else rows).reset_index(drop=True), named


def fill_reports(
    asked: evidence.Asked,
    found: pd.DataFrame,
    table: pd.DataFrame,
    structurer: Any,
    *,
    least: float,
) -> Filled:
    """A report for each text, with values, confidence and evidence; nothing is confirmed.

    Parameters
    ----------
    asked, found, table, least
        As for `record_rows`.
    structurer
        With ``template``, ``language`` and ``name``.
    """
    template = structurer.template
    rows = record_rows(asked, found, table, template, software=structurer.name, least=least)
    return Filled(*fill_all(report_template(template, structurer.language), rows))


def export_all(
    structurer: Any, table: pd.DataFrame, texts: Sequence[str], folder: Path, *, least: float
) -> Filled:
    """Reports of texts whose true values nobody knows, each exported to a folder of its own."""
    asked = evidence.Asked(structurer, texts, structurer.template)
    found = evidence.find_evidence(asked, evidence.sentence_scores(asked))
    done = fill_reports(asked, found, table, structurer, least=least)
    for subject, report in done.reports.items():
        document.save_all(report, folder / quote(subject, safe=""))
    return done


def exported(report: Report, folder: Path) -> tuple[Resource, Resource]:
    """Write all exports of a report; its document and its response as they were written."""
    document.save_all(report, folder)
    told = (folder / f"{name}.json" for name in ("report.fhir", "response"))
    whole, response = (json.loads(path.read_text(encoding="utf-8")) for path in told)
    return whole, response


def survived(reports: Iterable[Report], reader: str) -> pd.DataFrame:
    """Reports, every second one half reviewed, exported, validated and read back: the verdicts."""
    return verdicts.verdicts(verdicts.half_reviewed(reports, reader), verdicts.OF_TEXTS)


def marked(report: Report, key: str = "all") -> HTML:
    """The text of a report with the words marked that speak for one value, or for all."""
    return HTML(marked_text(report, () if key == "all" else [key]))


def row_to_show(names: Sequence[str], subject: str, asked: evidence.Asked | None = None) -> int:
    """The place of a subject, by default of the first.

    Once the structurer was asked, of the one with most values where that one has none.

    Raises
    ------
    RequestError
        If the subject is not there.
    DataError
        If nothing was read from any report.
    """
    if subject and subject not in names:
        raise RequestError(
            f"{subject!r} is none of the reports that are looked at",
            expected=", ".join(names[:5]) + (" ..." if len(names) > 5 else ""),
            mend="give one of these, more explained reports, or none for the first",
        )
    row = list(names).index(subject) if subject else 0
    if asked is None or asked.stated[row].any():
        return row
    if not asked.stated.any():
        raise DataError(
            "nothing was read from any of the reports",
            expected="reports of the template's kind of examination, in its language",
            mend="give the template or the model that these reports are for",
        )
    return int(asked.stated.sum(axis=1).argmax())


def record_rows(
    asked: evidence.Asked,
    found: pd.DataFrame,
    table: pd.DataFrame,
    template: Template,
    *,
    software: str,
    least: float,
) -> pd.DataFrame:
    """Answers as the rows that reports are filled with (`report.filling.fill_all`).

    Parameters
    ----------
    asked : Asked
        The texts, without identifiers, and their answers.
    found : DataFrame
        Of `evidence.find_evidence`; a score below `least` is no evidence.
    table : DataFrame
        ``subject``, and ``site`` where there is one, in the texts' order.
    template : Template
    software : str
        What the structurer is called.
    least : float
    """
    rows = table[[c for c in ("subject", "site", MARK) if c in table]].reset_index(drop=True)
    values = asked.answers.values[asked.keys].reset_index(drop=True).astype(object)
    values = values.where(mentioned(values, template), None)
    enough = found[found["score"] >= least]
    spans: list[dict[str, tuple]] = [{} for _ in asked.texts]
    for row, field, own in enough[["row", "field", "spans"]].itertuples(index=False, name=None):
        spans[row][field] = own
    sure = asked.answers.confidence[asked.keys].to_dict("records")
    more: dict[str, Any] = {
        "software": software,
        "text": asked.texts,
        "confidence": sure,
        "evidence": spans,
    }
    return pd.concat([rows, values], axis=1).assign(**more)


def in_order(reports: Sequence[Report], right: pd.DataFrame) -> pd.DataFrame:
    """Every value of reports, in the order in which each report is best checked.

    Parameters
    ----------
    reports : sequence of Report
    right : DataFrame of bool
        A row for each report, in their order, and a column for each field.

    Returns
    -------
    DataFrame
        ``row``, ``subject``, ``field``, ``place`` (0 is checked first), ``listed`` (its place in
        the template), ``confidence``,
        ``stated``, ``unsupported``, ``right``.
    """
    rows = [
        {"row": row, "subject": report.subject, "field": key, "place": place,
         "listed": list(report.values).index(key),
         "confidence": one.confidence, "stated": one.ai_value is not None,
         "unsupported": report.unsupported(one), "right": bool(right[key].iat[row])}
        for row, report in enumerate(reports)
        for place, key in enumerate(report.order)
        for one in [report.field(key)]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def orders(values: pd.DataFrame) -> dict[str, tuple[NDArray, NDArray]]:
    """What share of the errors is found in three orders: doubt, confidence, the template's.

    Parameters
    ----------
    values : DataFrame
        Of `in_order`; a value without confidence counts as sure, what is equal stays as it comes.

    Returns
    -------
    dict of str to (checked, found)
        Shares of the values, and of the errors among them.
    """
    ordered = values.assign(
        sure=values["confidence"].astype(float).fillna(1.0), undoubted=~values["unsupported"]
    )
    by = {"doubt, then confidence": ["undoubted", "sure"], "confidence": ["sure"],
          "the template's order": ["listed"]}  # fmt: skip
    lines = {}
    for name, columns in by.items():
        wrong = ~ordered.sort_values(columns, kind="stable")["right"].to_numpy(bool)
        found = np.r_[0, wrong.cumsum()] / max(wrong.sum(), 1)
        lines[name] = np.linspace(0, 1, len(found)), found
    return lines


def place_of(report: Report, reader: str) -> Path:
    """Where a reader's review of a report is kept, in ``NEXTAIM_DATA``, by what was read."""
    read = [(f.what.key, f.ai_value, f.confidence, f.evidence) for f in report.fields]
    told = repr([report.subject, report.site, report.software, report.text, read])
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    return data_folder() / "reviews/report_structuring" / key / f"{pseudonym(reader)}.json"


def covered(texts: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """What `identifiers.mask` covers in texts: sorted, each once, three signs or more."""
    names = list(known)
    found = {t[one.start : one.end] for t in texts for one in find(t, names)}
    return sorted(word for word in found if len(word) > 2)


def left_in(folder: Path, told: Sequence[str]) -> list[str]:
    """Names of the files below a folder that hold a name, date or code of what told a person.

    Parameters
    ----------
    folder : Path
        Texts in its files are searched, those in base64 among them; pictures are not read.
    told : sequence of str
        Such as "Sig. Mario Rossi, nato il 12/03/1950": every word of it counts that has four
        signs or more and a capital letter or a digit.
    """
    words = sorted(
        {w for text in told for w in _TELLING.findall(text) if w != w.lower() or w[0].isdigit()}
    )
    if not words:
        return []
    own = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.I)
    return [
        str(path.relative_to(folder))
        for path in files_below(folder)
        if any(own.search(text) for text in _texts_in(path.read_bytes()))
    ]


def _texts_in(content: bytes) -> Iterator[str]:
    yield content.decode("utf-8", "ignore")
    for run in _BASE64.findall(content):
        yield base64.b64decode(run[: len(run) // 4 * 4]).decode("utf-8", "ignore")
