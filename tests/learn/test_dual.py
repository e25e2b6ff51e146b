"""The dual logistic regression is scikit-learn's, at the cost of patients instead of features."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from nextaim_kit.learn.dual import DualLogistic, inner_products


@pytest.fixture(scope="module")
def patients():
    """Sixty patients of six hundred correlated features, a hundred of which tell a little."""
    rng = np.random.default_rng(5)
    y = rng.permutation(np.tile([0, 1], 30))
    X = rng.normal(size=(60, 10)) @ rng.normal(size=(10, 600)) + rng.normal(size=(60, 600)) + 3
    X[:, :100] += 0.4 * y[:, None]
    return X, y


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_it_gives_the_coefficients_of_scikit_learn(patients, strength):
    X, y = patients
    ours = DualLogistic(C=[strength], relative=False).fit(X[:45], y[:45])
    theirs = LogisticRegression(C=strength, solver="newton-cg", tol=1e-12, max_iter=1000)
    theirs.fit(X[:45], y[:45])
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(X[45:]), theirs.predict_proba(X[45:]), atol=1e-7)
    assert (ours.predict(X[45:]) == theirs.predict(X[45:])).all()


def test_inner_folds_choose_what_a_grid_search_chooses(patients):
    X, y = patients
    strengths = [1e-5, 1e-4, 1e-3, 1e-2]
    ours = DualLogistic(C=strengths, relative=False, folds=4, seed=3).fit(X, y)
    folds = StratifiedKFold(4, shuffle=True, random_state=3)
    plain = LogisticRegression(tol=1e-8, max_iter=5000)
    search = GridSearchCV(plain, {"C": strengths}, scoring="roc_auc", cv=folds).fit(X, y)
    np.testing.assert_allclose(ours.inner_auc_, search.cv_results_["mean_test_score"], atol=1e-12)
    assert search.best_params_["C"] == ours.C_


def test_relative_strengths_do_not_depend_on_how_many_copies_of_the_features_there_are(patients):
    X, y = patients
    one, four = (DualLogistic(C=[0.3]).fit(np.tile(X, k), y) for k in (1, 4))
    np.testing.assert_allclose(
        one.decision_function(X), four.decision_function(np.tile(X, 4)), atol=1e-8
    )


def test_what_is_added_to_a_feature_does_not_count(patients):
    X, y = patients
    shift = np.linspace(-50, 50, X.shape[1])
    one, other = (DualLogistic(C=[0.1]).fit(Z, y) for Z in (X, X + shift))
    np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-8)


def test_inner_products_are_those_of_double_precision_in_blocks():
    X = np.random.default_rng(0).normal(size=(20, 9000)).astype(np.float32)
    centered = X.astype(float) - X.mean(0, dtype=float)
    found = inner_products(X, X.mean(0, dtype=float))
    np.testing.assert_allclose(found, centered @ centered.T, rtol=1e-12, atol=1e-9)


def test_other_names_of_the_classes_come_back(patients):
    X, y = patients
    names = np.where(y, "ASD", "TD")
    found = DualLogistic(C=[0.1]).fit(X, names)
    assert found.classes_.tolist() == ["ASD", "TD"]
    assert set(found.predict(X)) == {"ASD", "TD"}


def test_it_is_a_step_of_a_pipeline_and_can_be_cloned(patients):
    X, y = patients
    lacking = np.where(np.random.default_rng(1).random(X.shape) < 0.01, np.nan, X)
    model = clone(make_pipeline(SimpleImputer(), DualLogistic(C=(0.1, 1.0))))
    assert model.fit(lacking, y).predict_proba(lacking).shape == (60, 2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, y: (np.where(X > 5, np.nan, X), y), "NaN"),
        (lambda X, y: (X, np.zeros(60)), "two classes are needed"),
        (lambda X, y: (X, np.arange(60) % 3), "two classes are needed"),
        (lambda X, y: (X, y[:50]), "inconsistent numbers of samples"),
    ],
)
def test_what_cannot_be_fitted_is_refused(patients, change, said):
    with pytest.raises(ValueError, match=said):
        DualLogistic(C=[1.0]).fit(*change(*patients))
