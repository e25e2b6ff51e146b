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
BY_NAME = SCORES.pivot(index="subject", columns="name", values="psnr")


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("pairs 1", {"storm": np.full((4, 4), 0.1)}, 20.0, 10.0),
        ("pairs 2", {"by_name": BY_NAME}, 2, 1),
        ("pairs 3", {"repeated": 20.0}, 23.0103, 26.02),
        ("pairs 4", {"photons": 4.0}, 0.5, 0.25),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    assert said(f"microscopy_superres/{exercise}", right, **names) == "Correct.\n"
    assert said(f"microscopy_superres/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"microscopy_superres/{exercise}", ..., **names) == "Not answered yet.\n"
