"""The exercises of this notebook on tables of a few rows, with answers found by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.challenges.privacy.made_heads import scan

NOTEBOOK = "challenges/privacy"
BY_COUNT = pd.DataFrame({"measures": [1, 4, 9], "value": [0.02, 0.11, 0.3]})
AUCS = pd.DataFrame(
    {"name": ["copies with noise", "SMOTE", "twin"], "value": [0.99, 0.9, 0.5]}
)  # fmt: skip


@pytest.mark.parametrize(
    ("number", "names", "right", "wrong"),
    [
        (1, {"found": 0.3}, 25.0, 75.0),
        (3, {"by_count": BY_COUNT, "place": np.ones(100)}, 4, 9),
        (5, {"aucs": AUCS}, "SMOTE", "twin"),
        (6, {}, 0.832018, 0.598688),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, number, names, right, wrong):
    assert said(f"{NOTEBOOK} {number}", right, **names) == "Correct.\n"
    assert said(f"{NOTEBOOK} {number}", wrong, **names).startswith("Not yet.")
    assert said(f"{NOTEBOOK} {number}", ..., **names) == "Not answered yet.\n"


def test_an_exposure_is_tried_on_several_ranks(said):
    assert said(f"{NOTEBOOK} 2", lambda rank: np.log2(10_000 / rank)) == "Correct.\n"
    assert said(f"{NOTEBOOK} 2", lambda rank: np.log2(rank)).startswith("Not yet.")


def test_an_image_is_scaled_by_the_brain_alone(said):
    names = {"shared": [SimpleNamespace(scanned=scan(0, 0))]}

    def of(mean, spread):
        return said(f"{NOTEBOOK} 4", lambda v, b: (v - mean(v, b)) / spread(v, b), **names)

    def inside(what):
        return lambda values, brain: what(values[brain])

    def everywhere(what):
        return lambda values, brain: what(values)

    assert of(inside(np.mean), inside(np.std)) == "Correct.\n"
    assert of(inside(np.mean), everywhere(np.std)).startswith("Not yet.")
    assert of(everywhere(np.mean), everywhere(np.std)).startswith("Not yet.")
