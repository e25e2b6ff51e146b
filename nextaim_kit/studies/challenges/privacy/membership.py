"""Was this patient in the training set? Attacks by what a model says, and how often they succeed.

All scores have a row for each model and a column for each row of the data; higher means member.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.intervals import Interval, Weights, interval
from nextaim_kit.learn.metrics import auc_interval

_SURE = 1e-9  # a probability is kept so far from 0 and 1
_FALSE_ONES = 10  # non-members above a threshold, below which their share is a guess


def draw_halves(
    groups: ArrayLike, sites: ArrayLike, *, models: int, seed: int = 0
) -> NDArray[np.bool_]:
    """Who trains which model: half of each site's patients, and for the next model the other half.

    Parameters
    ----------
    groups, sites : array-like of shape (n,)
        Patient and site of each row; a patient's rows go together.
    models : int
        An even number, 4 or more: `lira` needs two pairs.
    seed : int

    Returns
    -------
    array of bool, shape (models, n)
        Models 0 and 1 are complements, and so on; each patient trains half of all models.

    Raises
    ------
    RequestError
        If `models` is odd or below 4.
    DataError
        If there are fewer than four patients.
    """
    if models < 4 or models % 2:
        raise RequestError("pairs of models are needed", expected="4, 6, 8, ...", found=str(models))
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 4:
        raise DataError(
            "too few patients to be halved", expected="4 or more", found=str(len(names))
        )
    home = np.empty(len(names), dtype=object)
    home[member] = np.asarray(sites)
    rng, halves = np.random.default_rng(seed), []
    for turn in range(models // 2):
        order = np.lexsort((rng.random(len(names)), home.astype(str)))
        half = np.zeros(len(names), bool)
        half[order[turn % 2 :: 2]] = True
        halves += [half[member], ~half[member]]
    return np.array(halves)


def confidence(p: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Log-odds of the true outcome: what a loss says, on a scale on which it is nearly normal.

    Parameters
    ----------
    p : array-like of shape (..., n)
        Predicted probabilities of outcome 1.
    y : array-like of shape (n,)
        Outcomes 0 or 1.

    Returns
    -------
    array of shape (..., n)
        Carlini et al. 2022, arXiv:2112.03570.
    """
    true = np.where(np.asarray(y) == 1, p, 1 - np.asarray(p, float)).clip(_SURE, 1 - _SURE)
    return np.log(true / (1 - true))


