"""The models of the tabular studies, each as one pipeline that keeps the features' names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.selection import Kind, RankSelector

Model = Literal["xgboost", "logistic", "mlp"]
GRIDS: dict[str, dict[str, list[Any]]] = {
    "xgboost": {"max_depth": [2, 3], "n_estimators": [60, 150]},
    "logistic": {"C": [0.01, 0.1, 1.0]},
    "mlp": {"alpha": [0.1, 1.0, 10.0]},
}


def pipeline(
    model: Model,
    *,
    selector: Kind = "none",
    k: int = 10,
    combat: Any | None = None,
    rank_normal: bool = False,
    seed: int = 0,
    **hyper: Any,
) -> Pipeline:
    """Everything from raw features to a prediction, to be fitted on training rows only.

    Parameters
    ----------
    model : {"xgboost", "logistic", "mlp"}
        Shallow boosted trees; logistic regression (L2); a network of one layer of 16.
    selector : {"none", "mrmr", "xgboost", "mutual_information"}
    k : int
        Features that the selector keeps.
    combat : ComBat, optional
        Harmonization, fitted with the rest; a copy is used.
    rank_normal : bool
        Give each feature a normal distribution by its ranks first; its ends are those of the
        training rows.
    seed : int
    **hyper
        Parameters of the model.

    Returns
    -------
    Pipeline
        Takes a DataFrame of features, with the columns ``site`` and `combat`'s covariates where
        there is ComBat. It keeps to the columns that it was fitted with. Missing values are
        given the training median.

    Raises
    ------
    RequestError
        If there is no such model or parameter, or the outcome is a covariate of ComBat.
    """
    beside = _beside(combat)
    steps: list[tuple[str, Any]] = [("columns", Columns(beside))]
    if rank_normal:
        steps.append(("rank", OnFeatures(NormalScores(), beside)))
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    steps.append(("impute", OnFeatures(imputer, beside)))
    if combat is not None:
        steps.append(("combat", clone(combat)))
    if model != "xgboost":
        steps.append(("scale", OnFeatures(StandardScaler())))
    steps.append(("select", RankSelector(selector, k, seed)))
    steps.append(("model", estimator(model, seed, **hyper)))
    return Pipeline(steps)


def estimator(model: Model, seed: int = 0, **hyper: Any) -> Any:
    """The bare model, with `hyper` in place of its defaults."""
    made = _bare(model, seed)
    unknown = sorted(set(hyper) - set(made.get_params()))
    if unknown:
        raise RequestError(
            f"the model {model!r} has no parameter {', '.join(unknown)}",
            expected="one of " + ", ".join(GRIDS[model]),
            mend=f"see the parameters of {type(made).__name__}",
        )
    return made.set_params(**hyper)


def _bare(model: Model, seed: int) -> Any:
    if model == "xgboost":
        from xgboost import XGBClassifier

        return XGBClassifier(
            n_estimators=100,
            max_depth=2,
            learning_rate=0.1,
            subsample=0.8,
            tree_method="hist",
            max_bin=64,  # finer bins hold a few patients each and cost twice the time
            n_jobs=1,
            random_state=seed,
        )
    if model == "logistic":
        return LogisticRegression(C=0.1, max_iter=2000)
    if model == "mlp":
        return SmallNetwork((16,), alpha=1.0, max_iter=300, random_state=seed)
    raise RequestError(f"no model {model!r}", expected=", ".join(GRIDS), found=repr(model))


def _beside(combat: Any | None) -> tuple[str, ...]:
    """Columns beside the features that ComBat reads."""
    if combat is None:
        return ()
    covariates = tuple(combat.covariates)
    if "label" in covariates:
        raise RequestError(
            "the outcome cannot be a covariate of the harmonization",
            mend="take 'label' out of its covariates: it would leak into the features",
        )
    return (combat.site, *covariates)


class Columns(TransformerMixin, BaseEstimator):
    """Keep to the columns of the fit; of what is no feature, keep only `beside`."""

    def __init__(self, beside: Sequence[str] = ()) -> None:
        self.beside = beside

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Remember the columns."""
        left = {"subject", "site", "label"} - set(self.beside)
        self.columns_ = [name for name in X.columns if name not in left]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The same columns, whatever else is there."""
        check_is_fitted(self)
        return X[self.columns_]


class OnFeatures(TransformerMixin, BaseEstimator):
    """Apply a scikit-learn transformer to the features; the columns `beside` pass as they are."""

    def __init__(self, transformer: Any, beside: Sequence[str] = ()) -> None:
        self.transformer = transformer
        self.beside = beside

    def fit(self, X: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit a copy of the transformer to the features."""
        self.features_ = [name for name in X.columns if name not in self.beside]
        self.transformer_ = clone(self.transformer).fit(_values(X[self.features_]))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Transformed features, shape (n, p), behind the columns `beside`."""
        check_is_fitted(self)
        values = self.transformer_.transform(_values(X[self.features_]))
        ready = pd.DataFrame(values, index=X.index, columns=self.features_)
        others = [name for name in X.columns if name in self.beside]
        return pd.concat([X[others], ready], axis=1)


class NormalScores(QuantileTransformer):
    """Normal scores by rank, the ranks being those of the training part.

    scikit-learn's own normal output puts the smallest and the largest training value 5.2 standard
    deviations away, outliers to whatever comes after. Blom's scores (Statistical Estimates and
    Transformed Beta-Variables, 1958) put them where a normal sample of that size would end.
    """

    def __init__(self) -> None:
        super().__init__(subsample=None)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the ranks of X, shape (n, p)."""
        self.n_quantiles = len(np.asarray(X))
        return super().fit(X)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Scores, shape (n, p); beyond the training values those of the ends."""
        n = self.n_quantiles_
        return ndtri((super().transform(X) * (n - 1) + 0.625) / (n + 0.25))


def _values(features: pd.DataFrame) -> np.ndarray:
    return features.to_numpy(float, na_value=np.nan)


class SmallNetwork(MLPClassifier):
    """scikit-learn's network without its warning: a fixed length of training is intended."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train for up to `max_iter` epochs."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return super().fit(np.asarray(X), y)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes, shape (n, classes)."""
        return super().predict_proba(np.asarray(X))
