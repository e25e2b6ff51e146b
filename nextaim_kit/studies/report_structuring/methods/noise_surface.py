"""How much data and how good: methods trained on fewer and on worse reports, and elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.intervals import BOUNDS, mean_interval
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.machine.workers import parallel
from nextaim_kit.studies.report_structuring.measures import Answers, read_from, right
from nextaim_kit.studies.report_structuring.schema import Template

Fit = Callable[[pd.DataFrame], Any]
Training = tuple[str, float, pd.DataFrame]  # the kind of noise, its rate, the reports
Scores = list[tuple[str, float, float, float]]  # a metric with its interval


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


def scores(answers: Answers, truth: pd.DataFrame, template: Template, **how: Any) -> Scores:
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
    side_by_side: bool = False,
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
    side_by_side : bool
        In a process for each core, where there is no GPU: for networks as small as these, whose
        steps two cores do not make faster than one.

    Returns
    -------
    DataFrame
        ``noise``, ``rate``, ``reports``, ``name``, ``metric``, ``value``, ``low``, ``high``.
    """
    parts = [
        (noise, rate, size, first_reports(table, size, seed=seed))
        for noise, rate, table in trainings
        for size in sizes
        if size <= len(table)
    ]
    score = partial(_scored, test=test, template=template, n_boot=n_boot, seed=seed)
    found = (_in_processes if side_by_side else _in_turn)(methods, [p for *_, p in parts], score)
    rows = [
        (noise, rate, size, name, *one)
        for (noise, rate, size, _), cells in zip(parts, found, strict=True)
        for name, cell in zip(methods, cells, strict=True)
        for one in cell
    ]
    return pd.DataFrame(rows, columns=["noise", "rate", "reports", "name", "metric", *BOUNDS])


def _scored(structurer: Any, *, test: pd.DataFrame, template: Template, **how: Any) -> Scores:
    return scores(structurer.answer(*read_from(test)), test, template, **how)


def _in_turn(
    methods: Mapping[str, Fit], parts: Sequence[pd.DataFrame], score: Callable[[Any], Scores]
) -> Iterator[list[Scores]]:
    """Of each training set, what each method reaches; a structurer that stays is asked once."""
    before: dict[str, tuple[Any, Scores]] = {}
    for part in parts:
        for name, fit in methods.items():
            structurer = fit(part)
            if name not in before or before[name][0] != structurer:  # rules stay as they are
                before[name] = structurer, score(structurer)
        yield [before[name][1] for name in methods]


def _in_processes(
    methods: Mapping[str, Fit], parts: Sequence[pd.DataFrame], score: Callable[[Any], Scores]
) -> Iterator[list[Scores]]:
    """The same, the largest training set first; equal ones once, since they share checkpoints."""
    import torch

    alike = [next(k for k, one in enumerate(parts) if one.equals(part)) for part in parts]
    order = sorted(set(alike), key=lambda k: -len(parts[k]))
    jobs = [delayed(_alone)(fit, parts[k], score) for k in order for fit in methods.values()]
    n_jobs = 1 if torch.cuda.is_available() else None
    found = iter(parallel(jobs, n_jobs=n_jobs, batch_size=1))
    cells = {k: [next(found) for _ in methods] for k in order}
    yield from (cells[k] for k in alike)


def _alone(fit: Fit, part: pd.DataFrame, score: Callable[[Any], Scores]) -> Scores:
    with one_thread():
        return score(fit(part))


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