def calibrated(scores: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A score less its mean over the other pairs of models: how much surer than is usual of a row.

    Half of those models know the row, whether the attacked one does or not.

    Parameters
    ----------
    scores, inside : arrays of shape (models, n)
        As for `lira`.

    Returns
    -------
    array of shape (models, n)
        Watson et al. 2022, arXiv:2111.08440, with models that know the row among the references.
    """
    _check_pairs(scores, inside)
    usual = [scores[_others(k, len(scores))].mean(axis=0) for k in range(len(scores))]
    return scores - np.array(usual)


def lira(scores: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Likelihood ratio of a score for members against non-members, by the other pairs of models.

    For each row the mean score with and without it is found from the models that are neither the
    attacked one nor its complement: as many with as without, so that a model that kept nothing
    gives even odds. With few models the spreads are those of all rows together.

    Parameters
    ----------
    scores : array of shape (models, n)
        As of `confidence`, or minus a loss.
    inside : array of bool, shape (models, n)
        As of `draw_halves`.

    Returns
    -------
    array of shape (models, n)
        Log-likelihood ratios, each model attacked in turn. Carlini et al. 2022, arXiv:2112.03570.

    Raises
    ------
    DataError
        If the shapes differ, or rows do not train half of each pair of models.
    """
    _check_pairs(scores, inside)
    ratios = np.empty(scores.shape)
    for k in range(len(scores)):
        others = _others(k, len(scores))
        with_it = _likelihood(scores[k], scores[others], inside[others])
        ratios[k] = with_it - _likelihood(scores[k], scores[others], ~inside[others])
    return ratios


def _others(model: int, models: int) -> NDArray[np.bool_]:
    """The models that are neither this one nor its complement."""
    return np.arange(models) // 2 != model // 2


def _check_pairs(scores: NDArray, inside: NDArray[np.bool_]) -> None:
    if scores.shape != inside.shape or len(inside) < 4 or (inside[::2] == inside[1::2]).any():
        raise DataError(
            "these are no pairs of models on complementary halves",
            expected="scores and members of one shape, from draw_halves",
            found=f"{scores.shape} and {inside.shape}",
        )


def _likelihood(score: NDArray, shadows: NDArray, which: NDArray) -> NDArray:
    """Log-density of `score` under a normal distribution of the shadow models' `which` scores."""
    count = which.sum(axis=0)
    mean = np.where(which, shadows, 0).sum(axis=0) / count
    free = max(1, (count - 1).sum())
    left = np.where(which, shadows - mean, 0)
    spread = np.sqrt((left**2).sum() / free) if (count > 1).any() else shadows.std()
    return norm.logpdf(score, mean, max(spread * np.sqrt(1 + 1 / count.mean()), 1e-9))


def by_patient(scores: NDArray, inside: NDArray[np.bool_], groups: ArrayLike) -> pd.DataFrame:
    """One line for each model and patient: whether the patient is inside, and the mean score.

    Scores are turned into their ranks among the model's patients, from 0 to 1, so that a model
    that is surer of everyone does not count more.

    Parameters
    ----------
    scores, inside : arrays of shape (models, n)
    groups : array-like of shape (n,)

    Returns
    -------
    DataFrame
        ``model``, ``patient``, ``inside`` (0 or 1; 1 if any row of the patient is) and ``score``.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    count, lines = np.bincount(member), []
    for k, (score, held) in enumerate(zip(scores, inside, strict=True)):
        mean = np.bincount(member, score) / count
        within = np.bincount(member, held) > 0
        ranks = (rankdata(mean) - 0.5) / len(mean)
        lines.append(
            pd.DataFrame(
                {"model": k, "patient": names, "inside": within.astype(int), "score": ranks}
            )
        )
    return pd.concat(lines, ignore_index=True)


def attacks(
    scores: NDArray, inside: NDArray[np.bool_], groups: ArrayLike
) -> dict[str, pd.DataFrame]:
    """Three attacks by what models say, as of `by_patient`: loss, calibrated, LiRA.

    The first takes the score as it is, as a threshold on the loss does (Yeom et al. 2018,
    arXiv:1709.01604); `calibrated` and `lira` know what other models say.
    """
    kinds = {"loss": scores, "calibrated": calibrated(scores, inside), "LiRA": lira(scores, inside)}
    return {name: by_patient(found, inside, groups) for name, found in kinds.items()}


def blind(
    features: pd.DataFrame | NDArray, inside: NDArray[np.bool_], groups: ArrayLike, *, seed: int = 0
) -> pd.DataFrame:
    """An attack without the model: a classifier that tells members by their features alone.

    Where it can, they are of another population than the others, and what an attack finds may be
    that.

    Parameters
    ----------
    features : shape (n, f)
        Missing values are given the median.
    inside : array of bool, shape (draws, n)
        Several draws of members, each attacked by itself.
    groups : array-like of shape (n,)
        Patients, who are not torn apart by the five folds.
    seed : int

    Returns
    -------
    DataFrame
        As of `by_patient`.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    model = make_pipeline(imputer, StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    values, who, found = np.asarray(features, float), np.asarray(groups), []
    for k, held in enumerate(inside):
        parts = StratifiedGroupKFold(5, shuffle=True, random_state=seed + k)
        p = cross_val_predict(model, values, held, groups=who, cv=parts, method="predict_proba")
        found.append(p[:, 1])
    return by_patient(np.array(found), inside, who)


def success(attacks: dict[str, pd.DataFrame], *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How often attacks succeed: AUC, and members found at 10 % and 1 % false alarms.

    Parameters
    ----------
    attacks : dict of str to DataFrame
        As of `by_patient`.
    n_boot, seed : int
        Patients are drawn again with all of their lines; the models stay.

    Returns
    -------
    DataFrame
        ``name``, ``metric`` (``auc``, ``tpr_at_10``, ``tpr_at_1``), ``value``, ``low``, ``high``,
        ``n``, the patients. A share is left out where fewer than ten non-members would stand
        above its threshold: 1 % needs 1000 of them.
    """
    rows = []
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    for name, lines in attacks.items():
        y, score, who = lines["inside"], lines["score"], lines["patient"]
        n = int(who.nunique())
        rows.append((name, "auc", *auc_interval(y, score, groups=who, **how), n))
        outside = int(who[y == 0].nunique())
        for percent in (10, 1):
            if outside * percent >= 100 * _FALSE_ONES:
                found = tpr_at(y, score, percent / 100, groups=who, **how)
                rows.append((name, f"tpr_at_{percent}", *found, n))
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high", "n"])


def tpr_at(
    inside: ArrayLike, score: ArrayLike, fpr: float, *, groups: ArrayLike | None = None, **how: Any
) -> Interval:
    """Share of members above the lowest threshold that at most `fpr` of non-members pass.

    Parameters
    ----------
    inside, score : array-like of shape (n,)
    fpr : float
        Share of false alarms, from 0 to 1.
    groups : array-like of shape (n,), optional
        Patients, who are drawn again as a whole.
    **how
        ``n_boot`` and ``seed`` of `learn.intervals.resamples`.

    Returns
    -------
    (value, low, high)
    """
    y, s = np.asarray(inside, int), np.asarray(score, float)
    order = np.argsort(-s, kind="stable")
    last = np.r_[np.diff(s[order]) != 0, True]  # ends of ties, where a threshold can lie

    def measure(weights: Weights) -> NDArray:
        hits = np.cumsum(weights[:, order] * y[order], axis=1)
        false = np.cumsum(weights[:, order] * (1 - y[order]), axis=1)
        allowed = (false <= fpr * false[:, -1:] + 1e-9) & last
        return np.where(allowed, hits, 0).max(axis=1) / hits[:, -1]

    return interval(measure, len(y), groups=groups, classes=y, **how)


def utility(
    p: NDArray, y: NDArray, inside: NDArray[np.bool_], groups: ArrayLike, **how: Any
) -> Interval:
    """AUC of the outcome among those who did not train a model, with its interval over patients.

    Parameters
    ----------
    p : array of shape (models, n)
        Predicted probabilities; ranks within each model count.
    y, groups : array-like of shape (n,)
    inside : array of bool, shape (models, n)
    **how
        ``n_boot`` and ``seed``.
    """
    ranks = np.concatenate(
        [rankdata(one[~held]) / (~held).sum() for one, held in zip(p, inside, strict=True)]
    )
    rows = np.concatenate([np.flatnonzero(~held) for held in inside])
    return auc_interval(np.asarray(y)[rows], ranks, groups=np.asarray(groups)[rows], **how)


def kept_of(scores: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How much surer models are of each row that know it than those that do not, shape (n,)."""
    known = np.where(inside, scores, np.nan)
    return np.nanmean(known, axis=0) - np.nanmean(np.where(inside, np.nan, scores), axis=0)


def unexpected(scores: NDArray, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How surprised models are by the outcome of each row that they do not know, shape (n,)."""
    return -np.nanmean(np.where(inside, np.nan, scores), axis=0)


def alone(features: pd.DataFrame | NDArray) -> NDArray[np.float64]:
    """Mean distance of each row to its five nearest, in spreads of the features, shape (n,)."""
    from sklearn.neighbors import NearestNeighbors

    values = np.asarray(features, float)
    values = np.where(np.isnan(values), np.nanmedian(values, axis=0), values)
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    near = NearestNeighbors(n_neighbors=min(5, len(values) - 1)).fit(scaled)
    return near.kneighbors()[0].mean(axis=1) / np.sqrt(values.shape[1])


def rank_correlation(a: NDArray, b: NDArray, **how: Any) -> Interval:
    """Spearman's correlation with its interval over rows; `how` as for `intervals.resamples`."""
    x, y = rankdata(a), rankdata(b)

    def measure(w: Weights) -> NDArray:
        total = w.sum(axis=1, keepdims=True)
        dx, dy = x - w @ x[:, None] / total, y - w @ y[:, None] / total
        both = (w * dx * dy).sum(axis=1)
        return both / np.sqrt((w * dx**2).sum(axis=1) * (w * dy**2).sum(axis=1))

    return interval(measure, len(x), **how)


def most_auc(epsilon: float) -> float:
    """The highest AUC that any attack on an epsilon-differentially private model can reach.

    Its curve is bounded by true <= e^epsilon false and the same of the complements (Kairouz et
    al. 2015, arXiv:1311.0776), whose area is e^epsilon / (1 + e^epsilon); delta is left out.

    Examples
    --------
    >>> most_auc(0.0)
    0.5
    """
    return float(1 / (1 + np.exp(-epsilon)))


def most_found(epsilon: float, delta: float, fpr: float) -> float:
    """The largest share of members that an attack can find at `fpr`, by (epsilon, delta)-privacy.

    Examples
    --------
    >>> round(most_found(1.0, 0.0, 0.1), 2)
    0.27
    """
    rising = np.exp(epsilon) * fpr + delta
    falling = 1 - np.exp(-epsilon) * (1 - delta - fpr)
    return float(min(rising, falling, 1.0))
