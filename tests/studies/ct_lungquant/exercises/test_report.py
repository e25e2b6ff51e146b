"""The checks of the report's exercises accept what is right, and only that."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from nextaim_kit.studies.ct_lungquant.exercises import report as exercises

CAUGHT = pd.DataFrame({"name": ["a", "b", "c"], "value": [100.0, 0.0, 0.0]})


@pytest.mark.parametrize(
    ("check", "given", "right", "wrong"),
    [
        (exercises.check_unit, (), "mL", "ml"),
        (exercises.check_waiting, (SimpleNamespace(fields=[0] * 18),), 16, 17),
        (exercises.check_never_caught, (CAUGHT,), ["c", "b"], "b"),
        (exercises.check_slipped, (0.5,), 100, 5000),
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
