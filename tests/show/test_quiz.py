"""A quiz takes first choices, gives reasons after the lesson, and shows both scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextaim_kit.catalog import studies
from nextaim_kit.errors import DataError
from nextaim_kit.show import Quiz, quiz
from nextaim_kit.show.tries import tries_file

QUESTIONS = """
- {question: Which unit?, right: HU, wrong: [mm, ml], why: It is scaled.}
- {question: What is <2?, right: "1", wrong: ["3"], why: It is less.}
"""
LESSONS = [n for s in studies() if s.id == "lessons" for n in s.notebooks.values()]


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text(QUESTIONS)
    return Quiz(path)


@pytest.fixture
def lesson(toy):
    """A lesson's questions as a kernel that has just begun asks them."""
    path = toy().with_suffix(".yaml")
    path.write_text(QUESTIONS)
    return lambda: Quiz(path)


def test_first_choices_outlive_the_kernel_and_the_choices_themselves_are_not_kept(lesson):
    lesson().choose("before", 0, "mm")
    again = lesson()
    assert again.score("before") == "Before the lesson: 0 of 1 right, 1 open."
    again.choose("before", 0, "HU")
    again.choose("after", 1, "1")
    assert "0 of 1 right" in again._widget("after").children[-1].value
    assert [tuple(one) for one in quiz.asked()] == [
        ("toy/draw", 1, False, None), ("toy/draw", 2, None, True),
    ]  # fmt: skip
    assert "mm" not in tries_file().read_text()


def test_questions_of_no_lesson_and_a_disk_that_is_shut_keep_nothing(asked, lesson, monkeypatch):
    asked.choose("before", 0, "mm")
    assert not tries_file().exists()
    monkeypatch.setenv("NEXTAIM_PROGRESS", __file__)
    assert lesson().choose("before", 0, "mm") == "Noted. (This choice is not kept: File exists.)"


def test_before_the_lesson_a_choice_is_noted_and_nothing_is_given_away(asked):
    assert asked.choose("before", 0, "mm") == asked.choose("before", 0, "HU") == "Noted."


def test_the_first_choice_counts_and_both_scores_are_told(asked):
    for when, first in (("before", "mm"), ("after", "HU")):
        asked.choose(when, 0, first)
        asked.choose(when, 0, "ml")
    assert asked.score("before") == "Before the lesson: 0 of 1 right, 1 open."
    asked.choose("after", 1, "1")
    assert asked.score("after") == "After the lesson: 2 of 2 right."


def test_a_wrong_choice_after_the_lesson_is_told_with_the_reason(asked):
    assert asked.choose("after", 0, "mm") == "Not this one. It is scaled."


def test_a_click_is_answered_below_its_question_and_scored_below_all(asked):
    box = asked._widget("after")
    _, choices, told = box.children[0].children
    choices.value = "HU"
    assert "Right. It is scaled." in told.value
    assert "After the lesson: 1 of 1 right, 1 open." in box.children[-1].value


def test_before_the_lesson_the_score_is_told_when_all_is_answered(asked):
    box = asked._widget("before")
    for line in box.children[:-1]:
        line.children[1].value = line.children[1].options[0]
        scored = box.children[-1].value
    assert "Before the lesson: 2 of 2 right." in scored


def test_where_nobody_looks_the_questions_are_text_and_escaped(asked, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    asked.before()
    asked.after()
    assert "What is &lt;2?" in shown[0]
    assert "It is scaled." not in shown[0]
    assert "It is scaled." in shown[1]


@pytest.mark.parametrize(
    "text", ["{question: x}", "[{question: x, right: a, wrong: [a], why: b}]", "[1]", "a: ["]
)
def test_a_file_without_questions_is_refused(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(DataError, match=r"odd\.yaml"):
        Quiz(tmp_path / "odd.yaml")


@pytest.mark.parametrize("notebook", LESSONS, ids=lambda n: n.id)
def test_a_lesson_has_five_questions_whose_right_choice_is_not_always_in_one_place(notebook):
    questions = Quiz(Path(notebook.path).with_suffix(".yaml")).questions
    assert len(questions) == 5
    assert len({quiz._choices(one).index(one["right"]) for one in questions}) > 1
