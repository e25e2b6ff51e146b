"""The exercises, with answers by hand."""

from __future__ import annotations

import numpy as np
import pytest

GIVEN = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("diffusion 1", {"seen": 300.0, "growth": 0.25}, 375.0, 240.0),
        ("diffusion 2", {"given": GIVEN}, np.array([[0, 0.6, -0.8], [1.0, 0, 0]]), GIVEN),
        ("diffusion 3", {"turn": TURN, "v": np.array([0.6, 0, 0.8])}, np.array([0, -0.6, 0.8]),
         np.array([0, 0.6, 0.8])),
        ("diffusion 4", {"values": np.array([1.7, 0.4, 0.3])}, 0.44933, 0.8),
    ],
)  # fmt: skip
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"thalamus_tractography/{exercise}", right, **names) == "Correct.\n"
    assert said(f"thalamus_tractography/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"thalamus_tractography/{exercise}", ..., **names) == "Not answered yet.\n"
