"""The exercises of these notebooks on tables of a few rows, with answers found by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.asd_fusion import explain

EVERY = pd.DataFrame({
    "part": ["function"] * 3 + ["structure"],
    "diagnoses": ["made up", "made up", "diagnosis", "made up"],
    "way": ["with the diagnosis"] * 4,
    "kind": ["within sites", "pooled", "within sites", "within sites"],
    "value": [0.68, 0.9, 0.7, 0.55],
})  # fmt: skip
# One person's connections bring 0.6 of the 0.8 by which the logit is above its base.
LINEAR = SimpleNamespace(
    table=pd.DataFrame({"logit": [0.1, 1.0], "base": [0.2, 0.2]}),
    part=lambda name: SimpleNamespace(values=np.array([[9.0, 9.0], [0.5, 0.1]])),
)
# The logit goes with the first edge, less with the second, not with the third.
EDGES = np.array([[0.0, 0.0, 1.0], [1.0, 0.4, 1.0], [2.0, 1.0, 1.0]])
NETWORK = SimpleNamespace(table=pd.DataFrame({"logit": [0.0, 1.0, 2.0]}))
OTHERS = {"untrained": np.array([[3.0, 2.0, 1.0]] * 2)}
OTHERS["spread of a connection"] = np.array([1.0, 2.0, 3.0])
PAIRS = pd.DataFrame({"one": ["A", "A", "B"], "other": ["B", "C", "C"]})
PAIRS = PAIRS.assign(edges=[60, 10, 90], value=[0.7, 2.0, 0.1])
AUCS = pd.DataFrame({"name": ["joint network", "function, linear", "confounds"]})
AUCS["value"] = [0.8, 0.75, 0.6]


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        ("features 1", {}, 0.1, 0.0985),
        ("features 2", {}, 0.8, 80),
        ("features 3", {}, lambda n: n * (n - 1) / 2, lambda n: n**2),
        ("harmonization 1", {}, 1 / 35, 0.5),
        ("harmonization 2", {"every": EVERY, "parts": {"function": 0}}, 0.18, 0.68),
        ("harmonization 3", {}, 24, 30),
        ("joint_fusion 1", {}, 168096, 5253),
        ("joint_fusion 2", {"aucs": AUCS, "parts": ["function"]}, 0.15, 0.05),
        ("joint_fusion 3", {}, 0.54983, 0.2),
        ("explanation 1", {"linear": LINEAR}, 0.75, 0.6),
        (
            "explanation 2",
            {"edges": EDGES, "network": NETWORK, "planted": {"function": np.array([0, 0.1, 0.2])}},
            -1.0,
            1.0,
        ),
        ("explanation 3", {"others": OTHERS}, -1.0, 1.0),
        ("explanation 4", {"pairs": PAIRS}, ("B", "A"), ("A", "C")),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    names = {"explain": explain} | names
    assert said(f"asd_fusion/{exercise}", right, **names) == "Correct.\n"
    assert said(f"asd_fusion/{exercise}", wrong, **names).startswith("Not yet.")
    assert said(f"asd_fusion/{exercise}", ..., **names) == "Not answered yet.\n"
