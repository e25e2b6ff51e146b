"""How much data and how good: methods trained on fewer and on worse reports, and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.intervals import BOUNDS, mean_interval
from nextaim_kit.studies.report_structuring.measures import Answers, right
from nextaim_kit.studies.report_structuring.schema import Template

Fit = Callable[[pd.DataFrame], Any]
Training = tuple[str, float, pd.DataFrame]  # the kind of noise, its rate, the reports


def first_reports(table: pd.DataFrame, n: int, *, seed: int = 0) -> pd.DataFrame:
    """The first `n` reports in an order drawn once, so that a smaller set is part of a larger one.

    Raises
    ------
    RequestError
        If there are not so many.
    """
    if not 0 < n <= len(table):
        raise RequestError("the training set cannot be so large",
                           expected=f"1 to {len(table)} reports", found=str(n))  # fmt: skip
    order = np.random.default_rng(seed).permutation(len(table))
    return table.iloc[np.sort(order[:n])].reset_index(drop=True)


def scores(
    answers: Answers, truth: pd.DataFrame, template: Template, **how: Any
) -> list[tuple[str, float, float, float]]:
    """Mean accuracy over the fields, and the share of reports without an error, with intervals.

    ``groups``, ``n_boot`` and ``seed`` are those of `learn.mean_interval`.
    """
    good = right(answers, truth, template).to_numpy()
    return [
        ("accuracy", *mean_interval(good.mean(axis=1), bounds=(0, 1), **how)),
        ("exact_match", *mean_interval(good.all(axis=1), **how)),
    ]


def surface(
    trainings: Iterable[Training],
    sizes: Sequence[int],
    methods: Mapping[str, Fit],
    test: pd.DataFrame,
    template: Template,
    *,
    seed: int = 0,
    n_boot: int = 200,
) -> pd.DataFrame:
    """Train every method on every training set, at every size, and test on the same clean reports.

    Parameters
    ----------
    trainings : iterable of (kind, rate, reports)
        The same reports each time, with so much noise of a kind.
    sizes : sequence of int
        Of the training set; what is larger than it is left out.
    methods : mapping of str to callable
        A method's name, and what fits it to reports.
    test : DataFrame
    template : Template
    seed, n_boot : int

    Returns
    -------
    DataFrame
        ``noise``, ``rate``, ``reports``, ``name``, ``metric``, ``value``, ``low``, ``high``.
    """
    rows = []
    before: dict[str, tuple[Any, list]] = {}
    for noise, rate, table in trainings:
        for size in (size for size in sizes if size <= len(table)):
            part = first_reports(table, size, seed=seed)
            for name, fit in methods.items():
                structurer = fit(part)
                if name not in before or before[name][0] != structurer:  # rules stay as they are
                    answers = structurer.answer(*read_from(test))
                    found = scores(answers, test, template, n_boot=n_boot, seed=seed)
                    before[name] = structurer, found
                rows += [(noise, rate, size, name, *one) for one in before[name][1]]
    return pd.DataFrame(rows, columns=["noise", "rate", "reports", "name", "metric", *BOUNDS])


def across(
    trainings: Mapping[str, pd.DataFrame],
    methods: Mapping[str, Fit],
    tests: Mapping[str, pd.DataFrame],
    template: Template,
    *,
    seed: int = 0,
    n_boot: int = 1000,
) -> pd.DataFrame:
    """Train every method on each training set, and test it on each test set.

    Returns
    -------
    DataFrame
        ``trained``, ``tested``, ``name``, ``metric``, ``value``, ``low``, ``high``, ``n``.
    """
    rows = []
    for trained, table in trainings.items():
        for name, fit in methods.items():
            structurer = fit(table)
            for tested, test in tests.items():
                answers = structurer.answer(*read_from(test))
                found = scores(answers, test, template, n_boot=n_boot, seed=seed)
                rows += [(trained, tested, name, *one, len(test)) for one in found]
    columns = ["trained", "tested", "name", "metric", *BOUNDS, "n"]
    return pd.DataFrame(rows, columns=columns)


def read_from(table: pd.DataFrame) -> tuple[list[str], list[str] | None]:
    """What a structurer is asked about: the texts, and their languages where they are known."""
    return table["text"].tolist(), table["language"].tolist() if "language" in table else None
