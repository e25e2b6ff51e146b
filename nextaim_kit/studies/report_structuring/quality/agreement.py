"""How well two annotators agree on the fields of reports, and what reports say, deny, leave out."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import BOUNDS, Interval, Weights, interval, proportion_interval
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

DENIED = ("absent", "negative")


def agreement(
    first: pd.DataFrame,
    second: pd.DataFrame,
    template: Template,
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Cohen's kappa of two annotators in each field.

    Parameters
    ----------
    first, second : DataFrame
        Values, a column per field, with the same index or one that the first also has.
    template : Template

    Returns
    -------
    DataFrame
        ``field``, ``n``, ``same`` (share of reports of which both say the same, not mentioned
        included), ``value``, ``low``, ``high`` (kappa with its 95 % interval over reports; NaN
        where both always say one thing, so that there is no chance to agree by).

    Raises
    ------
    DataError
        If they have no report in common.

    References
    ----------
    Cohen 1960, doi:10.1177/001316446002000104.
    """
    pairs = _entered(first, second, template)
    rows = []
    for field, (one, other) in zip(template.fields, pairs, strict=True):
        measure = partial(kappas, one=one, other=other)
        found = interval(measure, len(one), n_boot=n_boot, seed=seed)
        rows.append((field.key, len(one), float(np.mean(one == other)), *found))
    return pd.DataFrame(rows, columns=["field", "n", "same", *BOUNDS])


def mean_kappa(
    first: pd.DataFrame,
    second: pd.DataFrame,
    template: Template,
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """Mean of the fields' kappas with its 95 % interval over reports, fields without one left out.

    Parameters
    ----------
    first, second, template
        As for `agreement`.
    """
    pairs = _entered(first, second, template)

    def measure(weights: Weights) -> NDArray:
        return np.nanmean([kappas(weights, *pair) for pair in pairs], axis=0)

    return interval(measure, len(pairs[0][0]), n_boot=n_boot, seed=seed)


def _entered(first: pd.DataFrame, second: pd.DataFrame, template: Template) -> list[list[NDArray]]:
    """What both entered in each field, of the reports that both have read."""
    both = first.index.intersection(second.index)
    if not len(both):
        raise DataError("the two annotators have no report in common", expected="the same subjects")
    return [
        [words(table.loc[both, field.key], field) for table in (first, second)]
        for field in template.fields
    ]


def kappas(weights: Weights, one: ArrayLike, other: ArrayLike) -> NDArray:
    """Cohen's kappa of two lists of words, for each set of weights of their rows.

    Examples
    --------
    >>> kappas(np.ones((1, 4)), list("aabb"), list("abbb")).tolist()
    [0.5]
    """
    names = np.unique(np.concatenate([np.asarray(one, str), np.asarray(other, str)]))
    a, b = ((np.asarray(words, str)[:, None] == names).astype(float) for words in (one, other))
    total = weights.sum(axis=1)
    same = weights @ (a * b).sum(axis=1) / total
    chance = ((weights @ a) * (weights @ b)).sum(axis=1) / total**2
    return np.divide(same - chance, 1 - chance, out=np.full(len(total), np.nan), where=chance < 1)


def words(values: pd.Series, field: Field) -> NDArray:
    """Values of a field as the canonical text has them: one word for each."""
    return np.array([field.written(value) for value in values], dtype=str)


def statements(values: pd.DataFrame, template: Template) -> pd.DataFrame:
    """How often each field is found, denied, doubtful, or not mentioned at all.

    Returns
    -------
    DataFrame
        ``field``, ``n``, then shares of the reports: ``stated`` (a finding, or a number),
        ``denied``, ``uncertain``, ``not mentioned``; ``low`` and ``high`` of ``stated`` (95 %).
    """
    rows = []
    for field in template.fields:
        said = values[field.key]
        silent = said.isna() | said.eq(NOT_MENTIONED)
        shares = [float(p.mean()) for p in (said.isin(DENIED), said.eq("uncertain"), silent)]
        stated = 1 - sum(shares)
        _, low, high = proportion_interval(round(stated * len(said)), len(said))
        rows.append((field.key, len(said), stated, *shares, low, high))
    names = ["field", "n", "stated", "denied", "uncertain", "not mentioned", "low", "high"]
    return pd.DataFrame(rows, columns=names)
