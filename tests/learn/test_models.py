"""A pipeline learns from its training rows alone, and keeps the features' names."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.metrics import auc
from nextaim_kit.learn.models import GRIDS, NormalScores, SmallNetwork, estimator, pipeline

FEATURES = ["f0", "f1", "f2", "f3"]


def cohort(n=80, seed=0) -> tuple[pd.DataFrame, np.ndarray]:
    """Features, of which f0 tells the outcome, beside the columns that are no features."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=FEATURES)
    X["f0"] += 2 * y
    site = [f"S{k % 2}" for k in range(n)]
    return X.assign(site=site, age=rng.normal(60, 9, n), subject=range(n), label=y), y


def told(X, y, model="logistic", **options) -> np.ndarray:
    return pipeline(model, **options).fit(X, y).predict_proba(X)[:, 1]


@pytest.mark.parametrize("model", GRIDS)
def test_every_model_learns_and_gives_the_same_numbers_again(model):
    X, y = cohort()
    p = told(X[FEATURES], y, model, selector="mrmr", k=2)
    assert auc(y, p) > 0.85
    assert np.array_equal(p, told(X[FEATURES], y, model, selector="mrmr", k=2))


@pytest.mark.parametrize("model", GRIDS)
def test_every_default_grid_is_of_the_models_own_parameters(model):
    for point in ParameterGrid(GRIDS[model]):
        made = estimator(model, **point).get_params()
        assert {name: made[name] for name in point} == point


def test_patient_site_and_label_are_no_features():
    X, y = cohort()
    X = X.drop(columns="age")
    fitted = pipeline("logistic").fit(X, y)
    assert fitted["select"].selected_ == FEATURES
    changed = X.assign(label=1 - y, site="?", subject="?")
    assert np.array_equal(fitted.predict_proba(changed), fitted.predict_proba(X))


def test_other_columns_and_another_order_of_columns_change_nothing():
    X, y = cohort()
    fitted = pipeline("logistic").fit(X[FEATURES], y)
    expected = fitted.predict_proba(X[FEATURES])
    assert np.array_equal(fitted.predict_proba(X.assign(new=9.0).iloc[:, ::-1]), expected)


def test_missing_values_are_given_the_training_median():
    X, y = cohort()
    X.loc[:9, "f1"] = np.nan
    fitted = pipeline("logistic").fit(X[FEATURES], y)
    gap = X[FEATURES].iloc[20:21].assign(f1=np.nan)
    filled = gap.assign(f1=X["f1"].median())
    assert np.array_equal(fitted.predict_proba(gap), fitted.predict_proba(filled))
    assert fitted["impute"].transform(gap)["f1"].item() == X["f1"].median()


def test_a_feature_without_any_training_value_does_no_harm():
    X, y = cohort()
    p = told(X[FEATURES].assign(f3=np.nan), y)
    assert p == pytest.approx(told(X[FEATURES[:3]], y), abs=1e-6)


def test_nullable_columns_with_gaps_are_taken():
    X, y = cohort()
    whole = X[FEATURES].assign(f3=[np.nan] * 5 + [*range(75)])
    nullable = whole.astype({"f3": "Int64"})
    assert np.array_equal(told(nullable, y), told(whole, y))


def test_linear_models_see_standardized_features():
    X, y = cohort()
    ready = pipeline("logistic").fit(X[FEATURES] * [1, 10, 100, 1000] + 5, y)[:-1]
    out = ready.transform(X[FEATURES] * [1, 10, 100, 1000] + 5)
    assert out.mean().to_numpy() == pytest.approx(0, abs=1e-10)
    assert out.std(ddof=0).to_numpy() == pytest.approx(1, abs=1e-10)


def test_harmonization_is_fitted_on_a_copy_and_takes_its_columns_away():
    X, y = cohort()
    X.loc[X["site"] == "S1", FEATURES] += 5
    combat = ComBat(covariates=["age"])
    fitted = pipeline("logistic", combat=combat).fit(X, y)
    assert not hasattr(combat, "features_")
    assert fitted["select"].selected_ == FEATURES
    out = fitted[:3].transform(X).groupby(X["site"]).mean()
    assert np.ptp(out.to_numpy(), axis=0).max() < 0.3


def test_the_outcome_is_refused_as_covariate_of_the_harmonization():
    with pytest.raises(RequestError, match="outcome cannot be a covariate"):
        pipeline("logistic", combat=ComBat(covariates=["age", "label"]))


def test_normal_scores_are_bloms_and_depend_on_ranks_alone():
    x = np.random.default_rng(0).normal(size=(201, 2))
    scores = NormalScores().fit(x).transform(x)
    blom = norm.ppf((np.arange(1, 202) - 3 / 8) / (201 + 1 / 4))
    assert np.sort(scores[:, 0]) == pytest.approx(blom, abs=1e-6)
    assert NormalScores().fit(np.exp(x)).transform(np.exp(x)) == pytest.approx(scores, abs=1e-6)


def test_the_ends_of_normal_scores_are_those_of_the_training_rows():
    X, y = cohort()
    fitted = pipeline("logistic", rank_normal=True).fit(X[FEATURES], y)
    top = X[FEATURES].max().to_frame().T
    assert np.array_equal(fitted.predict_proba(top), fitted.predict_proba(top + 1e6))


def test_ranks_before_imputation_leave_missing_values_in_the_middle():
    X, y = cohort()
    X.loc[:9, "f1"] = np.nan
    out = pipeline("xgboost", rank_normal=True).fit(X[FEATURES], y)[:-2].transform(X[FEATURES])
    assert out.loc[:9, "f1"].to_numpy() == pytest.approx(0, abs=0.05)


def test_the_network_trains_for_its_epochs_without_a_warning():
    X, y = cohort()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        fitted = pipeline("mlp", max_iter=3).fit(X[FEATURES], y)
    assert isinstance(fitted["model"], SmallNetwork)
    assert fitted["model"].n_iter_ == 3


def test_the_seed_reaches_the_model():
    X, y = cohort()
    first, other = (told(X[FEATURES], y, "mlp", seed=seed, max_iter=5) for seed in (0, 1))
    assert not np.allclose(first, other)


def test_hyper_parameters_reach_the_model():
    assert pipeline("xgboost", max_depth=5)["model"].max_depth == 5
    assert pipeline("logistic", C=3.0)["model"].C == 3.0


def test_an_unknown_model_is_refused_with_the_choices():
    with pytest.raises(RequestError, match=r"no model 'forest'\n.*xgboost, logistic, mlp"):
        pipeline("forest")


@pytest.mark.parametrize(("model", "choice"), [("logistic", "C"), ("xgboost", "max_depth, n_est")])
def test_an_unknown_parameter_is_refused_with_the_choices(model, choice):
    with pytest.raises(RequestError, match=f"'{model}' has no parameter depth\n.*one of {choice}"):
        pipeline(model, depth=3)
