"""The exercises of the lessons on numbers made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

HU = np.array([[-900.0, -700, -500, 40], [-800, 0, 50, 700]])
SLICE = {"hu": HU, "threshold": -500, "dx": 2.0, "dy": 5.0}
VOLUME = np.array([[[-1000, -500], [0, 100]]])
LUNGS = np.array([[[False, True], [True, False]]])
KERNEL = {"edges at the side": np.array([[-1, 0, 1]] * 3)}
FILMS = np.add.outer(np.zeros(1), np.add.outer(np.zeros(40), np.arange(50.0)))
WEIGHTS = SimpleNamespace(parameters=lambda: [np.zeros((8, 3)), np.zeros(8)])


@pytest.fixture(autouse=True)
def countable(monkeypatch):
    """Arrays stand for PyTorch's weights, which are heavy to import."""
    counted = [SimpleNamespace(numel=lambda w=w: w.size) for w in WEIGHTS.parameters()]
    monkeypatch.setattr(WEIGHTS, "parameters", lambda: counted)


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("image 1", SLICE, 0.3, 30.0),
        ("image 2", {"voxel_mm3": 19.3}, 51813.47, 0.0193),
        ("image 3", {"volume": VOLUME, "lungs": LUNGS, "voxel_mm3": 2000.0}, 3.0, 1.5),
        ("few_patients 1", {}, 834.3, 417.0),
        ("few_patients 2", {"p_values": np.array([0.01, 0.04, 0.05, 0.9])}, 2, 3),
        (
            "few_patients 3",
            {"y": [0, 0, 1, 1], "at_b": [False, True, True, True], "roc_auc_score": roc_auc_score},
            0.75,
            0.5,
        ),
        ("network 1", {"films": FILMS, "kernels": KERNEL}, 6.0, 2.0),
        ("network 2", {"network": lambda: WEIGHTS}, 32, 24),
        (
            "network 3",
            {"y": np.array([0, 0, 0, 1, 1]), "p": np.array([0.1, 0.4, 0.6, 0.4, 0.9])},
            4,
            3,
        ),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"lessons/{exercise}", right, **names) == "Correct.\n"
    assert said(f"lessons/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"lessons/{exercise}", ..., **names) == "Not answered yet.\n"
