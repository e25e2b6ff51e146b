"""What papermill, Snakemake or another tool puts into a notebook is checked when it starts."""

from __future__ import annotations

from types import SimpleNamespace

import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.injected import taken
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


@pytest.mark.parametrize(
    ("params", "words"),
    [({"patints": 80}, "did you mean 'patients'"), ({"patients": 80}, "shell rule")],
)
def test_params_of_snakemake_that_would_change_nothing_are_refused(params, words):
    with pytest.raises(RequestError, match=words):
        start(snakemake=SimpleNamespace(params=params))
    assert start(snakemake=SimpleNamespace(params={"patients": 450}))["patients"] == 450
