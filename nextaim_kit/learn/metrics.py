"""Discrimination, calibration and utility of a binary prediction, each with its interval.

Every measure is written for weighted patients (`learn.intervals`).
Where a prediction was repeated, a measure is taken of each repetition and averaged: an average of
predictions would be another, better model.

Resampled patients leave the models as they are: such an interval holds neither another training
nor other folds, and is too narrow for a cross-validated model. `predictions.auc_over_folds` has
them in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.delong import delong
from nextaim_kit.learn.intervals import (
    BOUNDS,
    Interval,
    Measure,
    Weights,
    interval,
    proportion_interval,
    resampled,
    with_interval,
)
from nextaim_kit.learn.outcomes import checked

_PROPORTIONS = ("accuracy", "precision", "recall", "specificity", "npv", "f1")
_COLUMNS = ["metric", *BOUNDS, "n", "interval", "note"]
_FAR_BELOW = 0.4
_CLIP = 1e-6
_CLOSE = 1e-10  # of a step of Newton's method: it doubles its digits
_FLAT = 1e-12  # curvature where a probability is 0 or 1


def evaluate(
    y: ArrayLike,
    p: ArrayLike,
    *,
    threshold: ArrayLike = 0.5,
    act_at: float | None = None,
    groups: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure predicted probabilities in every respect, each with its 95 % interval.

    Proportions (accuracy, precision, recall, specificity, npv, and f1, a function of one) have
    the exact interval of `proportion_interval`, all others that of the patient bootstrap. With
    several rows or repeats per patient proportions are bootstrapped too; one of 0 or 1 is exact
    all the same, on the number of patients, since no resample of patients without an error has
    one. So is an auc or balanced accuracy of 0 or 1, on disjoint pairs of patients.

    Parameters
    ----------
    y : array-like of shape (n,)
        Outcomes 0/1.
    p : array-like of shape (n,) or (n, repeats)
        Predicted probabilities.
    threshold : float or array-like of the shape of p
        Who is at or above it is called positive; it may differ by patient (by fold).
    act_at : float, optional
        Probability from which one would act: adds ``net_benefit``, the right actions per patient
        less the wrong ones at their odds.
    groups : array-like of shape (n,), optional
        Patient of each row, where a patient has several: they are drawn together.
    n_boot : int
        Resamples of the patients.
    seed : int

    Returns
    -------
    DataFrame
        ``metric``, ``value``, ``low``, ``high`` (95 %), ``n`` (rows that the metric is of: for
        recall those with the outcome, for precision those called positive, over repeats their
        mean), ``interval`` (exact, bootstrap or none) and ``note`` (of the auc: DeLong's interval,
        `delong`, and what `below_chance` says), for discrimination (auc, average_precision),
        classification at the threshold (accuracy, balanced_accuracy, precision, recall,
        specificity, npv, f1), and calibration (brier, ece with 15 bins, calibration_intercept,
        calibration_slope). The ece has no interval: it is above 0 for a calibrated model too, more
        so in every resample.

    Warns
    -----
    UserWarning
        If the auc lies far below 0.5: `below_chance`.

    Raises
    ------
    DataError
        If outcomes are of one class only, lengths differ, or a prediction is missing.

    References
    ----------
    TRIPOD+AI, doi:10.1136/bmj-2023-078378; ECE, Guo et al. 2017, arXiv:1706.04599; net benefit,
    Vickers and Elkin 2006, doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> found = evaluate([0, 0, 1, 1, 1], [0.1, 0.6, 0.4, 0.8, 0.9], n_boot=50).set_index("metric")
    >>> found.loc["recall", ["value", "low", "high", "n"]].astype(float).round(2).tolist()
    [0.67, 0.09, 0.99, 3.0]
    """
    y, p = checked(y, p)
    if p.min() < 0 or p.max() > 1:
        raise DataError(
            "predictions are no probabilities",
            expected="values from 0 to 1",
            found=f"{p.min():.3g} to {p.max():.3g}",
            mend="for a score that is no probability use auc_interval",
        )
    called = (p.T >= np.asarray(threshold, float).T).T
    who = np.arange(len(y)) if groups is None else np.asarray(groups)
    once = p.shape[1] == 1 and len(np.unique(who)) == len(y)
    repeats = [measures(y, *pc, act_at) for pc in zip(p.T, called.T, strict=True)]
    how: dict[str, Any] = {"groups": groups, "classes": y, "n_boot": n_boot, "seed": seed}
    drawn = resampled(_columns(repeats), len(y), **how)
    rows = []
    for name, column in zip(repeats[0], drawn.T, strict=True):
        found = with_interval(column)
        n, units = _counts(name, y, called, who)
        kind = "bootstrap"
        if name == "ece" or not n_boot:
            found, kind = (found[0], np.nan, np.nan), "none"
        elif units and (found[0] in (0, 1) or (once and name in _PROPORTIONS)):
            found, kind = _exact(name, found[0], units), "exact"
        elif found[1] == found[2]:  # every resample is alike: nothing is known
            found, kind = (found[0], np.nan, np.nan), "none"
        rows.append((name, *found, n, kind, ""))
    by_formula = delong(y, p, groups=groups).words
    rows[0] = (*rows[0][:-1], "; ".join(filter(None, [below_chance(rows[0][1:4]), by_formula])))
    _flag(rows[0][1:4])
    return pd.DataFrame(rows, columns=_COLUMNS)


