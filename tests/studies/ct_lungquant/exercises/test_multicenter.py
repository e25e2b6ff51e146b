"""The checks of the exercises accept what is right, and only that."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.studies.ct_lungquant.exercises import multicenter as exercises

AGREED = pd.DataFrame({"share": [0.0, 1.0, 0.5, 0.9]})
CHOICES = pd.DataFrame({"question": ["zones", "zones", "type"], "auc": [0.8, 0.9, 0.99]})


@pytest.mark.parametrize(
    ("check", "given", "right", "wrong"),
    [
        (exercises.check_unanimous, (AGREED,), 2, 1),
        (exercises.check_paradox, (), 0.444, 0.8),
        (exercises.check_mean_of_readers, (0.6, 14), 0.9545, 0.6),
        (exercises.check_flattery, (CHOICES, {"zones": 0.85}), 0.05, 0.14),
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


def test_where_zones_have_no_auc_the_exercise_says_so(capsys):
    exercises.check_flattery(..., CHOICES[CHOICES["question"] == "type"], {"type": 0.9})
    assert "no AUC for zones" in capsys.readouterr().out
