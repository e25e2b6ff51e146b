"""What a model says of those tested, beside what was fitted on those held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.calibration import temperature
from nextaim_kit.learn.intervals import (
    Interval,
    Measure,
    Weights,
    interval,
    mean_interval,
    resampled,
)
from nextaim_kit.learn.metrics import evaluate, measures
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.reliability.models import Model, Rows

_BINS = 15
Array = NDArray[Any]


@dataclass(frozen=True)
class Fitted:
    """What is fitted on patients who were held back from learning.

    Attributes
    ----------
    temperature : float
    bound : float
        An outcome is in a patient's set where its strangeness is no larger (`bound_of`).
    sure : float
        Smallest distance of a logit from 0 at which the model is made to answer.
    """

    temperature: float
    bound: float
    sure: float

    @classmethod
    def on(cls, y: Array, logit: Array, *, alpha: float = 0.1, keep: float = 0.8) -> Fitted:
        """Fit sets that miss a share `alpha`, and answers for a share `keep`."""
        bound = bound_of(strangeness(logit, y), alpha)
        return cls(temperature(y, logit), bound, float(np.quantile(np.abs(logit), 1 - keep)))


@dataclass(frozen=True)
class Told:
    """What was said of some items, and by which temperature, bound and threshold it is judged.

    Attributes
    ----------
    y, logit, groups, sites : arrays of shape (n,)
    temperature, bound, sure : arrays of shape (n,)
        Of `Fitted`: of each item, since several models may have spoken.
    """

    y: Array
    logit: Array
    groups: Array
    sites: Array
    temperature: Array
    bound: Array
    sure: Array

    @classmethod
    def by(cls, model: Model, task: StudyTask, rows: Rows, fitted: Fitted, x: Any = None) -> Told:
        """Ask a model about rows of a task, or about other inputs `x` of the same patients."""
        logit = model.logits(task.x[rows] if x is None else x)
        parts = (fitted.temperature, fitted.bound, fitted.sure)
        each = (np.full(len(rows), part) for part in parts)
        return cls(task.y[rows].astype(int), logit, task.groups[rows], task.sites[rows], *each)

    @classmethod
    def joined(cls, told: Sequence[Told]) -> Told:
        """What several models said of different items."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(one, name) for one in told]) for name in names))

    def at(self, rows: Array) -> Told:
        """Of some of the items."""
        return Told(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def raw(self) -> Array:
        """Probabilities as the model gave them."""
        return expit(self.logit)

    @property
    def p(self) -> Array:
        """Probabilities at the temperature."""
        return expit(self.logit / self.temperature)

    @property
    def sets(self) -> Array:
        """Which of the outcomes 0 and 1 are in each patient's set, bool, shape (n, 2)."""
        return np.stack([strangeness(self.logit, k) <= self.bound for k in (0, 1)], axis=1)

    @property
    def covered(self) -> Array:
        """Whose outcome is in the set."""
        return self.sets[np.arange(len(self.y)), self.y]

    @property
    def kept(self) -> Array:
        """Whom the model answers for."""
        return np.abs(self.logit) >= self.sure

    @property
    def wrong(self) -> Array:
        """Where the likelier outcome is not the true one."""
        return (self.logit > 0) != (self.y == 1)


def strangeness(logit: ArrayLike, y: ArrayLike) -> Array:
    """How strange an outcome is to a model, rising with 1 less its probability: the signed logit.

    No temperature changes the order, so that none changes a set.
    """
    return (1 - 2 * np.asarray(y)) * np.asarray(logit, float)


def bound_of(score: ArrayLike, alpha: float) -> float:
    """The conformal bound: of n scores the k-th smallest, k = ceil((n + 1)(1 - alpha)).

    Infinite, so that both outcomes are in each set, where n is too small for k.

    References
    ----------
    Split conformal prediction: Vovk, Gammerman and Shafer 2005, doi:10.1007/b106715; an
    introduction: Angelopoulos and Bates 2021, arXiv:2107.07511.

    Examples
    --------
    >>> bound_of([3.0, 1.0, 2.0, 4.0], 0.4), bound_of([3.0, 1.0], 0.1)
    (3.0, inf)
    """
    if not 0 < alpha < 1:
        raise RequestError("no share can be missed", expected="alpha above 0, below 1",
                           found=f"{alpha:g}")  # fmt: skip
    ordered = np.sort(np.asarray(score, float))
    k = int(np.ceil((len(ordered) + 1) * (1 - alpha) - 1e-9))
    return float(ordered[k - 1]) if k <= len(ordered) else float("inf")


def coverage_law(held: int, tested: int, alpha: float) -> tuple[float, float]:
    """Where the coverage of `tested` patients lies 95 times in 100 if they are like those held.

    The number covered is beta-binomial, with k and n + 1 - k of `bound_of` (Angelopoulos and
    Bates 2021, arXiv:2107.07511).
    """
    from scipy.stats import betabinom

    k = int(np.ceil((held + 1) * (1 - alpha) - 1e-9))
    if k > held:
        return 1.0, 1.0
    low, high = betabinom.ppf([0.025, 0.975], tested, k, held + 1 - k)
    return float(low) / tested, float(high) / tested


def coverage_by(told: Told, groups: dict[str, Array], *, seed: int = 0) -> pd.DataFrame:
    """Coverage of the sets in groups of patients.

    Parameters
    ----------
    told : Told
    groups : mapping of str to array of str
        What tells them apart, such as their sites.
    seed : int

    Returns
    -------
    DataFrame
        ``by``, ``group``, ``n``, ``value``, ``low``, ``high`` (the coverage), ``both``, ``none``
        (shares of sets with both outcomes and without any).
    """
    rows = []
    for by, names in {"all": np.full(len(told.y), "all"), **groups}.items():
        for name in np.unique(names):
            one = told.at(names == name)
            found = mean_interval(one.covered, groups=one.groups, seed=seed)
            size = one.sets.sum(axis=1)
            rows.append((by, name, len(size), *found, (size == 2).mean(), (size == 0).mean()))
    columns = ["by", "group", "n", "value", "low", "high", "both", "none"]
    return pd.DataFrame(rows, columns=columns)


def ece(y: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """Expected calibration error in 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599).

    Parameters
    ----------
    y : array-like of shape (..., n)
        Outcomes; several versions of them at once.
    p : array-like of shape (n,)
    """
    p = np.asarray(p, float)
    member = np.minimum((p * _BINS).astype(int), _BINS - 1)
    inside = np.eye(_BINS)[member]
    return np.abs((p - np.asarray(y, float)) @ inside).sum(axis=-1) / len(p)


def ece_interval(
    y: ArrayLike, p: ArrayLike, *, groups: ArrayLike | None = None, n_boot: int = 500, seed: int = 0
) -> Interval:
    """The calibration error with its 95 % interval, patients resampled: value, low, high.

    Its ends are those of `centered`, the lower one at least 0.
    """
    found = resampled(ece_of(y, p), len(np.asarray(p)), groups=groups, n_boot=n_boot, seed=seed)
    value, low, high = centered(found)
    return value, max(0.0, low), high


def ece_of(y: ArrayLike, p: ArrayLike) -> Measure:
    """`ece` of weighted patients."""
    p = np.asarray(p, float)
    inside = np.eye(_BINS)[np.minimum((p * _BINS).astype(int), _BINS - 1)]
    off = (p - np.asarray(y, float))[:, None] * inside

    def measure(weights: Weights) -> Array:
        return np.abs(weights @ off).sum(axis=1) / weights.sum(axis=1)

    return measure


def centered(values: ArrayLike) -> Interval:
    """First value, the spread of the others (its resamples) put around it.

    A resample has a calibration error of its own, since it has fewer different patients, and
    would lie above the value.
    """
    value, *others = np.asarray(values, float)
    low, high = np.percentile(np.array(others) - np.mean(others), [2.5, 97.5])
    return float(value), float(value + low), float(value + high)


def perfect_ece(
    p: ArrayLike, *, groups: ArrayLike | None = None, draws: int = 1000, seed: int = 0
) -> Interval:
    """The error that a model with these probabilities shows if each of them is true.

    It is not 0: few patients in a bin are never as many as they should be. Mean of `draws`
    simulated outcomes and where 95 in 100 lie. Rows of one patient (`groups`), of whom several
    models spoke, have one outcome.
    """
    p = np.asarray(p, float)
    names, of = np.unique(np.arange(len(p)) if groups is None else groups, return_inverse=True)
    luck = np.random.default_rng(seed).random((draws, len(names)))[:, of]
    found = ece(luck < p, p)
    low, high = np.percentile(found, [2.5, 97.5])
    return float(found.mean()), float(low), float(high)


def calibrated(told: Told, *, n_boot: int = 500, seed: int = 0) -> pd.DataFrame:
    """Calibration before and after the temperature.

    Returns
    -------
    DataFrame
        ``name`` (as given, at the temperature), ``metric`` (auc, brier, calibration_intercept,
        calibration_slope, ece, ece_of_a_perfect_model), ``value``, ``low``, ``high``; the perfect
        model's are where 95 in 100 of its errors lie.
    """
    wanted = ["auc", "brier", "calibration_intercept", "calibration_slope", "ece"]
    tables = []
    for name, p in {"as given": told.raw, "at the temperature": told.p}.items():
        found = evaluate(told.y, p, groups=told.groups, n_boot=n_boot, seed=seed)
        perfect = ("ece_of_a_perfect_model", *perfect_ece(p, groups=told.groups, seed=seed))
        last = pd.DataFrame([perfect], columns=["metric", "value", "low", "high"])
        kept = found[found["metric"].isin(wanted)][list(last.columns)].set_index("metric")
        kept.loc["ece"] = ece_interval(told.y, p, groups=told.groups, n_boot=n_boot, seed=seed)
        kept = kept.reset_index()
        tables.append(pd.concat([kept, last], ignore_index=True).assign(name=name))
    return pd.concat(tables, ignore_index=True)[["name", "metric", "value", "low", "high"]]


def beside(told: Told, other: Told, *, n_boot: int = 500, seed: int = 0) -> pd.DataFrame:
    """What another model of the same items is more by, patient by patient.

    Returns
    -------
    DataFrame
        ``metric`` (auc, brier, area: under risk over coverage), ``value``, ``low``, ``high``.
    """
    found = []
    for name in ("auc", "brier", "area"):
        one, two = (_measure(name, model) for model in (told, other))
        how: dict[str, Any] = {"groups": told.groups, "classes": told.y, "n_boot": n_boot}
        found.append((name, *interval(two, len(told.y), paired=one, seed=seed, **how)))
    return pd.DataFrame(found, columns=["metric", "value", "low", "high"])


def _measure(name: str, told: Told) -> Measure:
    if name == "area":
        return area_of(told.wrong, np.abs(told.logit))
    return measures(told.y, told.p, told.p >= 0.5)[name]


def risk_coverage(wrong: ArrayLike, confidence: ArrayLike) -> tuple[Array, Array]:
    """Share of the patients answered for, the surest first, and the share of wrong answers.

    References
    ----------
    Geifman and El-Yaniv 2017, arXiv:1705.08500.
    """
    order = np.argsort(-np.asarray(confidence, float), kind="stable")
    count = np.arange(1, len(order) + 1)
    return count / len(order), np.cumsum(np.asarray(wrong, float)[order]) / count


def area_of(wrong: ArrayLike, confidence: ArrayLike) -> Measure:
    """Area under the curve of `risk_coverage`, of weighted patients."""
    order = np.argsort(-np.asarray(confidence, float), kind="stable")
    errors = np.asarray(wrong, float)[order]

    def measure(w: Weights) -> Array:
        w = w[:, order]
        so_far = np.maximum(np.cumsum(w, axis=1), 1e-12)
        return (w * np.cumsum(w * errors, axis=1) / so_far).sum(axis=1) / w.sum(axis=1)

    return measure


def selective(told: Told, *, n_boot: int = 500, seed: int = 0) -> pd.DataFrame:
    """Area under risk over coverage of a model, of an oracle that errs last, and of chance.

    Returns
    -------
    DataFrame
        ``name`` (model, oracle, chance), ``value``, ``low``, ``high``.
    """
    how: dict[str, Any] = {"groups": told.groups, "n_boot": n_boot, "seed": seed}
    wrong, n = told.wrong, len(told.y)
    found = {
        "model": interval(area_of(wrong, np.abs(told.logit)), n, **how),
        "oracle": interval(area_of(wrong, ~wrong), n, **how),
        "chance": mean_interval(wrong, groups=told.groups, seed=seed),
    }
    return pd.DataFrame(
        [(name, *values) for name, values in found.items()],
        columns=["name", "value", "low", "high"],
    )
