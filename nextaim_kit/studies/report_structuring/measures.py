"""How right structured reports are: field by field, as a whole, and where the text is silent.

Every measure is a share of counts, so that a thousand resamples of the reports are one product of
matrices (`learn.intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import BOUNDS, proportion_interval, resampled, with_interval
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, value_in
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

REPORT, CHOICES, NUMBERS = "whole report", "choices", "numbers"
Spans = Mapping[str, Sequence[tuple[int, int]]]
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


@dataclass(frozen=True)
class Answers:
    """What a method says of reports.

    Attributes
    ----------
    values : DataFrame
        A row for each report, in their order, and a column for each field: for a choice one of
        its words or `NOT_MENTIONED`, for a number a float, NaN where it is not mentioned.
    confidence : DataFrame
        Of the same shape, 0 to 1; NaN where the method has none.
    raw : tuple of str
        What a text model wrote, word for word.
    valid : array of bool, optional
        Whether that follows the template.
    unread : DataFrame of bool, optional
        Fields that could not be read in it: they count as wrong, whatever `values` says.
    """

    values: pd.DataFrame
    confidence: pd.DataFrame
    raw: tuple[str, ...] = ()
    valid: NDArray[np.bool_] | None = None
    unread: pd.DataFrame | None = None

    @classmethod
    def of(cls, columns: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Answers:
        """Answers from the values and the confidence of each field."""
        values = {key: np.asarray(found) for key, (found, _) in columns.items()}
        sure = {key: np.asarray(found, float) for key, (_, found) in columns.items()}
        return cls(pd.DataFrame(values), pd.DataFrame(sure))

    def __len__(self) -> int:
        return len(self.values)

    def only(self, rows: ArrayLike) -> Answers:
        """Those of some reports, by position or by a mask."""
        at = np.asarray(rows)
        at = np.flatnonzero(at) if at.dtype == bool else at
        return replace(
            self,
            values=self.values.iloc[at],
            confidence=self.confidence.iloc[at],
            raw=tuple(self.raw[k] for k in at) if self.raw else (),
            valid=None if self.valid is None else self.valid[at],
            unread=None if self.unread is None else self.unread.iloc[at],
        )


def mentioned(values: pd.DataFrame, template: Template) -> pd.DataFrame:
    """Where values state something: neither NaN nor `NOT_MENTIONED`."""
    known = values[[field.key for field in template.fields]]
    return known.notna() & (known != NOT_MENTIONED)


def right(
    answers: Answers, truth: pd.DataFrame, template: Template, *, tolerance: float = 0.5
) -> pd.DataFrame:
    """Where answers are right: the same choice, the number within its tolerance, or silence.

    Parameters
    ----------
    answers : Answers
    truth : DataFrame
        As `Answers.values`, in the same order.
    template : Template
    tolerance : float
        In units of the field's last decimal: 0.5 asks for the number as it is written.

    Raises
    ------
    DataError
        If there are not as many answers as reports.
    """
    if len(answers) != len(truth):
        raise DataError("answers and reports differ in number",
                        expected=f"{len(truth)} answers", found=str(len(answers)))  # fmt: skip
    unread = _unread(answers, template)
    found = {
        f.key: _same(f, answers.values[f.key], truth[f.key], tolerance) & ~unread[:, k]
        for k, f in enumerate(template.fields)
    }
    return pd.DataFrame(found, index=truth.index)


def supported(
    answers: Answers,
    texts: Sequence[str],
    template: Template,
    *,
    spans: Sequence[Spans] | None = None,
    languages: Sequence[str] | None = None,
    tolerance: float = 0.5,
) -> pd.DataFrame:
    """Where the text holds what an answer states.

    With the true `spans` of each field's evidence, a number must stand in one of its own field:
    that of an earlier examination is no support. Without them it must stand anywhere in the text.
    A choice is supported where its field has a span; without spans every choice is.

    Parameters
    ----------
    answers : Answers
    texts : sequence of str
    template : Template
    spans : sequence of mapping of str to sequence of (start, end), optional
        Of each text, by field.
    languages : sequence of str, optional
        Of each text; by default Italian.
    tolerance : float
        As in `right`.

    Returns
    -------
    DataFrame of bool
        Also True where nothing is stated.
    """
    stated = mentioned(answers.values, template)
    given = answers.values[list(template.by_key)].to_numpy(object)
    found = np.ones(stated.shape, bool)
    for row, text in enumerate(texts):
        numbers = find_numbers(text, languages[row] if languages is not None else "it")
        for k, field in enumerate(template.fields):
            own = None if spans is None else spans[row].get(field.key, ())
            if not stated.iat[row, k] or (own is None and field.kind == "choice"):
                continue
            if field.kind == "choice":
                found[row, k] = bool(own)
                continue
            at = [value_in(n, field.unit) for n in numbers if own is None or _inside(n, own)]
            known = np.array([value for value in at if value is not None], float)
            near = np.abs(known - given[row, k])
            found[row, k] = (near <= _margin(field, tolerance)).any()
    return pd.DataFrame(found, index=stated.index, columns=stated.columns)


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
    )
    drawn = resampled(lambda w: w @ flat.astype(float), len(flat), groups=groups, **how)
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


def cells(
    answers: Answers, truth: pd.DataFrame, template: Template, *, tolerance: float = 0.5
) -> pd.DataFrame:
    """Every field of every report: ``row``, ``field``, ``confidence``, ``right``, ``stated``.

    Fields without a confidence are left out.
    """
    good = right(answers, truth, template, tolerance=tolerance)
    stated = mentioned(answers.values, template)
    keys = list(template.by_key)
    table = pd.DataFrame({
        "row": np.repeat(np.arange(len(good)), len(keys)),
        "field": np.tile(keys, len(good)),
        "confidence": answers.confidence[keys].to_numpy(float).ravel(),
        "right": good.to_numpy().ravel(),
        "stated": stated.to_numpy().ravel(),
    })  # fmt: skip
    return table.dropna(subset=["confidence"], ignore_index=True)


def reliability(cells: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Mean confidence and share of right answers, in groups of equal size by confidence.

    Parameters
    ----------
    cells : DataFrame
        Of `cells`.
    bins : int
        Fewer where confidences are tied.

    Returns
    -------
    DataFrame
        ``confidence``, ``right``, ``n``.

    Examples
    --------
    >>> table = pd.DataFrame({"confidence": [0.5, 0.5, 0.9, 0.9], "right": [0, 1, 1, 1]})
    >>> reliability(table, bins=2)["right"].tolist()
    [0.5, 1.0]
    """
    group = pd.qcut(cells["confidence"], bins, labels=False, duplicates="drop")
    found = cells.groupby(group).agg(
        confidence=("confidence", "mean"), right=("right", "mean"), n=("right", "size")
    )
    return found.reset_index(drop=True)


