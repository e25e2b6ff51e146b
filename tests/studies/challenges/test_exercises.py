"""The checks of the exercises accept what is right, and only that."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.studies.challenges import exercises

LAWS = {"fixed_gb": 0.5, "bytes_per_voxel": 1000.0}
GRID = pd.DataFrame({"edge": [64, 64, 128], "batch": [1, 2, 4], "gb": [1.0, 2.0, 9.0]})
COSTS = pd.DataFrame({"way": ["plain", "patches", "smaller"], "measured_mb": [9.0, 1.0, 1.0]})


@pytest.mark.parametrize(
    ("check", "given", "right", "wrong"),
    [
        (exercises.check_law, (LAWS, 100, 2), 2.5, 2.0),
        (exercises.check_largest_batch, (GRID, 64, 9.5), 2, 4),
        (exercises.check_largest_batch, (GRID, 64, 0.1), 0, 1),
        (exercises.check_largest_batch, (GRID, 32, 9.5), 0, 64),
        (exercises.check_leanest, (COSTS,), "patches", "plain"),
        (exercises.check_leanest, (COSTS,), "smaller", "plain"),
        (exercises.check_idle, (), 20, 25),
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