def evaluate_by(
    group: ArrayLike, y: ArrayLike, p: ArrayLike, *, threshold: ArrayLike = 0.5, **options: Any
) -> pd.DataFrame:
    """`evaluate` in each group of patients, such as a site; groups of one outcome are left out.

    Parameters
    ----------
    group : array-like of shape (n,)
    y, p, threshold
        As for `evaluate`.
    **options
        Its other options.

    Returns
    -------
    DataFrame
        ``group``, then the columns of `evaluate`.

    Examples
    --------
    >>> found = evaluate_by(["A", "A", "B", "B"], [0, 1, 0, 1], [0.2, 0.7, 0.6, 0.4], n_boot=50)
    >>> found[found["metric"] == "auc"][["group", "value"]].to_numpy().tolist()
    [['A', 1.0], ['B', 0.0]]
    """
    group, y, p = np.asarray(group), np.asarray(y), np.asarray(p, float)
    cut = np.broadcast_to(np.asarray(threshold, float).T, p.T.shape).T
    tables = []
    for name in sorted(set(group)):
        rows = group == name
        if len(np.unique(y[rows])) == 2:
            found = evaluate(y[rows], p[rows], threshold=cut[rows], **options)
            found.insert(0, "group", name)
            tables.append(found)
    empty = pd.DataFrame(columns=["group", *_COLUMNS])
    return pd.concat(tables, ignore_index=True) if tables else empty


def measures(
    y: NDArray, p: NDArray, called: NDArray, act_at: float | None = None
) -> dict[str, Measure]:
    """What `evaluate` takes of one prediction, each as a function of weighted patients.

    Parameters
    ----------
    y, p : array of shape (n,)
    called : array of bool, shape (n,)
        Who is called positive.
    act_at : float, optional
    """
    found: dict[str, Measure] = {
        "auc": _auc_of(y, p),
        "average_precision": _average_precision_of(y, p),
        **_counted(y, called),
        "brier": lambda w: w @ (p - y) ** 2 / w.sum(1),
        "ece": lambda w: _ece(w, y, p),
        "calibration_intercept": _recalibration_of(y, p, slope=False),
        "calibration_slope": _recalibration_of(y, p, slope=True),
    }
    if act_at is not None:
        gain = (p >= act_at) * (y - (1 - y) * act_at / (1 - act_at))
        found["net_benefit"] = lambda w: w @ gain / w.sum(1)
    return found


def _columns(repeats: Sequence[Mapping[str, Measure]]) -> Measure:
    """All measures beside each other, each the mean over the repeats."""
    every = [_averaged([measures[name] for measures in repeats]) for name in repeats[0]]
    return lambda w: np.stack([measure(w) for measure in every], axis=1)


