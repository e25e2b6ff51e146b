"""A learner's copy has no solutions, its checks find them; a table says what was solved."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import nbformat
import pytest

from nextaim_kit import catalog
from nextaim_kit.cli import main
from nextaim_kit.launcher import result
from nextaim_kit.show import exercises
from nextaim_kit.show.tries import keep_choice, keep_try


@pytest.fixture
def notebook(toy, monkeypatch):
    """A notebook with an exercise, run and saved, and with a start page beside its study."""
    monkeypatch.setattr(exercises, "_wrong", exercises.Counter())
    path = toy()
    document = nbformat.read(path, as_version=4)
    shown = nbformat.v4.new_output("stream", text="drawn 3")
    document.cells[3] |= {"outputs": [shown], "execution_count": 3}
    stub = nbformat.v4.new_code_cell("answer = ...\ncheck(answer, 1)")
    solved = nbformat.v4.new_code_cell("answer = 5\n# Hint: look")
    stub.metadata["tags"], solved.metadata["tags"] = ["exercise"], ["solution"]
    stub.id, solved.id = "draw-1", "draw-1-solved"
    document.cells[-1:-1] = [stub, solved]
    nbformat.write(document, path)
    nbformat.write(nbformat.v4.new_notebook(), path.parents[1] / "start_here.ipynb")
    (path.parents[1] / "glossary.md").write_text("# Words\n")
    return path


def cells(path):
    document = nbformat.read(path, as_version=4)
    nbformat.validate(document)
    return document.cells


@pytest.mark.parametrize(("instructor", "more"), [([], 0), (["--instructor"], 1)])
def test_a_copy_has_solutions_only_for_an_instructor_and_no_outputs(
    notebook, tmp_path, capsys, instructor, more
):
    assert main(["course", "copy", "--to", str(tmp_path / "course"), *instructor]) == 0
    assert (
        f"2 notebooks {'with' if more else 'without'} solutions are in" in capsys.readouterr().out
    )
    copied = cells(tmp_path / "course" / "toy" / "1_draw.ipynb")
    assert sum("answer = 5" in c.source for c in copied) == more
    assert len(copied) == len(cells(notebook)) - 1 + more
    assert not any(c.get("outputs") or c.get("execution_count") for c in copied)
    assert (tmp_path / "course" / "glossary.md").read_text() == "# Words\n"


def test_a_learner_s_work_is_not_copied_over(notebook, tmp_path, capsys):
    main(["course", "copy", "--to", str(tmp_path / "course")])
    mine = tmp_path / "course" / "toy" / "1_draw.ipynb"
    mine.write_text("mine")
    main(["course", "copy", "--to", str(tmp_path / "course")])
    assert mine.read_text() == "mine"
    assert "3 were there and are as they were" in capsys.readouterr().out


def test_a_check_in_a_copy_finds_hint_and_solution_which_it_does_not_hold(
    notebook, tmp_path, capsys
):
    main(["course", "copy", "--to", str(tmp_path / "course")])
    stub = cells(tmp_path / "course" / "toy" / "1_draw.ipynb")[-2].source
    run = SimpleNamespace(notebook=SimpleNamespace(id="toy/draw", path=notebook))
    scope = {"run": run, "check": exercises.check}
    capsys.readouterr()
    for number in (3, 4, 6):
        exec(stub.replace("...", str(number)).replace("1)", "1, show=True)"), scope)
    assert "look" not in stub
    assert capsys.readouterr().out.endswith("A solution, to read and compare:\n\nanswer = 5\n")


def test_the_table_says_what_was_solved_and_what_it_does_not_hold(notebook, tmp_path, capsys):
    keep_try("toy/draw", "draw-1", right=False, shown=False)
    keep_try("toy/draw", "draw-1", right=True, shown=False)
    assert main(["course", "export", "--to", str(tmp_path / "mine.csv")]) == 0
    said = capsys.readouterr().out
    assert "solved: 1 of 1 exercises" in said
    assert "0 of 0 questions" in said
    assert "no answer, time or name" in said
    with (tmp_path / "mine.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert {name: value for name, value in row.items() if value} == {
        "notebook": "toy/draw", "exercise": "1", "tries": "2", "solved": "yes", "shown": "no",
    }  # fmt: skip


def test_the_table_has_questions_before_and_after_and_names_what_cannot_be_read(
    notebook, tmp_path, capsys
):
    asks = "[{question: Which unit?, right: HU, wrong: [mm], why: It is scaled.}]"
    notebook.with_suffix(".yaml").write_text(asks)
    keep_choice("toy/draw", 1, "after", right=True)
    notebook.write_text('{"cells": [{"cell')
    assert main(["course", "export", "--to", str(tmp_path / "mine.csv")]) == 0
    said = capsys.readouterr().out
    assert "right before a lesson: 0 of 1 questions, after it: 1\n" in said
    assert "left out: the exercises of toy/draw, whose file cannot be read\n" in said
    lines = (tmp_path / "mine.csv").read_text().splitlines()[1:]
    assert lines == ["toy/draw,,,,,1,,yes", "toy/draw,cannot be read,,,,,,"]


def test_jupyterlab_opens_on_a_copy_s_start_page(notebook, tmp_path, monkeypatch, capsys):
    main(["course", "copy", "--to", str(tmp_path / "course")])
    started = []
    monkeypatch.setattr("os.execv", lambda program, command: started.append(command))
    assert main(["lab", str(tmp_path / "course")]) == 0
    assert started[0][3:5] == [
        f"--notebook-dir={tmp_path / 'course'}", "--LabApp.default_url=/lab/tree/start_here.ipynb",
    ]  # fmt: skip
    assert "--no-browser" not in started[0]
    assert main(["lab", str(tmp_path / "elsewhere")]) == 2
    assert "nextaim course copy --to" in capsys.readouterr().err


def test_the_copies_start_page_opens_the_copies(notebook, tmp_path, monkeypatch):
    course = tmp_path / "course"
    main(["course", "copy", "--to", str(course)])
    (tmp_path / "jpserver-4711.json").write_text(json.dumps({"root_dir": str(course)}))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    monkeypatch.chdir(course)
    opened = result.opened(catalog.find("toy/draw"))
    assert opened == '<a href="toy/1_draw.ipynb">toy/<wbr>draw</a>'


@pytest.mark.parametrize(("user", "asked"), [(0, True), (1000, False)])
def test_jupyterlab_opens_for_root_and_from_afar(monkeypatch, user, asked):
    started = []
    monkeypatch.setattr("os.execv", lambda program, command: started.append(command))
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert main(["lab", "--ip", "0.0.0.0", "--port", "9001", "--no-browser"]) == 0
    assert {"--ip=0.0.0.0", "--port=9001", "--no-browser"} <= set(started[0])
    assert ("--allow-root" in started[0]) is asked
