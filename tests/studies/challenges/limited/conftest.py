"""Small tasks made by hand, whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.limited.patients import Split
from nextaim_kit.studies.challenges.limited.training import Budget
from nextaim_kit.studies.challenges.limited.ways import Learner


def net(seed: int) -> nn.Module:
    """Two convolutions, the means of their maps, a logit."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 1))


def made_images(n: int = 96, *, bright: float = 1.5, twice: int = 8, seed: int = 0) -> StudyTask:
    """Noise with a disc, brighter where the outcome is 1; the first patients have two images."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    y[1 : 2 * twice : 2] = y[: 2 * twice : 2]
    away = np.hypot(*(np.indices((16, 16)) - 7.5))
    x = rng.normal(size=(n, 1, 16, 16)) + (bright * y)[:, None, None, None] * (away < 5)
    who = [f"P{k // 2 if k < 2 * twice else k}" for k in range(n)]
    features = pd.DataFrame({"mean": x.mean((1, 2, 3)), "sd": x.std((1, 2, 3))})
    sites = [f"S{int(name[1:]) % 3}" for name in who]
    return StudyTask("made", "image", x, y, np.array(who), np.array(sites), features, net)


def made_table(n: int = 96, features: int = 20, *, seed: int = 0) -> StudyTask:
    """Normal features of which the first four tell the outcome; a few values are missing."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    x = rng.normal(size=(n, features)) * 3 + 10
    x[:, :4] += 3 * y[:, None]
    x[rng.random(x.shape) < 0.02] = np.nan
    frame = pd.DataFrame(x, columns=[f"f{k}" for k in range(features)])
    who = np.array([f"P{k}" for k in range(n)])
    return StudyTask("rows", "table", x, y, who, np.array(["A"] * n), frame, lambda seed: Mean())


class Mean:
    """A model of a table that adds up the first four features."""

    def fit(self, X, y):
        """Nothing to learn."""
        return self

    def predict_proba(self, X):
        """The larger their sum, the nearer to 1."""
        p = 1 / (1 + np.exp(-X.iloc[:, :4].fillna(10).sum(axis=1).to_numpy() + 46))
        return np.stack([1 - p, p], 1)


@pytest.fixture(scope="session")
def images():
    return made_images()


@pytest.fixture(scope="session")
def table():
    return made_table()


@pytest.fixture
def learner(tmp_path):
    """A learner of a task with few updates."""

    def make(task, updates: int = 40, **beside) -> Learner:
        return Learner(Split.of(task, 3, 0), Budget(updates), tmp_path / "nets", **beside)

    return make