def _averaged(measures: Sequence[Measure]) -> Measure:
    return lambda w: np.sum([measure(w) for measure in measures], axis=0) / len(measures)


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve; tied scores count one half.

    Raises
    ------
    DataError
        If outcomes are of one class only, lengths differ, or a score is missing.
    """
    y, score = checked(y, score)
    return float(_mean_auc_of(y, score)(np.ones((1, len(y))))[0])


def auc_interval(
    y: ArrayLike,
    score: ArrayLike,
    *,
    other: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """AUC of any score with its 95 % patient-bootstrap interval: value, low, high.

    Parameters
    ----------
    y : array-like of shape (n,)
        Outcomes 0/1.
    score : array-like of shape (n,) or (n, repeats)
        The mean AUC of the repeats counts. An AUC of 0 or 1 has the exact interval of `evaluate`,
        and one far below 0.5 is warned about.
    other : array-like of shape (n,) or (n, repeats), optional
        Scores of another model for the same rows: what its AUC is less by is given, paired.
    groups, n_boot, seed
        As for `evaluate`.

    Examples
    --------
    >>> y, p = [0, 0, 0, 0, 1, 1, 1, 1], [0.1, 0.4, 0.6, 0.2, 0.5, 0.8, 0.9, 0.7]
    >>> [round(value, 2) for value in auc_interval(y, p)]
    [0.94, 0.67, 1.0]
    """
    y, score = checked(y, score)
    how: dict[str, Any] = {"groups": groups, "classes": y, "n_boot": n_boot, "seed": seed}
    if other is not None:
        paired = _mean_auc_of(*checked(y, other))
        return interval(_mean_auc_of(y, score), len(y), paired=paired, **how)
    found = _sure(interval(_mean_auc_of(y, score), len(y), **how), y, groups)
    _flag(found)
    return found


def below_chance(found: Interval) -> str:
    """What to doubt where an AUC's whole interval lies far below 0.5; empty where it does not.

    Examples
    --------
    >>> below_chance((0.30, 0.22, 0.38))[:35]
    'below 0.5: the order is reversed. A'
    >>> below_chance((0.45, 0.30, 0.60))
    ''
    """
    value, _, high = found
    if not (value < _FAR_BELOW and (high < 0.5 or np.isnan(high))):
        return ""
    return (
        "below 0.5: the order is reversed. Are the labels swapped, "
        "do lower scores mean the outcome, or do the folds differ in their share of it?"
    )


def _flag(found: Interval) -> None:
    said = below_chance(found)
    if said:
        warnings.warn(f"AUC {found[0]:.2f} lies {said}", stacklevel=3)


def macro_auc(y: ArrayLike, scores: ArrayLike, classes: ArrayLike) -> float:
    """Mean over classes of the AUC of telling one from the rest.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class names.
    scores : array-like of shape (n, k)
        A column of scores per class.
    classes : array-like of shape (k,)
    """
    y, scores = np.asarray(y), np.asarray(scores, float)
    return float(np.mean([auc(y == c, scores[:, k]) for k, c in enumerate(np.asarray(classes))]))


def macro_auc_interval(
    y: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    *,
    other: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """`macro_auc` with its 95 % patient-bootstrap interval: value, low, high.

    Parameters
    ----------
    y, classes
        As for `macro_auc`.
    scores : array-like of shape (repeats, n, k)
        The mean over repeats counts.
    other : array-like of shape (repeats, n, k), optional
        Scores of another model for the same rows: the paired difference is given.
    groups, n_boot, seed
        As for `evaluate`.
    """
    y, classes = np.asarray(y), np.asarray(classes)

    def macro(scores: ArrayLike) -> Measure:
        return _averaged([
            _auc_of((y == c).astype(float), score[:, k])
            for score in np.asarray(scores, float)
            for k, c in enumerate(classes)
        ])  # fmt: skip

    how: dict[str, Any] = {"groups": groups, "classes": y, "n_boot": n_boot, "seed": seed}
    if other is not None:
        return interval(macro(scores), len(y), paired=macro(other), **how)
    return _sure(interval(macro(scores), len(y), **how), y, groups)


def mean_auc_interval(
    outcomes: ArrayLike,
    scores: ArrayLike,
    *,
    other: ArrayLike | None = None,
    by_size: bool = False,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """Mean AUC over several versions of the outcome, such as several readers', with its interval.

    Parameters
    ----------
    outcomes : array-like of shape (k, n)
        0/1 of the same n patients by k readers; NaN where one has none, or a score is missing.
    scores : array-like of shape (k, n)
    other : array-like of shape (k, n), optional
        Other scores for the same outcomes: the paired difference is given.
    by_size : bool
        Weigh each version by its patients, instead of all alike.
    n_boot, seed
        As for `evaluate`; the patients are resampled, the readers are not.

    Raises
    ------
    DataError
        If no version has both outcomes.
    """
    versions, one = np.asarray(outcomes, float), np.asarray(scores, float)
    both = [{0.0, 1.0} <= set(y[~np.isnan(y)]) for y in versions]
    if not any(both):
        raise DataError("a mean AUC needs a version with both outcomes", found=f"{len(both)} none")
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    n, measure = versions.shape[1], _auc_of_versions(versions[both], one[both], by_size)
    if other is not None:
        paired = _auc_of_versions(versions[both], np.asarray(other, float)[both], by_size)
        return interval(measure, n, paired=paired, **how)
    rarest = min((y[~np.isnan(y)] for y in versions[both]), key=_pairs)
    return _sure(interval(measure, n, **how), rarest)


def _auc_of_versions(outcomes: NDArray, scores: NDArray, by_size: bool = False) -> Measure:
    """Mean over the versions that have an AUC in a resample; NaN where none has."""
    known = [~np.isnan(y) for y in outcomes]
    each = [_auc_of(y[k], s[k]) for y, s, k in zip(outcomes, scores, known, strict=True)]

    def measure(w: Weights) -> NDArray:
        with np.errstate(invalid="ignore"):
            aucs = np.array([auc(w[:, k]) for auc, k in zip(each, known, strict=True)])
            size = np.array([w[:, k].sum(axis=1) if by_size else np.ones(len(w)) for k in known])
            size[np.isnan(aucs)] = 0
            return np.nansum(aucs * size, axis=0) / size.sum(axis=0)

    return measure


def within_auc_interval(
    group: ArrayLike,
    y: ArrayLike,
    score: ArrayLike,
    *,
    other: ArrayLike | None = None,
    by_size: bool = False,
    n_boot: int = 1000,
    seed: int = 0,
) -> Interval:
    """Mean of the AUCs within groups, such as sites, with its interval over patients.

    The AUC of all patients also counts pairs from two sites, which a model orders by the site
    where the outcome's share differs between sites; this one does not.

    Parameters
    ----------
    group, y, score : array-like of shape (n,)
        Groups of one outcome are left out.
    other : array-like of shape (n,), optional
        Scores of another model for the same rows: the paired difference is given.
    by_size : bool
        Weigh each group by its patients, instead of all alike.
    n_boot, seed
        As for `evaluate`.

    Raises
    ------
    DataError
        If no group has both outcomes.

    Examples
    --------
    >>> site, y = ["A"] * 4 + ["B"] * 4, [0, 0, 1, 1] * 2
    >>> p = [0.1, 0.3, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9]
    >>> [round(value, 2) for value in within_auc_interval(site, y, p)]
    [0.88, 0.5, 1.0]
    """
    names = np.unique(np.asarray(group))
    inside = np.where(np.asarray(group) == names[:, None], np.asarray(y, float), np.nan)
    one = np.tile(np.asarray(score, float), (len(names), 1))
    two = None if other is None else np.tile(np.asarray(other, float), (len(names), 1))
    return mean_auc_interval(inside, one, other=two, by_size=by_size, n_boot=n_boot, seed=seed)


def operating_point(y: ArrayLike, p: ArrayLike, rule: str = "youden") -> float:
    """Threshold that a rule chooses, midway between neighboring scores.

    Choose it on validation data, never on those that are reported.

    Parameters
    ----------
    y, p : array-like of shape (n,)
    rule : {"youden", "accuracy"}
        Largest sensitivity + specificity (Youden 1950,
        doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3), or most right calls.
    """
    y, p = checked(y, p)
    p = p[:, 0]
    if rule not in ("youden", "accuracy"):
        raise DataError(f"no rule {rule!r} for an operating point", expected="youden or accuracy")
    scores = np.unique(p)
    if len(scores) == 1:
        return float(scores[0])
    between = (scores[:-1] + scores[1:]) / 2
    at = np.searchsorted(scores, p)
    below = np.cumsum([np.bincount(at, weights=w) for w in (y, 1 - y)], axis=1)[:, :-1]
    hits, passes = y.sum() - below[0], below[1]
    gain = hits / y.sum() + passes / (1 - y).sum() if rule == "youden" else hits + passes
    return float(between[np.argmax(gain)])


def decision_curve(
    y: ArrayLike, models: Mapping[str, ArrayLike], thresholds: ArrayLike | None = None
) -> pd.DataFrame:
    """Net benefit of acting on each model's prediction, by the threshold probability.

    Parameters
    ----------
    y : array-like of shape (n,)
    models : mapping of str to array-like of shape (n,)
        Predicted probabilities.
    thresholds : array-like, optional
        By default 0.01 to 0.99.

    Returns
    -------
    DataFrame
        ``threshold``, a column per model, ``treat all`` and ``treat none``.

    References
    ----------
    Vickers and Elkin 2006, doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> found = decision_curve([0, 0, 0, 1], {"model": [0.1, 0.3, 0.6, 0.8]}, thresholds=[0.5])
    >>> found.round(2).to_dict("records")
    [{'threshold': 0.5, 'model': 0.0, 'treat all': -0.5, 'treat none': 0.0}]
    """
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, float)
    curves = {"threshold": at}
    for name, p in models.items():
        y_, p_ = checked(y, p)
        curves[name] = np.mean([_net_benefit(y_, q >= at[:, None], at) for q in p_.T], axis=0)
    everyone = np.ones((len(at), len(y_)), bool)
    return pd.DataFrame(
        {**curves, "treat all": _net_benefit(y_, everyone, at), "treat none": 0.0 * at}
    )


def _net_benefit(y: NDArray, called: NDArray, at: NDArray) -> NDArray:
    return (called @ y - called @ (1 - y) * at / (1 - at)) / len(y)


def _pairs(y: NDArray, groups: ArrayLike | None = None) -> int:
    """Patients of the rarest outcome: as many pairs of patients share no patient."""
    who = np.arange(len(y)) if groups is None else np.asarray(groups)
    return min(len(np.unique(who[y == one])) for one in np.unique(y))


def _sure(found: Interval, y: NDArray, groups: ArrayLike | None = None) -> Interval:
    """Exact interval in place of one without width, for a mean AUC of 0 or 1.

    The AUC is the share of pairs that are in order, and pairs without a common patient are
    independent.
    """
    value, low, high = found
    if value in (0, 1) and low == high:
        return _exact("auc", value, _pairs(y, groups))
    return found


def _exact(name: str, value: float, units: int) -> Interval:
    # f1 is 2 s / (1 + s) of s, the share of true positives among the called and the missed.
    share = value / (2 - value) if name == "f1" else value
    _, *interval = proportion_interval(share * units, units)
    low, high = (2 * s / (1 + s) if name == "f1" else s for s in interval)
    return value, low, high


def _counts(name: str, y: NDArray, called: NDArray, who: NDArray) -> tuple[int, int]:
    """Rows that a metric is of, and patients that its exact interval rests on (0: it has none)."""
    if name in _PROPORTIONS:
        among = [_among(y, one)[name] for one in called.T]
        patients = min(len(np.unique(who[rows])) for rows in among)
        return round(np.mean([rows.sum() for rows in among])), patients
    return len(y), _pairs(y, who) if name in ("auc", "balanced_accuracy") else 0


def _by_score(y: NDArray, score: NDArray) -> Callable[[Weights], tuple[NDArray, NDArray]]:
    """Weights of positives and negatives at each distinct score, ascending; sorted only once."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    y = y[order]

    def split(w: Weights) -> tuple[NDArray, NDArray]:
        positive = w[:, order]
        negative = positive * (1 - y)
        positive *= y
        if len(starts) < len(y):
            positive, negative = (np.add.reduceat(a, starts, axis=1) for a in (positive, negative))
        return positive, negative

    return split


