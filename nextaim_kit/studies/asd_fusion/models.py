"""The linear models of brains: one block, blocks side by side, and votes of several models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.dual import DualLogistic
from nextaim_kit.learn.metrics import operating_point
from nextaim_kit.learn.splits import Split, leave_one_site_out
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.asd_fusion.blocks import Blocks, Part
from nextaim_kit.studies.asd_fusion.brains import Brains, joined
from nextaim_kit.studies.asd_fusion.sources import load_brains

Predict = Callable[[Brains], NDArray[np.float64]]
NOT_KNOWN = np.zeros(0)  # inner logits of a model that comes from a file


@dataclass(frozen=True)
class Fitted:
    """A model after training: what it says of brains, and from where it says yes.

    Attributes
    ----------
    logit : callable
        Of brains: the logit of autism, shape (subjects,); NaN for who lacks all it looks at.
    threshold : float
        Of the probability, chosen on training subjects that were left out.
    inner : array of shape (subjects of the training part,)
        Logits of each training subject by models that had not seen it; NaN where there are none.
    model : object
        What was fitted.
    """

    logit: Predict
    threshold: float
    inner: NDArray[np.float64]
    model: Any = None


Fit = Callable[[Brains, int], Fitted]


@dataclass(frozen=True)
class Linear:
    """Logistic regression with an L2 penalty on blocks of equal weight.

    Attributes
    ----------
    parts : sequence of {"function", "structure", "confounds"}
    blocks : mapping
        Further settings of `Blocks`.
    C : sequence of float
        As of `DualLogistic`: relative to the size of the rows; inner folds choose.
    folds : int
        Inner folds.
    """

    parts: Sequence[Part]
    blocks: Mapping[str, Any] = field(default_factory=dict)
    C: Sequence[float] = (0.01, 0.1, 1.0, 10.0)
    folds: int = 5

    def __call__(self, train: Brains, seed: int) -> Fitted:
        """Fit on those training subjects that have one of the parts."""
        there = of_any(train, self.parts)
        part = train.at(there)
        blocks = Blocks(self.parts, **self.blocks)
        model = DualLogistic(self.C, folds=self.folds, seed=seed)
        model.fit(blocks.fit_transform(part), part.y)
        threshold = operating_point(part.y, sigmoid(model.inner_logit_))
        inner = np.full(len(train), np.nan)
        inner[there] = model.inner_logit_
        return of_linear(blocks, model, threshold, inner)


def _linear_logit(blocks: Blocks, model: DualLogistic, brains: Brains) -> NDArray[np.float64]:
    said = model.decision_function(blocks.transform(brains))
    return np.where(of_any(brains, blocks.parts), said, np.nan)


@dataclass(frozen=True)
class Votes:
    """Late fusion: models of their own modality each, whose logits are weighed and added.

    The weights are those of a logistic regression on the inner folds' logits, which no model of
    them was trained on. A subject without a modality is judged by the others, the sum raised to
    what all would give.

    Attributes
    ----------
    of : mapping of {"function", "structure"} to callable
        Each trained on the subjects that have its modality.
    """

    of: Mapping[Part, Fit]

    def __call__(self, train: Brains, seed: int) -> Fitted:
        """Fit on training subjects."""
        from sklearn.linear_model import LogisticRegression

        has = {part: train.has(part) for part in self.of}
        fitted = {part: fit(train.at(has[part]), seed) for part, fit in self.of.items()}
        inner = np.full((len(train), len(fitted)), np.nan)
        for k, part in enumerate(fitted):
            inner[has[part], k] = fitted[part].inner
        whole = ~np.isnan(inner).any(axis=1)
        if set(train.y[whole]) != {0, 1}:
            raise DataError("late fusion needs subjects of both outcomes with all modalities")
        weigh = LogisticRegression(C=np.inf).fit(inner[whole], train.y[whole])
        # A model that helps nothing must not be turned round.
        weights = np.maximum(weigh.coef_[0], 0)
        intercept = float(weigh.intercept_[0])
        said = _weighed(inner, weights, intercept)
        known = ~np.isnan(said)
        threshold = operating_point(train.y[known], sigmoid(said[known]))
        return voted(fitted, weights, intercept, threshold, said)


def of_linear(
    blocks: Blocks, model: DualLogistic, threshold: float, inner: NDArray = NOT_KNOWN
) -> Fitted:
    """A fitted linear model of its parts."""
    return Fitted(partial(_linear_logit, blocks, model), threshold, inner, (blocks, model))


def voted(
    fitted: Mapping[Part, Fitted],
    weights: NDArray,
    intercept: float,
    threshold: float,
    inner: NDArray = NOT_KNOWN,
) -> Fitted:
    """A late fusion of its parts."""
    logit = partial(_voted, fitted, weights, intercept)
    return Fitted(logit, threshold, inner, (fitted, weights, intercept))


def _voted(
    fitted: Mapping[Part, Fitted], weights: NDArray, intercept: float, brains: Brains
) -> NDArray[np.float64]:
    said = [np.where(brains.has(part), one.logit(brains), np.nan)
            for part, one in fitted.items()]  # fmt: skip
    return _weighed(np.column_stack(said), weights, intercept)


def _weighed(said: NDArray, weights: NDArray, intercept: float) -> NDArray[np.float64]:
    """Weighted sum of the logits that are there, raised to the weight of all."""
    there = ~np.isnan(said) * weights
    share = there.sum(axis=1) / weights.sum() if weights.sum() else np.ones(len(said))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(share > 0, np.nansum(said * weights, axis=1) / share + intercept, np.nan)


def of_any(brains: Brains, parts: Sequence[Part]) -> NDArray[np.bool_]:
    """Which subjects have one of several modalities, and so can be judged by them."""
    return np.logical_or.reduce([brains.has(part) for part in parts])


def sigmoid(logit: NDArray) -> NDArray[np.float64]:
    """Probability of a logit."""
    return 1 / (1 + np.exp(-np.asarray(logit, float)))


def cross_fit(
    fit: Fit, brains: Brains, splits: Mapping[Any, Split] | Sequence[Split], *, seed: int = 0
) -> tuple[pd.DataFrame, list[Fitted]]:
    """Train on each training part and test the subjects left out.

    Parameters
    ----------
    fit : callable
        Of training brains and a seed.
    brains : Brains
    splits : mapping of str to (train, test), or sequence of them
        Row positions.
    seed : int

    Returns
    -------
    predictions : DataFrame
        As `learn.predictions` has them, and ``logit``.
    fitted : list of Fitted
    """
    named = dict(splits) if isinstance(splits, Mapping) else dict(enumerate(splits))
    tables, models = [], []
    for number, (name, (train, test)) in enumerate(named.items()):
        with one_thread():  # sums in another order would change the last digits
            found = fit(brains.at(train), seed + 1000 * number)
            tables.append(predicted(found, brains.at(test)).assign(fold=name, repeat=0))
        models.append(found)
    return pd.concat(tables, ignore_index=True), models


def train_all(fits: Mapping[str, Fit], brains: Brains, *, seed: int = 0) -> dict[str, Fitted]:
    """Train each model on all subjects, to be used on others."""
    with one_thread():
        return {name: fit(brains, seed) for name, fit in fits.items()}


def another_cohort(brains: Brains, spec: str) -> tuple[Brains, Brains]:
    """A cohort to train on and another one to test on, with the features that both have.

    Parameters
    ----------
    brains : Brains
    spec : str
        As for `sources.load_brains`; who has no diagnosis is left out.

    Raises
    ------
    RequestError, DataError
        As `sources.load_brains` and `brains.joined`: where they do not fit.
    """
    other = load_brains(spec)
    known = other.table["label"].notna().to_numpy()
    if not known.all():
        print(f"{(~known).sum()} subjects of the other cohort have no diagnosis: left out")
    both, there = joined(brains, other.at(known)), np.arange(len(brains) + known.sum())
    here, there = there[: len(brains)], there[len(brains) :]
    return (
        replace(both.at(here), problems=brains.problems, synthetic=brains.synthetic),
        replace(both.at(there), problems=other.problems, synthetic=other.synthetic),
    )


def predicted(found: Fitted, brains: Brains) -> pd.DataFrame:
    """What a model says of subjects: ``subject, site, y, logit, p, threshold``.

    `y` is missing where an outcome is.
    """
    with one_thread():  # as they were trained, so that the last digits are the same
        logit = found.logit(brains)
    label = brains.table["label"]
    y = brains.y if label.notna().all() else label.to_numpy(float, na_value=np.nan)
    rows = brains.table[["subject", "site"]].assign(y=y, logit=logit, p=sigmoid(logit))
    return rows.assign(threshold=found.threshold)


def institutions_out(table: pd.DataFrame, parts: int = 0, *, seed: int = 0) -> dict[str, Split]:
    """Splits in which whole institutions are left out.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``institution``.
    parts : int
        Institutions are dealt out to so many test parts of about equal size; 0: each is one.
    seed : int
    """
    names = table["institution"]
    if not 0 < parts < names.nunique():
        return leave_one_site_out(table, column="institution")
    order = np.random.default_rng(seed).permutation(sorted(names.unique()))
    sizes, dealt = np.zeros(parts), {}
    for name in sorted(order, key=lambda name: -int((names == name).sum())):
        dealt[name] = int(np.argmin(sizes))
        sizes[dealt[name]] += (names == name).sum()
    gathered = table.assign(part="part " + names.map(dealt).add(1).astype(str))
    return leave_one_site_out(gathered, column="part")
