"""A made-up study, written by the ten steps of CONTRIBUTING.md, is whole and short."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import torch

from nextaim_kit.catalog import project_folder, task_of, with_task
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.study_task import load_task
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


def test_it_offers_its_data_by_its_task_alone(study, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(tmp_path / "cache"))
    assert with_task() == ["spots"]
    task = load_task("spots", "synthetic", 24, 1)
    assert (task.x.shape, task.names, task.patients) == ((24, 1, 32, 32), ("size",), 24)
    logits = apply(task.build(0), task.x)
    assert logits.shape == (24, 1)
    assert torch.equal(logits, apply(task.build(0), task.x))
    assert not torch.equal(logits, apply(task.build(1), task.x))


@pytest.mark.rest
def test_it_takes_part_in_the_challenges_by_its_task_alone(study, tmp_path, monkeypatch):
    theirs = project_folder() / "notebooks" / "challenges"
    shutil.copytree(theirs, tmp_path / "notebooks" / "challenges")
    asked = {"study": "spots", "shares": "[0.4, 0.5, 1.0]"}
    record, _ = execute(prepare("challenges/limited_data", "smoke", asked))
    assert record["outcome"] == "complete"
    found = {m["name"]: m for m in record["metrics"]}
    assert {"auc_simple", "auc_scratch", "auc_contrastive", "probe_masked"} <= found.keys()
    assert all(d["synthetic"] for d in record["data"])


@pytest.mark.parametrize(
    ("task", "near"), [("spot:task", "spots"), ("spots:tsk", "mean task"), ("spots:EDGE", "task:")]
)
def test_a_task_that_is_not_there_is_refused_with_the_near_miss(study, tmp_path, task, near):
    file = tmp_path / "notebooks" / "spots" / "study.yaml"
    file.write_text(file.read_text().replace("task: spots:task", f"task: {task}"))
    with pytest.raises(DataError, match=f"(?s)names a function that is not there: task.*{near}"):
        load_task("spots", "synthetic", 24, 1)


def test_a_study_without_a_task_names_those_that_have_one(study):
    with pytest.raises(RequestError, match="did you mean spots"):
        task_of("spot")


def test_a_study_with_twin_training_exercises_and_report_is_short():
    lines = [line for part in PARTS for line in (HERE / part).read_text().splitlines()]
    assert len([line for line in lines if line.strip()]) <= MOST
