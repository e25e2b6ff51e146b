"""How well a model tells the acquisition site from the features, harmonized or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.metrics import auc, macro_auc
from nextaim_kit.learn.models import Model, pipeline
from nextaim_kit.learn.nested import check_beside, check_features
from nextaim_kit.learn.splits import folds as patient_folds

_LEVEL = (2.5, 97.5)


@dataclass(frozen=True)
class SiteResult:
    """How well a model told the sites apart; 0.5 is chance.

    Attributes
    ----------
    mean, sd : float
        Macro one-vs-rest AUC over folds and repeats.
    pooled, low, high : float
        The same of all left-out predictions together (mean over repeats), with its 95 %
        bootstrap interval over patients within sites.
    folds : DataFrame
        ``repeat, fold, auc``.
    per_site : DataFrame
        ``site, n, auc``: each against the rest, pooled predictions.
    predictions : DataFrame
        ``subject, site`` and a column of probability per site.
    """

    mean: float
    sd: float
    pooled: float
    low: float
    high: float
    folds: pd.DataFrame
    per_site: pd.DataFrame
    predictions: pd.DataFrame


def tell_site(
    table: pd.DataFrame,
    features: Sequence[str],
    *,
    model: Model = "logistic",
    combat: Any | None = None,
    leaky: bool = False,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    rank_normal: bool = False,
    epochs: int = 300,
    n_boot: int = 1000,
) -> SiteResult:
    """Let a model tell the site of left-out patients from their features.

    ComBat is used as it is in practice: fitted on the training part of each fold, and applied
    to the left-out patients with *their site known to it* as batch. The model that then tells
    the site sees the harmonized features alone.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, the features and `combat`'s covariates.
    features : sequence of str
    model : {"logistic", "mlp", "xgboost"}
    combat : ComBat, optional
    leaky : bool
        For teaching, and wrong: fit ComBat and what precedes it on all patients before they are
        split, so that left-out patients shape the correction that hides their site.
    folds, repeats : int
        Stratified by site; repeats have other folds.
    seed : int
    rank_normal : bool
        Normal scores by rank before ComBat, fitted in the same place. Very skewed features need
        it: ComBat's means and variances, estimated on the training part, otherwise miss the
        left-out patients, whose site stays visible.
    epochs : int
        Passes of the network ("mlp") over the training part.
    n_boot : int
        Bootstrap resamples.

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
    if leaky and combat is None:
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
    options: dict[str, Any] = {"combat": combat, "rank_normal": rank_normal}
    hyper: dict[str, Any] = {"max_iter": epochs} if model == "mlp" else {}
    if leaky:
        X = pipeline(model, **options)[: 3 + rank_normal].fit_transform(X)
        options = {}
    total = np.zeros((len(table), len(names)))
    rows = []
    for repeat, part in enumerate(parts):
        for fold, (train, test) in enumerate(part):
            with threadpool_limits(1):
                fitted = pipeline(model, seed=seed, **options, **hyper).fit(X.iloc[train], y[train])
                p = fitted.predict_proba(X.iloc[test])
            total[test] += p / repeats
            rows.append((repeat, fold, macro_auc(y[test], p, np.arange(len(names)))))
    return _result(table, names, y, total, rows, n_boot, seed)


def _result(
    table: pd.DataFrame,
    names: NDArray,
    y: NDArray,
    p: NDArray,
    rows: list[tuple[int, int, float]],
    n_boot: int,
    seed: int,
) -> SiteResult:
    by_fold = pd.DataFrame(rows, columns=["repeat", "fold", "auc"])
    per_site = [(name, int((y == k).sum()), auc(y == k, p[:, k])) for k, name in enumerate(names)]
    low, high = _interval(table["subject"].to_numpy(), y, p, n_boot, seed)
    predictions = table[["subject", "site"]].reset_index(drop=True)
    return SiteResult(
        mean=float(by_fold["auc"].mean()),
        sd=float(by_fold["auc"].std(ddof=1)),
        pooled=macro_auc(y, p, np.arange(len(names))),
        low=low,
        high=high,
        folds=by_fold,
        per_site=pd.DataFrame(per_site, columns=["site", "n", "auc"]),
        predictions=predictions.join(pd.DataFrame(p, columns=names)),
    )


def _interval(
    subject: NDArray, y: NDArray, p: NDArray, n_boot: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the macro AUC: patients drawn within each site, with all their rows."""
    if n_boot < 1:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    classes = np.arange(p.shape[1])
    patients = [list(pd.Series(np.flatnonzero(y == k)).groupby(subject[y == k])) for k in classes]
    rows = [[part.to_numpy() for _, part in site] for site in patients]
    drawn = []
    for _ in range(n_boot):
        taken = [site[i] for site in rows for i in rng.integers(0, len(site), len(site))]
        index = np.concatenate(taken)
        drawn.append(macro_auc(y[index], p[index], classes))
    low, high = np.percentile(drawn, _LEVEL)
    return float(low), float(high)
