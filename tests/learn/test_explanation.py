"""Explanations add up, point at what was planted, and come from patients left out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from nextaim_kit.errors import RunError
from nextaim_kit.learn.explanation import permutation_importance, shap_out_of_fold

NAMES = ["planted", "weak", "noise"]


class Pick(TransformerMixin, BaseEstimator):
    """A selection step that keeps the first two features."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X[NAMES[:2]]


@pytest.fixture(scope="module")
def nested():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 120)
    data = pd.DataFrame(rng.normal(size=(120, 3)), columns=NAMES)
    data["planted"] += 2 * label
    data = data.assign(label=label)
    halves = np.arange(120) % 2
    models = []
    for k in (0, 1):
        trees = XGBClassifier(n_estimators=20, max_depth=2, n_jobs=1)
        steps = Pipeline([("first", "passthrough"), ("pick", Pick()), ("trees", trees)])
        models.append(steps.fit(data[halves != k], label[halves != k]))
    index = [np.flatnonzero(halves == k) for k in (0, 1)]
    return data, SimpleNamespace(models=models, test_index=index, selected=[NAMES[:2]] * 2)


def test_shap_values_add_up_to_each_left_out_patients_margin(nested):
    data, result = nested
    values, explained = shap_out_of_fold(result, data, NAMES)
    assert values.shape == explained.shape == (120, 3)
    margin = np.zeros(120)
    for model, rows in zip(result.models, result.test_index, strict=True):
        margin[rows] = model[-1].predict(data.iloc[rows][NAMES[:2]], output_margin=True)
    base = margin - values.sum(axis=1)
    assert base.round(3).nunique() <= 2


def test_the_planted_feature_leads_and_an_unselected_one_has_no_part(nested):
    data, result = nested
    values, _ = shap_out_of_fold(result, data, NAMES)
    strength = values.abs().mean()
    assert strength.idxmax() == "planted"
    assert strength["noise"] == 0


def test_shuffling_the_planted_feature_costs_most(nested):
    data, result = nested
    importance = permutation_importance(result, data, NAMES, seed=1)
    assert importance["feature"][0] == "planted"
    assert 0.2 < importance["drop"][0] < 0.5
    assert importance.equals(permutation_importance(result, data, NAMES, seed=1))


def test_values_that_do_not_add_up_are_refused(nested, monkeypatch):
    data, result = nested
    monkeypatch.setattr("nextaim_kit.learn.explanation._ADDITIVE", -1.0)
    with pytest.raises(RunError, match="do not add up"):
        shap_out_of_fold(result, data, NAMES)