def checked_first(cells: pd.DataFrame) -> pd.DataFrame:
    """What a reader finds who checks the least confident fields first.

    Parameters
    ----------
    cells : DataFrame
        Of `cells`.

    Returns
    -------
    DataFrame
        ``checked``, the share of fields looked at; ``found``, the share of the errors among them;
        ``left``, the share of errors in the rest (risk); by hundredths. Among fields of one
        confidence, errors are taken to lie evenly.

    References
    ----------
    Risk and coverage: El-Yaniv and Wiener 2010, JMLR 11:1605.

    Examples
    --------
    >>> table = pd.DataFrame({"confidence": [0.9, 0.5, 0.8, 0.6], "right": [1, 0, 1, 1]})
    >>> checked_first(table).set_index("checked").loc[0.25].tolist()
    [1.0, 0.0]
    """
    ties = (1 - cells["right"]).groupby(cells["confidence"]).agg(["size", "sum"])  # ascending
    looked = np.r_[0, ties["size"].cumsum()] / len(cells)
    errors = np.r_[0, ties["sum"].cumsum()]
    checked = np.arange(100) / 100
    found = np.interp(checked, looked, errors)
    left = (errors[-1] - found) / ((1 - checked) * len(cells))
    return pd.DataFrame({"checked": checked, "found": found / max(errors[-1], 1), "left": left})


def _unread(answers: Answers, template: Template) -> NDArray[np.bool_]:
    keys = list(template.by_key)
    if answers.unread is None:
        return np.zeros((len(answers), len(keys)), bool)
    return answers.unread[keys].to_numpy(bool)


def _margin(field: Field, tolerance: float) -> float:
    return tolerance * 10.0**-field.decimals + 1e-9


def _same(field: Field, given: pd.Series, true: pd.Series, tolerance: float) -> NDArray[np.bool_]:
    if field.kind == "choice":
        return _words(field, given) == _words(field, true)
    a, b = given.to_numpy(float), true.to_numpy(float)
    return (np.abs(a - b) <= _margin(field, tolerance)) | (np.isnan(a) & np.isnan(b))


def _inside(number: NumberSpan, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < number.end and number.start < end for start, end in spans)


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
    stated = mentioned(answers.values, template).to_numpy() & ~_unread(answers, template)
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
            found[:, k] = (off <= _margin(field, tolerance)).any(axis=1) & (given != true)
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
    for at, field in enumerate(template.fields):
        one, two = (_words(field, values[field.key]) for values in (truth, answers.values))
        names = sorted(set(one))
        each = [
            part
            for name in names
            for part in (one == name, two == name, (one == name) & good[:, at])
        ]
        found[field.key] = names, np.column_stack(each)
    return found


def _words(field: Field, values: pd.Series) -> NDArray:
    """Values as words; of numbers whether they are mentioned."""
    if field.kind == "number":
        return np.where(values.notna(), "mentioned", NOT_MENTIONED)
    return values.fillna(NOT_MENTIONED).to_numpy(str)


def _averages(
    drawn: NDArray, classes: Mapping[str, tuple[list[str], NDArray]]
) -> dict[str, dict[str, NDArray]]:
    """Balanced accuracy and F1 of each field, by resample."""
    found: dict[str, dict[str, NDArray]] = {"balanced_accuracy": {}, "f1": {}, "f1_present": {}}
    start = 0
    for key, (names, columns) in classes.items():
        stop = start + columns.shape[1]
        true, given, hits = (drawn[:, start + k : stop : 3] for k in range(3))
        f1 = np.where(true > 0, _over(2 * hits, true + given), np.nan)
        found["balanced_accuracy"][key] = _mean(_over(hits, true).T)
        found["f1"][key] = _mean(f1.T)
        if "present" in names:
            found["f1_present"][key] = f1[:, names.index("present")]
        start = stop
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
