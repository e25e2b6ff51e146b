"""The exercises on tables of a few values, with answers by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

SCORES = pd.DataFrame(
    {
        "subject": ["a", "a", "b", "b", "c", "c"],
        "name": ["black", "bicubic, fitted"] * 3,
        "psnr": [20.0, 21.0, 22.0, 21.0, 25.0, 24.0],
    }
)
CURVE = pd.DataFrame(
    {"threshold": [0.1, 0.2, 0.3], "missed": [100, 300, 500], "invented": [400, 100, 50]}
)
SEAMS = pd.DataFrame({"halo": [4, 8, 17, 34], "error": [0.1, 0.003, 1e-4, 0.0]})
SCORED = {"score": np.array([0.2, 0.9, 0.4, 0.7, 0.1]), "made_up": np.array([0, 1, 1, 0, 0])}
LEVELS = {"levels": np.array([0.30, 0.34, 0.32]), "true_level": 0.5}
FORGETTING = pd.DataFrame(
    {"way": "curriculum", "on": "A", "seed": [1, 1, 2, 2], "after": ["A", "B"] * 2,
     "psnr": [20.0, 20.0, 21.0, 19.0]}
)  # fmt: skip
LOST = FORGETTING.pivot(index="seed", columns="after", values="psnr")
FORGOTTEN = {"lost": LOST, "forgetting": FORGETTING, "letters": "AB"}
BY_NAME = SCORES.pivot(index="subject", columns="name", values="psnr")


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("pairs 1", {"storm": np.full((4, 4), 0.1)}, 20.0, 10.0),
        ("pairs 2", {"by_name": BY_NAME}, -1.0, 1.0),
        ("pairs 3", {"repeated": 20.0}, 23.0103, 26.02),
        ("pairs 4", {"photons": 4.0}, 0.5, 0.25),
        ("trust 1", {"curve": CURVE}, 0.2, 0.1),
        ("trust 2", SCORED, 5 / 6, 1 / 6),
        ("trust 3", {"seams": SEAMS}, 34, 8),
        ("trust 4", LEVELS, 9.0, 11.02),
        ("superresolution 1", {"seen": [64, 96, 128, 160, 192]}, 239_808, 239_616),
        ("superresolution 2", {"values": np.array([0.0, 0.0, 0.1, 0.3, 0.9])}, 0.1, 0.26),
        ("superresolution 3", {"real": 2.0, "made": -1.0}, 0.0486, 3.0486),
        ("superresolution 4", {"many": 3}, 49, 47),
        ("superresolution 5", FORGOTTEN, -2.0, -1.0),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"microscopy_superres/{exercise}", right, **names) == "Correct.\n"
    assert said(f"microscopy_superres/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"microscopy_superres/{exercise}", ..., **names) == "Not answered yet.\n"