def _auc_of(y: NDArray, score: NDArray) -> Measure:
    split = _by_score(y, score)

    def measure(w: Weights) -> NDArray:
        positive, negative = split(w)
        below = np.cumsum(negative, axis=1) - negative / 2
        return (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))

    return measure


def _mean_auc_of(y: NDArray, scores: NDArray) -> Measure:
    return _averaged([_auc_of(y, score) for score in scores.T])


def _average_precision_of(y: NDArray, score: NDArray) -> Measure:
    split = _by_score(y, -score)

    def measure(w: Weights) -> NDArray:
        positive, negative = split(w)
        hits = np.cumsum(positive, axis=1)
        called = hits + np.cumsum(negative, axis=1)
        precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
        return (precision * positive).sum(1) / positive.sum(1)

    return measure


def _among(y: NDArray, called: NDArray) -> dict[str, NDArray]:
    """Rows that each proportion is of."""
    yes, called = y == 1, called.astype(bool)
    return {
        "accuracy": np.ones_like(yes),
        "precision": called,
        "recall": yes,
        "specificity": ~yes,
        "npv": ~called,
        "f1": called | yes,
    }


def _counted(y: NDArray, called: NDArray) -> dict[str, Measure]:
    """Shares of right calls, and what is computed from them."""
    right = called == (y == 1)

    def share(among: NDArray) -> Measure:
        counted = np.stack([among & right, among], axis=1).astype(float)

        def measure(w: Weights) -> NDArray:
            hits, whole = (w @ counted).T
            return np.divide(hits, whole, out=np.full_like(hits, np.nan), where=whole > 0)

        return measure

    shares = {name: share(among) for name, among in _among(y, called).items()}
    jaccard = shares["f1"]
    balanced = _averaged([shares["recall"], shares["specificity"]])
    return {
        "accuracy": shares.pop("accuracy"),
        "balanced_accuracy": balanced,
        **shares,
        "f1": lambda w: 2 * jaccard(w) / (1 + jaccard(w)),
    }


