"""How well a model tells the acquisition site from the features, harmonized or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.feature_checks import check_beside, check_features
from nextaim_kit.learn.metrics import Interval, auc, macro_auc, macro_auc_interval
from nextaim_kit.learn.models import Model, pipeline
from nextaim_kit.learn.splits import Split, patient_folds


@dataclass(frozen=True)
class SiteModel:
    """What tries to tell the site, and what is done to the features before.

    Attributes
    ----------
    model : {"logistic", "mlp", "xgboost"}
    combat : ComBat, optional
    rank_normal : bool
        Normal scores by rank before ComBat, fitted in the same place. Very skewed features need
        it: ComBat's means and variances, estimated on the training part, otherwise miss the
        left-out patients, whose site stays visible.
    epochs : int
        Passes of the network ("mlp") over the training part.
    leaky : bool
        For teaching, and wrong: fit ComBat and what precedes it on all patients before they are
        split, so that left-out patients shape the correction that hides their site.
    """

    model: Model = "logistic"
    combat: Any | None = None
    rank_normal: bool = False
    epochs: int = 300
    leaky: bool = False


@dataclass(frozen=True)
class SiteResult:
    """How well a model told the sites apart; about 0.5 is chance, see `chance`.

    Attributes
    ----------
    mean, sd : float
        Macro one-vs-rest AUC over folds and repeats.
    pooled, low, high : float
        The same of all left-out predictions together, the mean over repeats, with its 95 %
        bootstrap interval over patients.
    folds : DataFrame
        ``repeat, fold, auc``.
    per_site : DataFrame
        ``site, n, auc``: each against the rest, the mean over repeats.
    scores : array of shape (repeats, n, sites)
        Probability of each site for the left-out patients, in the order of `per_site`.
    site, subject : array of shape (n,)
    """

    mean: float
    sd: float
    pooled: float
    low: float
    high: float
    folds: pd.DataFrame
    per_site: pd.DataFrame
    scores: NDArray
    site: NDArray
    subject: NDArray

    def less(self, other: SiteResult, *, n_boot: int = 1000, seed: int = 0) -> Interval:
        """Pooled AUC less that of another result on the same patients, with its interval."""
        return macro_auc_interval(
            self.site, self.scores, self.per_site["site"], other=other.scores,
            groups=self.subject, n_boot=n_boot, seed=seed,
        )  # fmt: skip


def tell_site(
    table: pd.DataFrame,
    features: Sequence[str],
    asked: SiteModel,
    *,
    folds: int = 5,
    repeats: int = 1,
    n_boot: int = 1000,
    seed: int = 0,
) -> SiteResult:
    """Let a model tell the site of left-out patients from their features.

    ComBat is used as it is in practice: fitted on the training part of each fold, and applied
    to the left-out patients with *their site known to it* as batch. The model that then tells
    the site sees the harmonized features alone.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, the features and ComBat's covariates.
    features : sequence of str
    asked : SiteModel
    folds, repeats : int
        Stratified by site; repeats have other folds.
    n_boot : int
        Bootstrap resamples.
    seed : int

    Returns
    -------
    SiteResult

    Raises
    ------
    RequestError
        If a column or the model is not there.
    DataError
        If a site has fewer patients than folds (naming it), there is one site only, or
        features are not finite numbers.

    References
    ----------
    Johnson et al. 2007, doi:10.1093/biostatistics/kxj037 (ComBat).
    """
    check_features(table, features)
    combat = asked.combat
    if asked.leaky and combat is None:
        raise DataError("nothing can leak without ComBat", mend="give combat=ComBat()")
    if repeats < 1:
        raise RequestError("repeats is out of bounds", expected="1 or more", found=str(repeats))
    parts = [
        patient_folds(table, folds, seed=seed + 1000 * repeat, by=("site",))
        for repeat in range(repeats)
    ]
    names, y = np.unique(table["site"].astype(str).to_numpy(), return_inverse=True)
    beside = {"site"} if combat is None else {"site", combat.site, *combat.covariates}
    check_beside(table, sorted(beside))
    X = table[[*features, *sorted(beside - set(features))]]
    options: dict[str, Any] = {"combat": combat, "rank_normal": asked.rank_normal}
    if asked.leaky:
        ready = harmonized(table, features, combat, rank_normal=asked.rank_normal)
        X, options = ready[X.columns], {}
    options |= {"max_iter": asked.epochs} if asked.model == "mlp" else {}
    with threadpool_limits(1):
        make = partial(pipeline, asked.model, seed=seed, **options)
        scores, by_fold = left_out_scores(X, y, parts, make)
    return _result(table, names, scores, by_fold, n_boot, seed)


def left_out_scores(
    X: pd.DataFrame, y: NDArray, repeats: Sequence[Sequence[Split]], make: Callable[[], Any]
) -> tuple[NDArray, pd.DataFrame]:
    """What models say of the patients that each of them has not seen.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Features, and the site for ComBat.
    y : array of shape (n,)
        Site of each patient, counted from 0.
    repeats : sequence of sequences of (train, test)
    make : callable
        Gives a new pipeline: all its steps are fitted together.

    Returns
    -------
    scores : array of shape (repeats, n, sites)
    by_fold : DataFrame
        ``repeat, fold, auc``.
    """
    sites, rows = np.arange(y.max() + 1), []
    scores = np.zeros((len(repeats), len(X), len(sites)))
    for repeat, parts in enumerate(repeats):
        for fold, (train, test) in enumerate(parts):
            fitted = make().fit(X.iloc[train], y[train])
            scores[repeat, test] = p = fitted.predict_proba(X.iloc[test])
            rows.append((repeat, fold, macro_auc(y[test], p, sites)))
    return scores, pd.DataFrame(rows, columns=["repeat", "fold", "auc"])


def chance(
    table: pd.DataFrame,
    features: Sequence[str],
    asked: SiteModel,
    *,
    permutations: int = 20,
    folds: int = 5,
    seed: int = 0,
) -> NDArray:
    """Pooled AUCs where there is nothing to tell: the sites are shuffled among the rows.

    They need not lie about 0.5. ComBat's empirical Bayes shrinks each site's estimate, and so
    leaves a remainder of one sign in the training part and takes too much from the left-out one:
    what a model then learns is wrong there. With ``eb=False`` it does not happen.

    Parameters
    ----------
    table, features, asked, folds, seed
        As for `tell_site`; each shuffling is cross-validated once.
    permutations : int

    Returns
    -------
    array of shape (permutations,)
    """
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(permutations):
        shuffled = table.assign(site=rng.permutation(table["site"].astype(str).to_numpy()))
        told = tell_site(shuffled, features, asked, folds=folds, n_boot=0, seed=seed)
        found.append(told.pooled)
    return np.array(found)


def alike_beyond_chance(
    table: pd.DataFrame, features: Sequence[str], *, permutations: int = 199, seed: int = 0
) -> float:
    """How rarely chance leaves the means of the sites as close as they are: a p-value.

    Patients of one population, divided among sites at random, give means that differ a little.
    Means that are closer were made equal, by a harmonization of the whole table. One that
    leaves most of the difference, as ComBat's ``mean_only`` with empirical Bayes, is not noticed.

    Parameters
    ----------
    table : DataFrame
        ``site`` and the features; missing values count as the feature's mean.
    features : sequence of str
    permutations : int
        Shufflings of the sites among the rows.
    seed : int

    Returns
    -------
    float
        From 1 / (1 + permutations) to 1, by the mean over features of the F test's lower tail.
    """
    from scipy.stats import f

    X = table[list(features)].astype(float)
    z = ((X - X.mean()) / X.std(ddof=0)).fillna(0.0).to_numpy()
    z = z[:, z.any(axis=0)]
    member = pd.get_dummies(table["site"].astype(str)).to_numpy(float)
    n, counts = len(z), member.sum(axis=0)
    if not z.size or not 1 < len(counts) < n:
        return 1.0

    def closeness(member: NDArray) -> float:
        between = ((member.T @ z) ** 2 / counts[:, None]).sum(axis=0)
        ratio = between / (len(counts) - 1) / ((n - between).clip(1e-12) / (n - len(counts)))
        return float(f.cdf(ratio, len(counts) - 1, n - len(counts)).mean())

    rng, found = np.random.default_rng(seed), closeness(member)
    closer = sum(closeness(rng.permutation(member)) <= found for _ in range(permutations))
    return (1 + closer) / (1 + permutations)


def harmonized(
    table: pd.DataFrame, features: Sequence[str], combat: Any, *, rank_normal: bool = False
) -> pd.DataFrame:
    """The table with features imputed and harmonized on all rows: to look at, not to learn from.

    Parameters
    ----------
    table, features
        As for `tell_site`.
    combat, rank_normal
        As for `SiteModel`.
    """
    steps = pipeline("logistic", combat=combat, rank_normal=rank_normal)[: 3 + rank_normal]
    beside = sorted({combat.site, *combat.covariates})
    ready = steps.fit_transform(table[[*features, *beside]])
    return table.assign(**{name: ready[name].to_numpy() for name in features})


def _result(
    table: pd.DataFrame,
    names: NDArray,
    scores: NDArray,
    by_fold: pd.DataFrame,
    n_boot: int,
    seed: int,
) -> SiteResult:
    site, subject = table["site"].astype(str).to_numpy(), table["subject"].to_numpy()
    pooled, low, high = macro_auc_interval(
        site, scores, names, groups=subject, n_boot=n_boot, seed=seed
    )
    each = [
        (name, int((site == name).sum()), np.mean([auc(site == name, p[:, k]) for p in scores]))
        for k, name in enumerate(names)
    ]
    return SiteResult(
        mean=float(by_fold["auc"].mean()),
        sd=float(by_fold["auc"].std(ddof=1)),
        pooled=pooled,
        low=low,
        high=high,
        folds=by_fold,
        per_site=pd.DataFrame(each, columns=["site", "n", "auc"]),
        scores=scores,
        site=site,
        subject=subject,
    )
