"""A check reads what is right from the folded solution, and tells more with each try."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from nextaim_kit.errors import DataError, RunError
from nextaim_kit.show import exercises
from nextaim_kit.show.exercises import find_exercise, number_of, solve

NONE = "These data have no answer to this exercise; the synthetic ones have."


def code(source, *tags):
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Write a notebook of one exercise with this solution, or of these cells."""
    monkeypatch.setattr(exercises, "_wrong", exercises.Counter())
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)

    def make(solved="answer = 0.25", *cells):
        stub = code("answer = ...\ncheck(answer, 1)", "exercise")
        cells = cells or (stub, code(f"{solved}\n# Hint: look\n# closely", "solution"))
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), tmp_path / "1_draw.ipynb")
        return tmp_path / "1_draw.ipynb"

    return make


@pytest.fixture
def reader(notebook, capsys):
    """Answer as a reader does, whose names are given; what is said comes back."""

    def answered(answer, solved="answer = 0.25", call="check(answer, 1)", **names):
        run = SimpleNamespace(notebook=SimpleNamespace(id="toy/draw", path=notebook(solved)))
        scope = names | {"run": run, "answer": answer, "check": exercises.check}
        exec(call, scope)
        return capsys.readouterr().out

    return answered


def test_an_answer_is_held_against_what_the_solution_gives_with_the_readers_names(reader):
    assert reader(0.25) == "Correct.\n"
    assert reader(6, "answer = sum(values)", values=[1, 2, 3]) == "Correct.\n"
    assert reader(...) == "Not answered yet.\n"


def test_the_hint_comes_with_the_second_wrong_answer_and_the_way_to_a_solution_with_the_third(
    reader,
):
    tries = [reader(answer) for answer in (25, ..., 0.5, -0.25, 9, 0.25)]
    assert tries[0] == "Not yet. It is 100 times too large. Is a share asked for, or percent?\n"
    assert tries[1] == "Not answered yet.\n"
    assert tries[2] == "Not yet.\nHint: look closely\n"
    offered = "Hint: look closely\nTo see a solution: check(answer, 1, show=True)\n"
    assert tries[3] == f"Not yet. The sign is wrong.\n{offered}"
    assert tries[4] == f"Not yet.\n{offered}"
    assert tries[5] == "Correct.\n"


def test_a_solution_is_shown_to_who_asks_from_the_third_wrong_answer_on(reader):
    ask = {"call": "check(answer, 1, show=True)"}
    refused = "A solution is shown after 3 wrong answers; there were {}.\n"
    assert reader(..., **ask) == f"Not answered yet.\n{refused.format(0)}"
    assert all(reader(answer, **ask).endswith(refused.format(answer)) for answer in (1, 2))
    shown = "A solution, to read and compare:\n\nanswer = 0.25\n"
    assert reader(3, **ask).endswith(shown)
    assert reader(..., **ask) == f"Not answered yet.\n{shown}"
    assert "answer = " not in reader(4)
    assert reader(0.25, **ask) == f"Correct.\n{shown}"


def test_each_member_of_a_set_is_right(reader):
    solved = "answer = {'A', 'B'}  # a tie"
    assert reader("A", solved) == reader("B", solved) == "Correct.\n"
    assert reader("C", solved).startswith("Not yet.")


def test_the_readers_names_are_untouched_and_the_solution_prints_nothing(capsys):
    names = {"values": [1, 2], "answer": "mine"}
    source = "import math\nprint('shown')\nvalues = [5]\nanswer = values[0]"
    assert solve(source, names) == 5
    assert names == {"values": [1, 2], "answer": "mine"}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("solved", "why"),
    [
        ("answer = [][0]", "IndexError: list index out of range"),
        ("answer = None", "the solution gives None"),
        ("answer = ...", "the solution gives Ellipsis"),
        ("answer = np.array([]).mean()", "the solution gives nan"),
        ("answer = set()", "the solution gives an empty set"),
        ("if False:\n    answer = 1", "the solution gives None"),
        ("answer = ('a', float('nan'))", "own answer is refused"),
    ],
)
def test_data_without_an_answer_end_no_run_of_a_reader_but_one_on_the_twin(
    reader, monkeypatch, solved, why
):
    for answer in (..., 3):
        said = reader(answer, solved, np=np)
        assert said.startswith(NONE)
        assert why in said
    monkeypatch.setenv("NEXTAIM_PROVE", "1")
    with pytest.raises(RunError, match=f"exercise 1 has no answer\n.*{why}"):
        reader(..., solved, np=np)


def test_a_wrong_answer_of_a_reader_ends_no_run_on_the_twin_either(reader, monkeypatch):
    monkeypatch.setenv("NEXTAIM_PROVE", "1")
    assert reader(7).startswith("Not yet.")
    assert reader(...) == "Not answered yet.\n"


def test_a_solution_that_checks_itself_is_refused_and_goes_in_no_circle():
    with pytest.raises(DataError) as refused:
        solve("answer = 1\ncheck(answer, 1)", {"check": exercises.check})
    assert "name 'check' is not defined" in refused.value.found


def test_an_exercise_is_found_although_its_answer_is_half_written_or_holds_a_magic(notebook):
    broken = "answer = (\n%time x\ncheck(\n    answer,\n    3,\n    tolerance=0.01,\n)"
    path = notebook("", code(broken, "exercise"), code("answer = 5\n# Hint: a\n# b", "solution"))
    assert find_exercise(path, 3)[2:] == ("answer = 5", "a b")
    for source in ("\ncheck(answer", "\ncheck(answer)"):
        assert number_of({"source": source, "metadata": {"tags": ["exercise"]}}) is None


def test_none_or_two_exercises_of_a_number_or_no_solution_below_are_named(notebook):
    stubs = [code("\ncheck(answer, 1)", "exercise") for _ in range(2)]
    folded = [code("answer = 5", "solution") for _ in range(2)]
    with pytest.raises(RunError, match=r"check\(answer, 2\).*\n.*0 such exercises in 1_draw"):
        find_exercise(notebook(), 2)
    with pytest.raises(RunError, match="2 such exercises"):
        find_exercise(notebook("", stubs[0], folded[0], stubs[1], folded[1]), 1)
    with pytest.raises(RunError, match="1 such exercises"):
        find_exercise(notebook("", stubs[0], code("print()"), folded[0]), 1)


def test_an_exercise_before_the_run_was_started_says_so():
    with pytest.raises(RunError, match=r"belongs to no run\n.*start\("):
        exec("check(1, 1)", {"check": exercises.check})