def _ece(w: Weights, y: NDArray, p: NDArray, bins: int = 15) -> NDArray:
    member = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.zeros((len(p), bins))
    gaps[np.arange(len(p)), member] = p - y
    return np.abs(w @ gaps).sum(1) / w.sum(1)


def _recalibration_of(y: NDArray, p: NDArray, *, slope: bool) -> Measure:
    """Slope of the outcome's logistic regression on the prediction's logit, or its intercept.

    The intercept is that with the slope held at one: calibration in the large. Newton's method on
    all resamples at once, each until it stands still.
    """
    p = np.clip(p, _CLIP, 1 - _CLIP)
    logit = np.log(p / (1 - p))
    powers = np.stack([np.ones_like(logit), logit, logit**2], axis=1)

    def measure(w: Weights) -> NDArray:
        beta = np.tile([0.0, 0.0 if slope else 1.0], (len(w), 1))  # from 1 it can overshoot
        moving = np.arange(len(w))
        for _ in range(25):
            still = w if len(moving) == len(w) else w[moving]
            step = _newton(still, y, beta[moving], powers, slope=slope)
            beta[moving] += np.clip(step, -5, 5)
            moving = moving[np.abs(step).max(axis=1) >= _CLOSE]
            if not len(moving):
                break
        return beta[:, int(slope)]

    return measure


def _newton(w: Weights, y: NDArray, beta: NDArray, powers: NDArray, *, slope: bool) -> NDArray:
    """One step of intercept and slope, shape (resamples, 2); `powers` are the logit's 0 to 2."""
    now = beta @ powers[:, :2].T
    np.exp(np.clip(-now, -30, 30, out=now), out=now)
    np.reciprocal(np.add(now, 1, out=now), out=now)
    gradient = (w * (y - now)) @ powers[:, :2]
    curvature = w * now
    curvature *= np.subtract(1, now, out=now)
    even, off, square = ((curvature + _FLAT) @ powers).T
    if not slope:
        return np.stack([gradient[:, 0] / even, np.zeros(len(w))], axis=1)
    hessian = np.stack([even, off, off, square], axis=1).reshape(-1, 2, 2)
    return np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient[..., None])[..., 0]
