"""Logistic regression where features are far more than patients, solved in the patients' span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from nextaim_kit.learn.metrics import auc

_BLOCK = 4096  # columns that are in double precision at once
_NOTHING = 1e-13  # share of the largest eigenvalue below which a direction is rounding


class Span(TransformerMixin, BaseEstimator):
    """Rows of many features as coordinates in the span of the training rows, lengths kept.

    A model whose weights on the features are a mixture of training rows (any that is penalized by
    their squared length, or learned by plain gradients from nothing) is the same in coordinates.

    Attributes
    ----------
    coordinates_ : array of shape (n, r)
        Of the training rows, centered; r is below n.
    mean_ : array of shape (p,)

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(4, 100))
    >>> span = Span().fit(X)
    >>> span.coordinates_.shape
    (4, 3)
    >>> bool(np.allclose(span.transform(X), span.coordinates_))
    True
    """

    def fit(self, X: NDArray, y: Any = None) -> Self:
        """Find the directions of the rows of `X`, shape (n, p), without NaN."""
        self.rows_, self.mean_ = X, X.mean(axis=0, dtype=float)
        values, vectors = np.linalg.eigh(inner_products(X, self.mean_))
        kept = values > _NOTHING * values[-1]
        length = np.sqrt(values[kept])
        self.coordinates_ = vectors[:, kept] * length
        self._mix = vectors[:, kept] / length
        return self

    def transform(self, X: NDArray) -> NDArray[np.float64]:
        """Coordinates of other rows, shape (m, r); what lies outside the span is not in them."""
        products = (X - self.mean_.astype(X.dtype)) @ self.rows_.T
        constant = (X @ self.mean_ - self.mean_ @ self.mean_)[:, None]
        return (products - constant) @ self._mix

    def back(self, weights: NDArray) -> NDArray[np.float64]:
        """Weights of the features, shape (k, p), from those of the coordinates, (k, r)."""
        mixture = weights @ self._mix.T
        return mixture @ self.rows_ - mixture.sum(axis=1, keepdims=True) * self.mean_


class DualLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression with an L2 penalty, at the cost of patients instead of features.

    The solution lies in the span of the training rows. There each row is described by no more
    numbers than there are rows (the eigenvectors of the rows' inner products), all distances as
    they were, so that the small problem has the solution of the large one. Inner folds choose
    among strengths in the same small space.

    Parameters
    ----------
    C : sequence of float
        Inverse strengths of the penalty; of several, inner folds choose the best by AUC (the
        first of equals).
    relative : bool
        Count `C` in units of one over the mean squared length of the centered rows, so that the
        same numbers fit 5,000 edges and 20,000; otherwise as in scikit-learn.
    folds : int
        Inner folds, stratified by outcome.
    seed : int
        Of the inner folds.

    Attributes
    ----------
    coef_ : array of shape (1, p)
    intercept_ : array of shape (1,)
    C_ : float
        What was chosen, as scikit-learn counts.
    inner_auc_ : array of shape (len(C),)
        Mean AUC of the inner folds.
    inner_logit_ : array of shape (n,)
        Logits of the training rows at the chosen strength, each by a fold that had not seen it.

    Raises
    ------
    ValueError
        As scikit-learn's estimators do, for missing values and other shapes.

    References
    ----------
    Hastie, Tibshirani 2004, doi:10.1093/biostatistics/kxh010 (fewer computations by rotation).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile([0, 1], 20)
    >>> X = rng.normal(size=(40, 500)) + y[:, None] * 0.4
    >>> DualLogistic(C=(0.1, 1.0)).fit(X[:30], y[:30]).score(X[30:], y[30:])
    1.0
    """

    def __init__(
        self,
        C: Sequence[float] = (0.01, 0.1, 1.0, 10.0),
        *,
        relative: bool = True,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.C = C
        self.relative = relative
        self.folds = folds
        self.seed = seed

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the strength and fit; `X` of shape (n, p), two classes."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        self.classes_, code = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(f"two classes are needed, found {list(self.classes_)}")
        span = Span().fit(X)
        small = span.coordinates_
        strengths = np.asarray(self.C, float)
        if self.relative:
            strengths = strengths * len(X) / max((small**2).sum(), np.finfo(float).tiny)
        self.inner_auc_, logits = self._inner(small, code, strengths)
        best = int(np.argmax(self.inner_auc_))
        self.C_, self.inner_logit_ = float(strengths[best]), logits[best]
        found = _exact(self.C_).fit(small, code)
        self.coef_ = span.back(found.coef_)
        self.intercept_ = found.intercept_ - self.coef_ @ span.mean_
        return self

    def _inner(
        self, small: NDArray, code: NDArray, strengths: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        parts = StratifiedKFold(self.folds, shuffle=True, random_state=self.seed)
        logits = np.zeros((len(strengths), len(code)))
        aucs = np.zeros((self.folds, len(strengths)))
        with threadpool_limits(1):  # on sums this short threads wait longer than they work
            for fold, (fit, left) in enumerate(parts.split(small, code)):
                for k, strength in enumerate(strengths):
                    found = _quick(strength).fit(small[fit], code[fit])
                    logits[k, left] = found.decision_function(small[left])
                    aucs[fold, k] = auc(code[left], logits[k, left])
        return aucs.mean(axis=0), logits

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Logit of the second class, shape (n,)."""
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return X @ self.coef_[0] + self.intercept_

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of both classes, shape (n, 2)."""
        p = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> NDArray:
        """The likelier class, shape (n,)."""
        return self.classes_[(self.decision_function(X) > 0).astype(int)]


def inner_products(X: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """Inner products of the centered rows, (n, n), in double precision without a copy of `X`."""
    products = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], _BLOCK):
        columns = slice(start, start + _BLOCK)
        centered = X[:, columns] - mean[columns]
        products += centered @ centered.T
    return products


def _exact(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10, max_iter=200)


def _quick(strength: float) -> LogisticRegression:
    # To order left-out rows, whose AUC alone is asked for.
    return LogisticRegression(C=strength, solver="lbfgs", tol=1e-4, max_iter=1000)
