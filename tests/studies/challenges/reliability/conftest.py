"""Small tasks made by hand whose sites and signal are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.limited.training import Budget
from nextaim_kit.studies.challenges.reliability.models import Parts, learn
from tests.studies.challenges.limited.conftest import made_images


class Logistic:
    """A model of a table, standardized, its gaps filled."""

    def __init__(self) -> None:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.line = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())

    def fit(self, X, y):
        """Fit, and give itself back."""
        self.line.fit(X, y)
        return self

    def predict_proba(self, X):
        """Of outcomes 0 and 1."""
        return self.line.predict_proba(X)


def made_table(n: int = 320, *, away: float = 0.0, seed: int = 0) -> StudyTask:
    """Six normal features of which three tell the outcome; at site C they do by `away` less."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    sites = rng.permutation(np.array(["A", "B", "C", "D"])[np.arange(n) % 4])
    x = rng.normal(size=(n, 6))
    x[:, :3] += ((1 - away * (sites == "C")) * y)[:, None]
    frame = pd.DataFrame(x.astype(np.float32), columns=[f"f{k}" for k in range(6)])
    who = np.array([f"P{k}" for k in range(n)])
    return StudyTask("rows", "table", x, y, who, sites, frame, lambda seed: Logistic())


@pytest.fixture(scope="session")
def table():
    return made_table()


@pytest.fixture(scope="session")
def images():
    return made_images(128, twice=4)


@pytest.fixture(scope="session")
def learned(table, images, tmp_path_factory):
    """Of each kind of task its parts and a model of them."""
    to, found = tmp_path_factory.mktemp("nets"), {}
    for task in (table, images):
        parts = Parts.of(task, 0)
        found[task.modality] = task, parts, learn(task, parts, to, Budget(60), seed=0)
    return found
