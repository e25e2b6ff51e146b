"""A made-up study, written by the ten steps of CONTRIBUTING.md, is whole and short."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest

from nextaim_kit.report import fhir_reading
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute

HERE = Path(__file__).parent
PARTS = ("study.yaml", "spots.py", "1_grade.py")
MOST = 250  # lines of a study with twin, training, exercises and report


def notebook(source: str):
    """Cells of a script, each begun by ``# %%`` and its tag."""
    document = nbformat.v4.new_notebook()
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    for number, text in enumerate(re.split(r"^# %% ?", source, flags=re.M)[1:]):
        tag, _, body = text.partition("\n")
        if tag == "[markdown]":
            cell = nbformat.v4.new_markdown_cell(re.sub(r"^# ?", "", body.strip(), flags=re.M))
        else:
            tags = {"tags": [tag]} if tag else {}
            cell = nbformat.v4.new_code_cell(body.strip(), metadata=tags)
        cell["id"] = f"cell-{number}"
        document.cells.append(cell)
    return document


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The study where the kit looks for it, its module importable in kernels."""
    folder = tmp_path / "notebooks" / "spots"
    folder.mkdir(parents=True)
    shutil.copy(HERE / "study.yaml", folder)
    nbformat.write(notebook((HERE / "1_grade.py").read_text()), folder / "1_grade.ipynb")
    monkeypatch.setenv("NEXTAIM_NOTEBOOKS", str(folder.parent))
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("NEXTAIM_WARM", "0")  # a server for one notebook is not worth its start
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.rest
def test_it_runs_learns_reports_and_is_tested_on_another_cohort(study, tmp_path):
    import spots

    from nextaim_kit.data.cohort.loading import save_cohort

    others = spots.make_twin(60, seed=7)
    others["subject"] = "other-" + others["subject"]
    there = save_cohort(others, tmp_path / "others", {"image": others["image"]}, synthetic=True)
    request = prepare("spots/grade", "smoke", {"external": str(there)})
    record, _ = execute(request)
    assert record["outcome"] == "complete"
    found = {m["name"]: m for m in record["metrics"]}
    assert found["auc"]["value"] > 0.9 > found["auc_size"]["value"]
    assert (found["auc"]["n"], found["external_auc"]["n"]) == (60, 60)
    assert found["external_auc"]["low"] > 0.8
    bundle = json.loads((request.folder / "files" / "report.json").read_text())
    assert fhir_reading.problems(bundle, spots.TEMPLATE) == []
    assert "Spot of the skin" in (request.folder / "files" / "patient.html").read_text()
    printed = (request.folder / "notebook.ipynb").read_text()
    assert printed.count("Not answered yet.") == 2


def test_a_study_with_twin_training_exercises_and_report_is_short():
    lines = [line for part in PARTS for line in (HERE / part).read_text().splitlines()]
    assert len([line for line in lines if line.strip()]) <= MOST
