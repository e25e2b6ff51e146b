"""Images and a table made by hand, of which it is known what decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.explainability.explained import Explained, Workshop
from nextaim_kit.studies.challenges.limited.patients import Split
from nextaim_kit.studies.challenges.limited.training import Budget

EDGE = 32


def small(seed: int) -> nn.Module:
    """Two convolutions, the largest value of each map, a logit."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 8, 5, 2, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 1))


def made_images(n: int = 90, *, bright: float = 1.5, seed: int = 0) -> StudyTask:
    """Noise with a square here or there, bright where the outcome is 1, dark where it is 0."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    truth = np.zeros((n, EDGE, EDGE), bool)
    for one, (down, right) in zip(truth, rng.integers(4, EDGE - 6, (n, 2)), strict=True):
        one[down : down + 5, right : right + 5] = True
    square = bright * np.where(y == 1, 1, -1)[:, None, None] * truth
    x = rng.normal(size=(n, 1, EDGE, EDGE)) + square[:, None]
    who = np.array([f"P{k}" for k in range(n)])
    features = pd.DataFrame({"mean": x.mean((1, 2, 3))})
    return StudyTask("made", "image", x, y, who, np.array(["A"] * n), features, small, truth)


def made_table(n: int = 90, seed: int = 0) -> StudyTask:
    """Twelve normal features, of which the first two tell the outcome."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 12))
    x[:, :2] += 2 * y[:, None]
    frame = pd.DataFrame(x, columns=[f"f{k}" for k in range(12)])
    who = np.array([f"P{k}" for k in range(n)])
    sites = np.array(["A"] * n)
    return StudyTask("rows", "table", x, y, who, sites, frame, lambda seed: None, ("f0", "f1"))


class Inside(nn.Module):
    """A network whose logit is the mean of what lies in a region that it was told."""

    def __init__(self, region: torch.Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.region = region.float()[:, None]

    def forward(self, x):
        """Each item by its own region, or, if they are of another number, by the first one."""
        region = self.region if len(x) == len(self.region) else self.region[:1]
        inside = (x * region).flatten(1).sum(1) / region[0].sum()
        return (self.scale * inside)[:, None]


@pytest.fixture(scope="session")
def images():
    return made_images()


@pytest.fixture(scope="session")
def table():
    return made_table()


@pytest.fixture
def workshop(tmp_path):
    """Where networks of a task are trained in few updates."""

    def make(task, updates: int = 120) -> Workshop:
        return Workshop(Split.of(task, 3, 0), Budget(updates), tmp_path / "nets", 0, 12)

    return make


@pytest.fixture(scope="session")
def oracle(images):
    """Items with the outcome and a network that looks where the truth is, nowhere else."""
    rows = np.flatnonzero(images.y == 1)[:10]
    x, truth = torch.from_numpy(images.x[rows]), images.truth[rows]
    net = Inside(torch.from_numpy(truth))
    return Explained(net, x, x[:4], images.groups[rows], truth, "image")


def emptied(task: StudyTask) -> StudyTask:
    """The same task, of which nothing is known."""
    return replace(task, truth=None)
