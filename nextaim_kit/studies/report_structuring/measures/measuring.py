"""How right structured reports are: field by field, as a whole, and where the text is silent.

Every measure is a share of counts, so that a thousand resamples of the reports are one product of
matrices (`learn.intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.learn.intervals import BOUNDS, proportion_interval, resampled, with_interval
from nextaim_kit.studies.report_structuring.measures.answers import (
    Answers,
    margin,
    mentioned,
    right,
    unread,
    words,
)
from nextaim_kit.studies.report_structuring.schema import Template

REPORT, CHOICES, NUMBERS = "whole report", "choices", "numbers"
# What each share counts, and of what.
_SHARES = {
    "accuracy": ("right", "all"),
    "accuracy_mentioned": ("right_mentioned", "mentioned"),
    "accuracy_silent": ("right_silent", "silent"),
    "omitted": ("omitted", "mentioned"),
    "wrong": ("wrong", "mentioned"),
    "unsupported": ("unsupported", "stated"),
    "overstated": ("overstated", "silent"),
    "wrong_unit": ("wrong_unit", "mentioned"),
}
_FACTORS = np.array([0.01, 0.1, 10.0, 100.0])


def measure(
    answers: Answers,
    truth: pd.DataFrame,
    template: Template,
    *,
    supported: pd.DataFrame | None = None,
    scopes: Mapping[str, Sequence[str]] | None = None,
    groups: ArrayLike | None = None,
    tolerance: float = 0.5,
    **how: Any,
) -> pd.DataFrame:
    """Measure answers in every respect, each with its 95 % interval, reports resampled.

    Parameters
    ----------
    answers : Answers
    truth : DataFrame
        As `Answers.values`, in the same order.
    template : Template
    supported : DataFrame of bool, optional
        What `supported` gives. Without it a statement has support where the truth mentions its
        field and, of a number, where it is the right one.
    scopes : mapping of str to sequence of str, optional
        Sets of fields that are measured together; by default the whole report, its choices and
        its numbers.
    groups : array-like, optional
        Patient of each report, where patients have several: they are drawn together.
    tolerance : float
        As in `right`.
    **how
        ``n_boot`` and ``seed`` of `learn.intervals.resamples`.

    Returns
    -------
    DataFrame
        ``scope`` (a set of fields, or a field), ``metric``, ``value``, ``low``, ``high``, ``n``:

        - ``accuracy``; ``balanced_accuracy``, mean recall over the values that occur, silence one
          of them; ``f1``, the mean over them; numbers are classed by whether they are mentioned,
          a wrong one being a miss. Of several fields their mean. ``f1_present`` is the F1 of
          finding what is present alone, where fields have that value.
        - ``accuracy_mentioned`` and ``accuracy_silent``: where the text mentions the field, and
          where it does not.
        - ``omitted`` and ``wrong``: of what is mentioned, the share left out, and misstated.
        - ``unsupported``: of what is stated, the share that the text does not hold;
          ``overstated``: of what the text is silent about, the share that is stated.
        - ``wrong_unit``: of the numbers, those wrong by a factor of 10 or 100.
        - ``exact_match``: reports in which every field is right; ``format_accuracy``: texts that
          follow the template.

        A share of 0 or 1, of which no resample differs, has the exact interval of so many reports.

    References
    ----------
    Format accuracy beside strict accuracy and F1: Bergomi et al. 2024, arXiv:2403.18938.
    """
    scopes = _scopes(template) if scopes is None else scopes
    every = {**scopes, **{key: [key] for key in template.by_key}}
    counts = _counts(answers, truth, template, supported, tolerance)
    shares = _shares(counts, every, template)
    if answers.valid is not None:
        shares[next(iter(scopes)), "format_accuracy"] = answers.valid, np.ones(len(truth))
    classes = _classes(answers, truth, template, counts["right"])
    flat = np.column_stack(
        [c for both in shares.values() for c in both] + [c for _, c in classes.values()]
    ).astype(float)
    drawn = resampled(lambda w: w @ flat, len(flat), groups=groups, **how)
    who = np.arange(len(truth)) if groups is None else np.asarray(groups)
    rows: list[tuple] = []
    for k, ((scope, metric), (_, whole)) in enumerate(shares.items()):
        part, of = drawn[:, 2 * k], drawn[:, 2 * k + 1]
        found = _interval(_over(part, of), who[np.asarray(whole) > 0])
        rows.append((scope, metric, *found, of[0]))
    for metric, averages in _averages(drawn[:, 2 * len(shares) :], classes).items():
        for scope, keys in every.items():
            there = [averages[key] for key in keys if key in averages]
            if there:
                mean = _mean(np.array(there))
                rows.append((scope, metric, *_interval(mean, who), len(truth) * len(there)))
    table = pd.DataFrame(rows, columns=["scope", "metric", *BOUNDS, "n"]).astype({"n": int})
    return table[table["n"] > 0].reset_index(drop=True)


def by_frequency(truth: pd.DataFrame, template: Template) -> dict[str, list[str]]:
    """Fields by how often reports mention them, as `scopes` of `measure`: thirds of the fields.

    Count on training reports, so that a test set does not decide what is rare.
    """
    often = mentioned(truth, template).mean().sort_values(kind="stable")
    parts = np.array_split(np.asarray(often.index), 3)
    names = [
        f"mentioned {how} ({often[part].min():.0%} to {often[part].max():.0%})"
        for how, part in zip(("least", "in between", "most"), parts, strict=True)
        if len(part)
    ]
    return dict(zip(names, map(list, parts), strict=False))


def _scopes(template: Template) -> dict[str, list[str]]:
    """The whole report, and its choices and numbers where it has both."""
    kinds = {
        name: [f.key for f in template.fields if f.kind == kind]
        for name, kind in ((CHOICES, "choice"), (NUMBERS, "number"))
    }
    return {REPORT: list(template.by_key), **(kinds if all(kinds.values()) else {})}


def _counts(
    answers: Answers,
    truth: pd.DataFrame,
    template: Template,
    supported: pd.DataFrame | None,
    tolerance: float,
) -> dict[str, NDArray[np.bool_]]:
    """Which reports, by fields, are of each kind."""
    good = right(answers, truth, template, tolerance=tolerance).to_numpy()
    there = mentioned(truth, template).to_numpy()
    stated = mentioned(answers.values, template).to_numpy() & ~unread(answers, template)
    number = np.array([field.kind == "number" for field in template.fields])
    held = there & (good | ~number) if supported is None else supported.to_numpy()
    return {
        "all": np.ones_like(good), "right": good, "mentioned": there, "silent": ~there,
        "right_mentioned": good & there, "right_silent": good & ~there, "stated": stated,
        "omitted": there & ~stated, "wrong": there & stated & ~good,
        "unsupported": stated & ~held, "overstated": stated & ~there,
        "wrong_unit": stated & _wrong_units(answers, truth, template, tolerance),
    }  # fmt: skip


def _wrong_units(
    answers: Answers, truth: pd.DataFrame, template: Template, tolerance: float
) -> NDArray[np.bool_]:
    found = np.zeros((len(truth), len(template.fields)), bool)
    for k, field in enumerate(template.fields):
        if field.kind == "number":
            given, true = (v[field.key].to_numpy(float) for v in (answers.values, truth))
            off = np.abs(given[:, None] * _FACTORS - true[:, None])
            found[:, k] = (off <= margin(field, tolerance)).any(axis=1) & (given != true)
    return found


def _shares(
    counts: Mapping[str, NDArray], scopes: Mapping[str, Sequence[str]], template: Template
) -> dict[tuple[str, str], tuple[NDArray, NDArray]]:
    """Numerator and denominator of each share, by report."""
    found, keys = {}, list(template.by_key)
    for scope, fields in scopes.items():
        at = [keys.index(key) for key in fields]
        for metric, (part, whole) in _SHARES.items():
            if metric != "wrong_unit" or all(template.fields[k].kind == "number" for k in at):
                found[scope, metric] = counts[part][:, at].sum(1), counts[whole][:, at].sum(1)
        if scope not in template.by_key:
            found[scope, "exact_match"] = counts["right"][:, at].all(1), np.ones(len(counts["all"]))
    return found


def _classes(
    answers: Answers, truth: pd.DataFrame, template: Template, good: NDArray
) -> dict[str, tuple[list[str], NDArray[np.bool_]]]:
    """Values of a field, and where each is true, given, and rightly given, shape (n, 3 k)."""
    found = {}
    for k, field in enumerate(template.fields):
        one, two = (words(field, v[field.key])[:, None] for v in (truth, answers.values))
        names = sorted({*one[:, 0]})
        found[field.key] = names, np.hstack([one == names, two == names,
                                             (one == names) & good[:, [k]]])  # fmt: skip
    return found


def _averages(
    drawn: NDArray, classes: Mapping[str, tuple[list[str], NDArray]]
) -> dict[str, dict[str, NDArray]]:
    """Balanced accuracy and F1 of each field, by resample."""
    found: dict[str, dict[str, NDArray]] = {"balanced_accuracy": {}, "f1": {}, "f1_present": {}}
    ends = np.cumsum([columns.shape[1] for _, columns in classes.values()])
    parts = np.split(drawn, ends[:-1], axis=1)
    for (key, (names, _)), part in zip(classes.items(), parts, strict=True):
        true, given, hits = np.split(part, 3, axis=1)
        f1 = np.where(true > 0, _over(2 * hits, true + given), np.nan)
        found["balanced_accuracy"][key] = _mean(_over(hits, true).T)
        found["f1"][key] = _mean(f1.T)
        if "present" in names:
            found["f1_present"][key] = f1[:, names.index("present")]
    return found


def _mean(values: NDArray) -> NDArray:
    """Mean of the rows, of what there is of each column."""
    known = ~np.isnan(values)
    return _over(np.where(known, values, 0).sum(axis=0), known.sum(axis=0).astype(float))


def _over(part: NDArray, whole: NDArray) -> NDArray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _interval(values: NDArray, who: NDArray) -> tuple[float, float, float]:
    found = with_interval(values)
    if found[0] in (0, 1) and found[1] == found[2]:
        units = len(set(who))
        return proportion_interval(found[0] * units, units)
    return found
