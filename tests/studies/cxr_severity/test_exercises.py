"""The checks of the exercises accept what is right, and only that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.cxr_severity import exercises

FILM = np.array([[-1.0, 2.0], [0.5, -1.5]])
CALLED = np.array([0.5, 0.2, 0.4, 0.1])
ONE, OTHER = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
SCORES = pd.DataFrame({"subject": ["a", "b", "c"], "dsc": [0.5, 0.9, 0.8], "hd95": [3.0, 9.0, 1.0]})
MODELS = pd.DataFrame({
    "name": ["fusion", "image branch", "clinical, XGBoost", "view only", "view only"],
    "metric": ["auc", "auc", "auc", "auc", "brier"],
    "value": [0.9, 0.8, 0.85, 0.7, 0.99],
})  # fmt: skip
PEOPLE = pd.DataFrame({"y": [1, 1, 0, 1], "called": [True, False, False, False]})


@pytest.mark.parametrize(
    ("check", "given", "right", "wrong"),
    [
        (exercises.check_inverse, (FILM,), -FILM, 1 - FILM),
        (exercises.check_wrong_films, (CALLED, np.array([0, 0, 1, 1])), 3, 1),
        (exercises.check_archive, (0.989,), 110, 11),
        (exercises.check_dice, (ONE, OTHER), 0.5, 1 / 3),
        (exercises.check_worst_border, (SCORES,), "b", "a"),
        (exercises.check_shift, (), 7, 0.7),
        (exercises.check_best_without_film, (MODELS,), 0.85, 0.9),
        (exercises.check_severe_of_called, (0.8, 0.8), 50, 80),
        (exercises.check_missed, (PEOPLE,), 2, 1),
        (exercises.check_fusion_wins, (0.01,), "yes", "no"),
        (exercises.check_fusion_wins, (-0.01,), "no", "yes"),
    ],
)
def test_an_exercise_tells_right_from_wrong(capsys, monkeypatch, check, given, right, wrong):
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)
    for answer, said in (
        (right, "Correct."),
        (wrong, "Not yet. Hint:"),
        (..., "Not answered yet."),
    ):
        check(answer, *given)
        assert capsys.readouterr().out.startswith(said)
