"""Fixtures for sweeps: two toy notebooks in a row, a writer of sweep files, a small warm server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from nextaim_kit.runs.record import runs_folder
from tests.conftest import FEW

SECOND = """\
from nextaim_kit.runs.context import start
run = start("toy/double", parameters=globals(), seed=seed)
first = float(open(drawn).readline()) if drawn != "synthetic" else 0.5
run.metric("doubled", times * first, interval=(times * first - 1, times * first + 1))
run.file("seen.txt").write_text(drawn)
run.finish()
"""
PARAMETERS = """\
drawn: str = "synthetic"  # numbers of toy/draw
times: float = 2.0  # factor [0, 100]
seed: int = 7  # random seed [0, 1000]
"""


@pytest.fixture(autouse=True)
def small_server(monkeypatch):
    """A warm server that imports what runs a notebook, and no more."""
    monkeypatch.setenv("NEXTAIM_WARM_IMPORTS", FEW)


@pytest.fixture
def chain(toy):
    """The study `toy` with `draw`, and `double`, which needs its numbers; code as for `toy`."""

    def make(before_finish: str = "", **declared) -> Path:
        path = toy(before_finish)
        cells = [
            nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}, id="a"),
            nbformat.v4.new_code_cell(SECOND, id="b"),
        ]
        document = nbformat.read(path, 4)
        document.cells = cells
        nbformat.write(document, path.parent / "2_double.ipynb")
        study = yaml.safe_load((path.parent / "study.yaml").read_text())
        study["notebooks"]["draw"] |= declared
        study["notebooks"]["double"] = {
            "title": "Double it",
            "data": ["drawn"],
            "needs": {"drawn": "draw/numbers.txt"},
            "profiles": {"smoke": {}},
            "outputs": {"metrics": ["doubled"], "files": ["seen.txt"]},
        }
        (path.parent / "study.yaml").write_text(yaml.safe_dump(study))
        return path

    return make


@pytest.fixture
def sweep(tmp_path):
    """Writes a sweep file of what it is given; profile smoke, notebook toy/draw by default."""

    def write(name: str = "one", **said) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps({"notebooks": ["toy/draw"], "profile": "smoke"} | said))
        return path

    return write


def command(*words: object) -> list[str]:
    """The command line `nextaim sweep ...` as a process of its own."""
    return [sys.executable, "-m", "nextaim_kit.cli", "sweep", *map(str, words)]


def nextaim(*words: object, **options) -> subprocess.CompletedProcess:
    """Run `nextaim sweep ...` to its end."""
    return subprocess.run(command(*words), capture_output=True, text=True, check=False, **options)


def records(notebook: str = "toy/draw") -> dict[str, dict]:
    """Records of all runs of a notebook, by the run's id."""
    found = sorted((runs_folder() / notebook).glob("*/run.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def folder(name: str = "one") -> Path:
    """Folder of a sweep."""
    return Path(os.environ["NEXTAIM_RUNS"]) / "sweeps" / name
