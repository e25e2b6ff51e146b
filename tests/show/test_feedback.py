"""Feedback to exercises, and the line of progress."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RunError
from nextaim_kit.progress import ProgressLine
from nextaim_kit.show.feedback import feedback


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (..., 1, "Not answered yet. Hint: look"),
        (2, 1, "Not yet. Hint: look"),
        ("x", 1.0, "Not yet. Hint: look"),
        (1.0004, 1, "Correct."),
        (" Pavia", "pavia", "Correct."),
        (["b", "a"], ["a", "b"], "Correct."),
        (["a"], ["a", "b"], "Not yet. Hint: look"),
    ],
)
def test_an_answer_is_told_right_or_given_the_hint(capsys, monkeypatch, answer, expected, said):
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)
    feedback(answer, expected, hint="look", tolerance=1e-3)
    assert capsys.readouterr().out.strip() == said


def test_headless_on_the_twin_a_wrong_solution_fails_and_an_open_exercise_does_not(
    monkeypatch, capsys
):
    monkeypatch.setenv("NEXTAIM_PROVE", "1")
    feedback(..., 1, hint="look")
    with pytest.raises(RunError, match="solution of an exercise is wrong"):
        feedback(2, 1, hint="look")


def test_on_a_users_own_data_no_solution_ends_a_headless_run(monkeypatch, capsys):
    monkeypatch.setenv("NEXTAIM_RUN", "1")
    monkeypatch.setenv("NEXTAIM_PROVE", "")
    feedback(2, 1, hint="look")
    assert capsys.readouterr().out.strip() == "Not yet. Hint: look"


def test_progress_in_a_log_tells_the_end_and_no_more_than_it_must(capsys):
    line = ProgressLine("radiomics")
    for done in range(1, 101):
        line(done, 100, f"P{done}")
    assert capsys.readouterr().out == "radiomics: 100 of 100 subjects, 0 s, last P100\n"
