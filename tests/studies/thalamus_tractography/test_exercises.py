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
        ("targeting 1", {"map_": np.array([0.1, 0.3, 0.6, 0.4, 0.2])}, 54 / 13, 4.0),
        ("targeting 2", {"D": np.array([1.2, 0.3, 0.7, -0.2, 0.1, 0.5])},
         np.array([1.2, -0.3, 0.7, 0.2, 0.1, 0.5]), np.array([-1.2, -0.3, 0.7, 0.2, 0.1, 0.5])),
        ("targeting 3", {"one": np.array([0.0, 0.2, 0.5, 0.8, 0.6, 0.3]),
                         "two": np.array([0.1, 0.3, 0.4, 0.4, 0.1, 0.0])}, 4 / 6, 0.5),
        ("targeting 4", {"preparation": 60.0, "tracking": 9000.0, "network": 0.5}, 149.752,
         18000.0),
        ("targeting 5", {"misses_mm": np.array([0.6, 1.1, 2.0, 0.9, 3.4, 1.5, 0.8, 2.6, 1.2, 1.0])},
         (0.2, 1.15), (0.3, 1.15)),
        ("tracking 1", {"launched": 40, "lost": 9, "precentral": 12, "both": 6,
         "postcentral_only": 5}, 0.275, 11 / 31),
        ("tracking 2", {"shares": np.array([[0.3, 0.05, 0.31], [0.04, 0.09, 0], [0.2, 0.6, 0.1]])},
         np.array([3, 0, 2]), np.array([3, 2, 2])),
        ("tracking 3", {"streamlines": 50, "found": 0.90, "wanted": 0.95}, 200, 100),
        ("tracking 4", {"chance": 0.015, "far_away": 60}, 0.40383, 0.1),
        ("tracking 5", {"true_shares": np.array([0.7, 0.3]), "arrive": np.array([0.9, 0.3])},
         0.125, 0.3),
        ("planning 1", {"ac": np.array([1.0, 10, 20]), "pc": np.array([1.0, -16, 20]),
                        "found": np.array([-13.0, -9, 21.5])}, np.array([-14, -6, 1.5]),
         np.array([-14, -19, 1.5])),
        ("planning 2", {"lps": np.array([14.2, 6.1, -2.0])}, np.array([-14.2, -6.1, -2.0]),
         np.array([-14.2, -6.1, 2.0])),
        ("planning 3", {"distances": np.array([0.4, 1.3, 0.9, 2.2, 0.7, 1.1, 3.0, 0.5, 1.6])},
         np.array([2.2, 4]), np.array([3.0, 4])),
        ("planning 4", {"sd_networks": 0.8, "sd_tracking": 1.5}, 1.7, 2.3),
        ("planning 5", {"levels": 255}, 0.5 / 255, 1 / 255),
        ("planning 6", {"heads_asked": 10, "refused_heads": 1, "holding": 8}, (8 / 9, 0.8),
         (0.8, 0.8)),
    ],
)  # fmt: skip
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"thalamus_tractography/{exercise}", right, **names) == "Correct.\n"
    assert said(f"thalamus_tractography/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"thalamus_tractography/{exercise}", ..., **names) == "Not answered yet.\n"
