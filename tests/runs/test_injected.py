"""What papermill, Snakemake or another tool puts into a notebook is checked when it starts."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.runs.injected import declared_here, taken
from nextaim_kit.runs.parameters import parse_cell

CELL = "patients: int = 450  # patients [1, 500]\nseed: int = 7  # random seed"
START = "run = start(...)"


def start(*cells: str, **more):
    """What `taken` gives after these cells were run, the last of them the one that starts."""
    values = {**more, "In": ["", CELL, *cells, START]}
    exec("\n".join([CELL, *(c for c in cells if not c.startswith("%"))]), values)
    return taken(values, parse_cell(CELL, "a.ipynb"), "toy/draw")


def test_plain_papermill_ends_where_the_notebook_starts(toy, tmp_path):
    with pytest.raises(PapermillExecutionError, match="did you mean 'size'"):
        papermill.execute_notebook(
            str(toy()), str(tmp_path / "out.ipynb"), {"sise": 5}, kernel_name="python3",
            progress_bar=False, extra_arguments=["--log-level=CRITICAL"],
        )  # fmt: skip


def test_values_of_papermill_are_taken():
    assert start("# Parameters\npatients = 80\n") == {"patients": 80, "seed": 7}


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("# Parameters\npatints = 80", "(?s)no parameter 'patints'.*did you mean 'patients'"),
        ("# Parameters\nunlike = 80", "no parameter 'unlike'"),
        ("patints = 80", "did you mean 'patients'"),
        ("# Parameters\npatients = '80'", "cannot take this value"),
        ("# Parameters\npatients = 80.0", "cannot take this value"),
        ("# Parameters\npatients = True", "cannot take this value"),
        ("# Parameters\npatients = float('nan')", "cannot take this value"),
        ("# Parameters\npatients = 501", r"int in \[1, 500\]"),
        ("patients = 501", r"int in \[1, 500\]"),
    ],
)
def test_what_the_command_line_refuses_is_refused(cell, words):
    with pytest.raises(RequestError, match=words):
        start(cell)


@pytest.mark.parametrize(
    "cell",
    ["folder = '/data'\nmine = 3", "%matplotlib inline", "import os\npatient = 3",
     "patient: int = 3", "def patient(): ..."],
)  # fmt: skip
def test_a_reader_s_own_variables_are_no_parameters(cell):
    assert start(cell) == {"patients": 450, "seed": 7}


def test_an_injected_cell_that_was_mended_and_run_again_counts():
    assert start("# Parameters\npatints = 80", "# Parameters\npatients = 80")["patients"] == 80


def test_a_parameter_that_lost_its_name_is_missed():
    values = {"patints": 80, "seed": 7, "In": ["", "patints: int = 80", START]}
    with pytest.raises(RequestError, match=r"(?s)no value for .*'patients'.*written 'patints'"):
        taken(values, parse_cell(CELL, "a.ipynb"), "toy/draw")


@pytest.fixture
def opened(toy):
    """The declared parameters of a notebook whose file and whose kernel have these cells."""

    def declared(saved, *ran):
        document = nbformat.read(path := toy(), as_version=4)
        document.cells[1].source = saved
        nbformat.write(document, path)
        values = {"In": ["", *ran, START]}
        exec("\n".join(ran), values)
        return declared_here(values, catalog.find("toy/draw"))

    return declared


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ("size: int = 3  # how many [1, 9]\nseed: int = 1  # seed", ""),
        ("size: int = 3  # how many [1, 9]\nse: int = 1  # seed", "differs: se."),
        ("size: int = \nseed: int = 1  # seed", "invalid syntax (the cell, line 1)"),
        ("size: int = 3  # how many [1, 9]\nseed: int = 1", ""),
        ("size: int = 3  # how many [1, 9]\nseed = 1", "differs: seed = 1."),
        ("size: int = 30  # how many [1, 9]\nseed: int = 1  # seed", "'size' cannot take"),
    ],
)
def test_what_the_kernel_ran_counts_and_not_a_word_half_saved(opened, saved, said, capsys):
    ran = "size: int = 5  # how many [1, 20]\nseed: int = 1\nmine: str = 'x'  # own"
    found = opened(saved, ran)
    assert list(found) == ["size", "seed", "mine"]
    assert (found["size"].default, found["size"].high) == (5, 20)
    told = capsys.readouterr().out
    assert said in told
    assert bool(told) is bool(said)


def test_a_line_that_lost_its_comment_keeps_the_bounds_that_the_file_has(opened):
    saved = "size: int = 3  # how many [1, 9]\nseed: int = 1  # seed"
    assert opened(saved, "size: int = 5", "seed: int = 1")["size"].high == 9


def test_a_line_of_the_parameters_cell_that_declares_nothing_is_still_named(opened):
    with pytest.raises(DataError, match=r"line 2 .*\n.*\n.*seed = 1"):
        opened("size: int = 3  # how many", "size: int = 3  # how many\nseed = 1")


def test_a_kernel_that_ran_no_parameters_has_the_file_s_or_says_why_not(opened):
    assert list(opened("size: int = 3  # how many", "x = 3")) == ["size"]
    with pytest.raises(DataError, match="is not Python"):
        opened("size: int =", "x = 3")


@pytest.mark.parametrize(
    ("params", "words"),
    [({"patints": 80}, "did you mean 'patients'"), ({"patients": 80}, "shell rule")],
)
def test_params_of_snakemake_that_would_change_nothing_are_refused(params, words):
    with pytest.raises(RequestError, match=words):
        start(snakemake=SimpleNamespace(params=params))
    assert start(snakemake=SimpleNamespace(params={"patients": 450}))["patients"] == 450
