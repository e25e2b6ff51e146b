"""What several methods answer to the same reports, measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.learn.intervals import summary
from nextaim_kit.studies.report_structuring import measures
from nextaim_kit.studies.report_structuring.reading.duplicates import shared
from nextaim_kit.studies.report_structuring.schema import Template


def without_copies(
    table: pd.DataFrame, training: Sequence[pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reports that are no copies of training reports, and the names of those that are.

    Returns
    -------
    others : DataFrame
        As the table, from row 0 on.
    named : DataFrame
        ``subject``, ``problem``.
    """
    seen = [text for part in training for text in part["text"]]
    copied = shared(seen, table["text"].tolist())
    named = table.loc[copied, ["subject"]].assign(problem="a copy of a training report: not tested")
    return table[~copied].reset_index(drop=True), named.reset_index(drop=True)


def compared(
    answers: Mapping[str, measures.Answers],
    test: pd.DataFrame,
    template: Template,
    *,
    spans: Sequence[measures.Spans] | None = None,
    **how: Any,
) -> pd.DataFrame:
    """Measure the answers of several methods to the same reports.

    Parameters
    ----------
    answers : mapping of str to Answers
        By method.
    test : DataFrame
        The reports with their true values.
    template : Template
    spans : sequence of mapping, optional
        The true evidence of each report, by field: what is stated is held against it.
    **how
        ``scopes``, ``groups``, ``n_boot``, ``seed`` of `measures.measure`.

    Returns
    -------
    DataFrame
        ``name``, then the columns of `measures.measure`.
    """
    texts, languages = measures.read_from(test)
    tables = []
    for name, one in answers.items():
        held = None
        if spans is not None:
            held = measures.supported(one, texts, template, spans=spans, languages=languages)
        found = measures.measure(one, test, template, supported=held, **how)
        found.insert(0, "name", name)
        tables.append(found)
    return pd.concat(tables, ignore_index=True)


def pairs_told_apart(
    answers: Mapping[str, measures.Answers],
    pairs: pd.DataFrame,
    template: Template,
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Of pairs of reports that differ in one value, the share in which both are read right.

    Parameters
    ----------
    answers : mapping of str to Answers
    pairs : DataFrame
        Reports with ``pair``, ``kind`` and ``field``, the one in whose value the two differ.
    template : Template
    n_boot, seed : int

    Returns
    -------
    DataFrame
        ``kind``, ``name``, ``metric``, ``value``, ``low``, ``high``, ``n`` pairs.
    """
    rows = []
    for name, one in answers.items():
        good = measures.right(one, pairs, template)
        places = good.columns.get_indexer(pd.Index(pairs["field"]))
        at = pd.Series(good.to_numpy()[np.arange(len(good)), places])
        both = at.groupby(pairs["pair"].to_numpy()).all()
        kinds = pairs.groupby("pair")["kind"].first()
        rows.append(pd.DataFrame({"kind": kinds, "name": name, "both right": both}))
    return summary(pd.concat(rows), ["kind", "name"], n_boot=n_boot, seed=seed)


def told(answers: measures.Answers, table: pd.DataFrame, template: Template) -> pd.DataFrame:
    """What is stated of each report and field, without the text: subject, field, value, confidence.

    Fields that are not mentioned are left out.
    """
    row, k = np.nonzero(measures.mentioned(answers.values, template).to_numpy())
    keys = np.array(list(template.by_key))
    return pd.DataFrame({
        "subject": table["subject"].to_numpy()[row], "field": keys[k],
        "value": answers.values[keys].to_numpy(object)[row, k],
        "confidence": answers.confidence[keys].to_numpy(float)[row, k],
    })  # fmt: skip
