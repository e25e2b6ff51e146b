"""Feature selection by ranking, and how stable the selection is from fold to fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_selection import f_classif, mutual_info_classif
from sklearn.utils.validation import check_is_fitted

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.intervals import Z95

Kind = Literal["mrmr", "xgboost", "mutual_information", "none"]
KINDS = ("mrmr", "xgboost", "mutual_information", "none")
_NO_REDUNDANCY = 1e-12


class RankSelector(TransformerMixin, BaseEstimator):
    """Keep the `k` features that rank highest, in the order of their rank.

    The first features of a ranking do not depend on `k`: one fit with the largest `k` serves all
    smaller ones.

    Parameters
    ----------
    kind : {"mrmr", "xgboost", "mutual_information", "none"}
        "mrmr": F statistic over mean absolute correlation to those already chosen (FCQ), greedy;
        "xgboost": gain in a small boosted forest; "mutual_information": with the outcome,
        estimated from nearest neighbors; "none": all features as they are.
    k : int
        Features to keep; all, if there are fewer.
    seed : int
    ranking : sequence of str, optional
        A ranking made elsewhere, used instead of one's own. Made on patients who are tested
        later, it leaks.

    Attributes
    ----------
    selected_ : list of str

    References
    ----------
    Zhao et al. 2019, doi:10.1109/DSAA.2019.00059 (FCQ); Ross 2014,
    doi:10.1371/journal.pone.0087357 (mutual information).
    """

    def __init__(
        self,
        kind: Kind = "mrmr",
        k: int = 10,
        seed: int = 0,
        ranking: Sequence[str] | None = None,
    ) -> None:
        self.kind = kind
        self.k = k
        self.seed = seed
        self.ranking = ranking

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Rank the features, shape (n, p) without missing values, for the outcome y (n,)."""
        if self.kind not in KINDS:
            raise RequestError(
                f"no selector {self.kind!r}", expected=", ".join(KINDS), found=repr(self.kind)
            )
        if self.k < 1:
            raise RequestError("a selection needs features", expected="k >= 1", found=str(self.k))
        self.feature_names_in_ = np.asarray(X.columns, object)
        self.n_features_in_ = X.shape[1]
        self.selected_ = self._ranked(X, np.asarray(y))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The selected features, shape (n, k)."""
        check_is_fitted(self)
        return X[self.selected_]

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray:
        """Names of the selected features."""
        check_is_fitted(self)
        return np.asarray(self.selected_, object)

    def _ranked(self, X: pd.DataFrame, y: NDArray) -> list[str]:
        if self.kind == "none":
            return list(X.columns)
        if self.ranking is not None:
            return list(self.ranking)[: self.k]
        values = X.to_numpy(float)
        if self.kind == "mrmr":
            order: Sequence[int] | NDArray = _fcq(values, y, self.k)
        else:
            score = _gain if self.kind == "xgboost" else _mutual_information
            order = np.argsort(-score(values, y, self.seed), kind="stable")
        return [X.columns[place] for place in order[: self.k]]


def _fcq(values: NDArray, y: NDArray, k: int) -> list[int]:
    """Greedy maximum of relevance over redundancy: positions of up to k columns in order."""
    spread = values.std(axis=0)
    varies = spread > 1e-12 * np.abs(values).max(axis=0)
    relevance = np.zeros(values.shape[1])
    if varies.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            relevance[varies] = np.nan_to_num(f_classif(values[:, varies], y)[0], posinf=np.inf)
    unit = np.where(varies, values - values.mean(axis=0), 0) / np.where(varies, spread, 1)
    redundancy = np.zeros(len(relevance))
    chosen: list[int] = []
    score = relevance.copy()
    for count in range(1, min(k, len(relevance)) + 1):
        score[chosen] = -1.0
        chosen.append(int(np.argmax(score)))
        redundancy += np.abs(unit.T @ unit[:, chosen[-1]]) / len(y)
        score = relevance / np.maximum(redundancy / count, _NO_REDUNDANCY)
    return chosen


def _gain(values: NDArray, y: NDArray, seed: int) -> NDArray:
    from xgboost import XGBClassifier

    forest = XGBClassifier(
        n_estimators=100,
        max_depth=3,
        learning_rate=0.1,
        subsample=0.8,
        colsample_bytree=0.5,
        importance_type="gain",
        n_jobs=1,
        random_state=seed,
    )
    return forest.fit(values, y).feature_importances_


def _mutual_information(values: NDArray, y: NDArray, seed: int) -> NDArray:
    return mutual_info_classif(values, y, discrete_features=False, random_state=seed)


def stability(sets: Sequence[Collection[str]], n_features: int) -> tuple[float, float, float]:
    """How alike selections are beyond chance, with its 95 % interval.

    Parameters
    ----------
    sets : sequence of collections of str
        The features of each fold, at least two.
    n_features : int
        How many there were to choose from.

    Returns
    -------
    value, low, high : float
        1 for equal sets, about 0 for sets drawn at random. The interval takes folds as
        independent, which folds of one cohort are not: it is too narrow. NaN if nothing was
        left out (or nothing chosen) anywhere.

    Raises
    ------
    DataError
        If there are fewer than two sets, or more names than features.

    References
    ----------
    Nogueira, Sechidis and Brown 2018, JMLR 18(174):1-54.

    Examples
    --------
    >>> round(stability([["a", "b"], ["a", "b"], ["a", "c"]], n_features=6)[0], 2)
    0.5
    """
    names = sorted({name for chosen in sets for name in chosen})
    m, d = len(sets), n_features
    if m < 2 or len(names) > d:
        raise DataError(
            "the stability of a selection cannot be computed",
            expected=f"at least two sets, of at most {d} names",
            found=f"{m} sets of {len(names)} names",
        )
    z = np.zeros((m, d))
    z[:, : len(names)] = [[name in set(chosen) for name in names] for chosen in sets]
    sizes, share = z.sum(axis=1) / d, z.mean(axis=0)
    mean = sizes.mean()
    chance = mean * (1 - mean)
    if chance == 0:
        return float("nan"), float("nan"), float("nan")
    value = 1 - (share * (1 - share)).mean() * m / (m - 1) / chance
    part = z @ share / d - sizes * mean + value / 2 * (2 * sizes * mean - sizes - mean + 1)
    margin = Z95 * 2 / m * np.sqrt((((part - part.mean()) / chance) ** 2).sum())
    return float(value), float(value - margin), float(min(1.0, value + margin))


def selection_frequency(sets: Sequence[Collection[str]]) -> pd.DataFrame:
    """``feature`` and ``frequency`` (share of the sets that hold it), most frequent first.

    Examples
    --------
    >>> selection_frequency([["a", "b"], ["a", "c"]]).to_numpy().tolist()
    [['a', 1.0], ['b', 0.5], ['c', 0.5]]
    """
    counts = Counter(name for chosen in sets for name in set(chosen))
    rows = [(name, n / len(sets)) for name, n in counts.items()]
    rows.sort(key=lambda row: (-row[1], row[0]))
    return pd.DataFrame(rows, columns=["feature", "frequency"])
