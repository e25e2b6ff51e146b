"""Tries are kept on the user's disk, and counted up to the first right answer."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from types import SimpleNamespace

import nbformat
import pytest

from nextaim_kit.show import exercises
from nextaim_kit.show.tries import progress, tries_file


@pytest.fixture
def learner(toy, monkeypatch):
    """A notebook of two exercises; answer the first of them."""
    monkeypatch.setattr(exercises, "_wrong", exercises.Counter())
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)
    path = toy()
    document = nbformat.read(path, as_version=4)
    for number in (1, 2):
        stub = nbformat.v4.new_code_cell(f"answer = ...\ncheck(answer, {number})")
        solved = nbformat.v4.new_code_cell("answer = 5")
        stub.metadata["tags"], solved.metadata["tags"] = ["exercise"], ["solution"]
        stub.id, solved.id = f"draw-{number}", f"draw-{number}-solved"
        document.cells += [stub, solved]
    nbformat.write(document, path)
    run = SimpleNamespace(notebook=SimpleNamespace(id="toy/draw", path=path))

    def answers(*given, show=False):
        for answer in given:
            scope = {"run": run, "answer": answer, "check": exercises.check, "show": show}
            exec("check(answer, 1, show=show)", scope)
        return [tuple(one) for one in progress()]

    return answers


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ([], (0, False, False)),
        ([..., ...], (0, False, False)),
        ([3], (1, False, False)),
        ([3, ..., 5], (2, True, False)),
        ([5, 3, 3, 3], (1, True, False)),
        ([3, 4, 6], (3, False, False)),
        ([3, 4, 6, 5, 5], (4, True, False)),
    ],
)
def test_tries_count_up_to_the_first_right_answer(learner, given, first):
    assert learner(*given) == [("toy/draw", 1, *first), ("toy/draw", 2, 0, False, False)]


def test_a_solution_that_was_asked_for_is_a_try_that_says_so_unless_it_came_after_a_right_one(
    learner,
):
    assert learner(3, 4, ..., show=True)[0][2:] == (2, False, False)
    assert learner(6, ..., show=True)[0][2:] == (4, False, True)
    assert learner(5, show=True)[0][2:] == (5, True, True)


def test_the_file_is_the_user_s_alone_and_holds_no_answer(learner):
    learner(31415, 5)
    assert tries_file().stat().st_mode & 0o777 == 0o600
    assert tries_file().parent.stat().st_mode & 0o777 == 0o700
    lines = tries_file().read_text().splitlines()[1:]
    assert {*json.loads(lines[0])} == {"notebook", "exercise", "right", "shown"}
    assert "31415" not in tries_file().read_text()


def test_a_line_that_was_cut_short_spoils_no_other(learner):
    learner(3)
    with tries_file().open("a") as stream:
        stream.write('\n{"notebook": "toy/dr')
    assert learner(5)[0] == ("toy/draw", 1, 2, True, False)


@pytest.mark.parametrize(
    "line", [b'{"notebook": "toy/draw", "exercise": "draw-1"}', b'"text"', b"\xff\xfe", b"[[[["]
)
def test_a_strange_line_is_passed_over(learner, line):
    learner(5)
    with tries_file().open("ab") as stream:
        stream.write(b"\n" + line)
    assert learner()[0][2:4] == (1, True)


def test_a_headless_run_counts_nothing(learner, monkeypatch):
    monkeypatch.setenv("NEXTAIM_RUN", "/somewhere")
    learner(3, 5)
    assert not tries_file().exists()


def test_a_folder_that_cannot_be_written_is_said_and_ends_nothing(
    learner, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEXTAIM_PROGRESS", str(tmp_path / "file"))
    learner(5)
    assert capsys.readouterr().out == "Correct.\n(This try is not counted: File exists.)\n"


def test_without_a_variable_the_file_lies_where_programs_keep_their_data(monkeypatch, tmp_path):
    monkeypatch.delenv("NEXTAIM_PROGRESS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert tries_file() == tmp_path / "nextaim_kit" / "tries.jsonl"


TRIES = """
import sys
from nextaim_kit.show.tries import keep_try
for _ in range(50):
    keep_try("toy/draw", f"draw-{sys.argv[1]}", right=False, shown=False)
"""


def test_notebooks_that_are_open_at_once_lose_no_try_of_each_other():
    command = [sys.executable, "-c", TRIES]
    learners = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [one.wait() for one in learners] == [0, 0, 0, 0]
    kept = [json.loads(line)["exercise"] for line in tries_file().read_text().splitlines()[1:]]
    assert sorted(kept) == sorted(f"draw-{k}" for k, _ in product(range(4), range(50)))
