"""Every notebook runs at the smoke profile and keeps to the rules of its trade."""

from __future__ import annotations

import ast
import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from nextaim_kit import catalog
from nextaim_kit.data.privacy.audit import audit
from nextaim_kit.learn import verdict
from nextaim_kit.runs import record as records
from nextaim_kit.runs.parameters import read_parameters, resolve
from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.show.exercises import find_exercise, number_of
from nextaim_kit.studies.ct_radiomics.table import feature_table
from nextaim_kit.studies.cxr_severity.twin import make_twin as make_films
from tests.notebooks.answers import (
    gives_away,
    numbers_said,
    recorded,
    recording,
    shares_code,
    told,
    trivial,
)

NOTEBOOKS = [n for s in catalog.studies() for n in s.notebooks.values()]
every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.id)
# One of each study is run by `make test`, the others by `make test-rest`.
FIRST = {"asd_fusion/features", "breast_masses/detection", "challenges/memory_budget",
         "ct_lungquant/structured_report", "ct_radiomics/extraction",
         "cxr_severity/gray_level", "lessons/image", "microscopy_superres/pairs",
         "report_structuring/data_quality", "thalamus_tractography/diffusion"}  # fmt: skip
# One that does not train and one that does, with less of both than at smoke.
COLD = {"ct_radiomics/extraction": {"patients": "24"}, "cxr_severity/gray_level": {"epochs": "1"}}
# A report that goes to a patient's record says whose it is.
OF_A_PATIENT = {"ct_lungquant/structured_report": {"files/report.sr.dcm"}}
# At smoke so little is learned that the region of the target says nothing: it must be refused.
REFUSED = {"thalamus_tractography/planning": "wider than the thalamus"}
FEW_MODELS = {"permutations": "0", "selectors": "[mutual_information]", "ks": "[5]"}


def cells(notebook, kind="code"):
    document = json.loads(notebook.path.read_text(encoding="utf-8"))
    return [
        (set(c["metadata"].get("tags", [])), "".join(c["source"]))
        for c in document["cells"]
        if c["cell_type"] == kind
    ]


@pytest.mark.notebook
@pytest.mark.parametrize(
    "notebook",
    [pytest.param(n, marks=() if n.id in FIRST else pytest.mark.rest) for n in NOTEBOOKS],
    ids=lambda n: n.id,
)
def test_it_runs_at_smoke_and_leaves_what_it_declared(
    notebook, shared_cache, monkeypatch, tmp_path
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    kept = recording(tmp_path / "ipython", monkeypatch)
    record, fresh = execute(prepare(notebook.id, "smoke", {}))
    assert fresh
    assert record["outcome"] == ("incomplete" if notebook.id in REFUSED else "complete")
    declared = {*notebook.outputs.metrics, *notebook.outputs.optional}
    assert declared <= {m["name"] for m in record["metrics"]}
    assert {f"files/{name}" for name in notebook.outputs.files} <= set(record["files"])
    folder = prepare(notebook.id, "smoke", {}).folder
    assert records.is_done(folder)
    if notebook.id in REFUSED:
        assert REFUSED[notebook.id] in (folder / "files/failures.csv").read_text(encoding="utf-8")
        assert not (folder / "files/plan").exists()
    _its_sentence_holds_its_number(record, folder)
    assert all(d["synthetic"] for d in record["data"])
    assert all(f["alt"] for f in record["figures"])
    named = {one.file for one in audit(folder) if not one.file.startswith("checkpoints/")}
    assert named == OF_A_PATIENT.get(notebook.id, set())
    _its_exercises_are_worth_it(notebook, recorded(kept))
    moved = [numbers_said(control) for control in recorded(kept.with_name("controls.pickle"))]
    assert any(least and least != most for least, most in moved), moved


def _its_sentence_holds_its_number(record, folder):
    """Whatever the parameters: at smoke, and where a test runs it with others."""
    written, measured = (folder / "notebook.ipynb").read_text(encoding="utf-8"), record["metrics"]
    if "The AUC of volume alone is" in written:
        auc = next(m for m in measured if m["name"] == "auc_lesion_volume")
        ends = verdict((auc["value"], auc["low"], auc["high"]), 0.5)
        assert f"The AUC of volume alone is {ends}" in written


def _its_exercises_are_worth_it(notebook, solved):
    """Neither trivial nor given away, by the hint or what is said to the first two tries."""
    for hint, kept in zip(hints_of(notebook), solved, strict=True):
        assert not trivial(kept), kept
        assert not gives_away(hint, kept), (hint, kept)
        tries = told(kept, hint)
        assert len(tries) == 5, (kept, tries)
        for first, second, third in tries.values():
            assert first.startswith("Not yet.")
            assert hint not in first
            assert "a solution" not in second
            assert kept["solution"] not in third


def test_one_notebook_of_every_study_runs_with_make_test():
    studies = sorted(study.id for study in catalog.studies())
    assert sorted(name.partition("/")[0] for name in FIRST) == studies
    assert {n.id for n in NOTEBOOKS} >= {*FIRST, *COLD}


@pytest.mark.rest
@pytest.mark.notebook
@pytest.mark.parametrize("name", COLD)
def test_a_cold_kernel_on_all_cores_gives_the_same_numbers(name, shared_cache, monkeypatch, capfd):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    warm, _ = execute(prepare(name, "smoke", COLD[name]))
    assert "no warm kernel" not in capfd.readouterr().err
    monkeypatch.setenv("NEXTAIM_WARM", "0")
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    request = prepare(name, "smoke", COLD[name])
    cold, _ = execute(request, force=True)
    assert cold["metrics"] == warm["metrics"]
    _its_sentence_holds_its_number(cold, request.folder)


@pytest.mark.rest
@pytest.mark.notebook
def test_by_ibsis_definitions_a_run_ends_with_its_table_and_a_real_ct_beside_the_consensus(
    real, tmp_path
):
    folder = real / "ct_radiomics"
    image, mask = (folder / "ibsi_ct_phantom" / n for n in ("image.nii.gz", "mask_gtv.nii.gz"))
    (tmp_path / "cohort.csv").write_text(f"subject,image,mask,site\np,{image},{mask},a\n")
    values = folder / "ibsi_1_reference_values" / "ibsi_1_chest_config_b.csv"
    given = {"cohort": str(tmp_path / "cohort.csv"), "ibsi_reference": str(values)}
    given |= {"definition": "ibsi", "ibsi_configuration": "B"}
    request = prepare("ct_radiomics/extraction", "smoke", given)
    record, _ = execute(request)
    assert record["outcome"] == "complete"
    measured = {m["name"]: (m["value"], m["n"]) for m in record["metrics"]}
    assert measured["n_features"] == (346, 1)
    assert measured["ibsi_within_tolerance"] == (482, 482)
    assert measured["ibsi_reference_within_tolerance"] == (406, 406)
    table = pd.read_parquet(request.folder / "files/features.parquet")
    assert list(table["provenance_definition"]) == ["IBSI 1, configuration B"]


@pytest.mark.rest
@pytest.mark.notebook
def test_a_model_of_four_sites_is_tested_once_on_the_fifth_s_table(
    shared_cache, monkeypatch, tmp_path
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    table, _ = feature_table("synthetic", patients=80)
    there = table["site"] == "Pisa"
    places = {"features": tmp_path / "four.csv", "external": tmp_path / "fifth.csv"}
    for place, rows in zip(places.values(), (~there, there), strict=True):
        table[rows].to_csv(place, index=False)
    given = {name: str(place) for name, place in places.items()} | FEW_MODELS
    record, _ = execute(prepare("ct_radiomics/severity", "smoke", given))
    found = {m["name"]: m for m in record["metrics"]}
    for name in ("external_auc", "external_brier", "external_auc_lesion_volume"):
        assert found[name]["n"] == there.sum()
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]
    assert found["auc"]["n"] == (~there).sum()
    kept = prepare("ct_radiomics/severity", "smoke", given).folder / "files"
    apply = {"model": str(kept / "model.json"), "features": given["external"]}
    applied, _ = execute(prepare("ct_radiomics/severity", "smoke", apply))
    again = {m["name"]: m["value"] for m in applied["metrics"]}
    for name in ("auc", "brier", "auc_lesion_volume"):
        assert again[f"applied_{name}"] == pytest.approx(found[f"external_{name}"]["value"])
    assert applied["ended"] == "the models of an earlier run were applied, and none was trained"
    assert "auc" not in again


@pytest.mark.rest
@pytest.mark.notebook
def test_models_of_an_earlier_run_predict_patients_without_outcomes_and_leave_their_own_out(
    shared_cache, monkeypatch, tmp_path
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    table, _ = feature_table("synthetic", patients=40)
    path = tmp_path / "new.csv"
    renamed = table["subject"].where(table.index < 3, "N" + table["subject"])
    table.assign(subject=renamed).drop(columns="label").to_csv(path, index=False)
    trained = prepare("ct_radiomics/severity", "smoke", FEW_MODELS)
    execute(trained)
    model = trained.folder / "files/model.json"
    request = prepare(
        "ct_radiomics/severity", "smoke", {"features": str(path), "model": str(model)}
    )
    record, _ = execute(request)
    assert record["ended"].startswith("predictions only")
    assert record["outcome"] == "incomplete"
    assert not [m for m in record["metrics"] if "auc" in m["name"]]
    found = pd.read_csv(request.folder / "files/predictions.csv")
    assert set(found["model"]) >= {"XGBoost", "lesion volume"}
    assert set(found["subject"]) == set(renamed[3:])
    assert found["p"].between(0, 1).all()
    named = pd.read_csv(request.folder / "files/failures.csv")
    assert named["subject"].tolist() == renamed[:3].tolist()


@pytest.mark.rest
@pytest.mark.notebook
def test_severity_networks_of_an_earlier_run_say_of_a_cohort_what_they_said_of_it_as_external(
    shared_cache, monkeypatch, tmp_path
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    table, there = make_films(60, size=128), np.arange(60) % 4 > 1
    cohorts = {"here": table[~there], "there": table[there], "unknown": table.drop(columns="label")}
    place = {name: str(tmp_path / f"{name}.csv") for name in cohorts}
    for name, rows in cohorts.items():
        rows.to_csv(place[name], index=False)
    given = {"cohort": place["here"], "external": place["there"], "epochs": "1",
             "external_site": "none"}  # fmt: skip
    trained = prepare("cxr_severity/severity", "smoke", given)
    outside = {m["name"]: m["value"] for m in execute(trained)[0]["metrics"]}
    apply = {"model": str(trained.folder / "files/model.safetensors"), "cohort": place["there"]}
    applied, _ = execute(prepare("cxr_severity/severity", "smoke", apply))
    again = {m["name"]: m for m in applied["metrics"]}
    for name in ("auc", "brier", "auc_image_branch", "auc_clinical_xgboost"):
        found = again[f"applied_{name}"]
        assert found["value"] == pytest.approx(outside[f"external_{name}"])
        assert found["n"] == there.sum()
    assert applied["ended"] == "the models of an earlier run were applied, and none was trained"
    blind = prepare("cxr_severity/severity", "smoke", apply | {"cohort": place["unknown"]})
    record, _ = execute(blind)
    assert record["ended"].startswith("predictions only")
    told = pd.read_csv(blind.folder / "files/predictions.csv")
    assert set(told["subject"]) == set(table["subject"][there])
    left = pd.read_csv(blind.folder / "files/failures.csv")["subject"]
    assert set(left) == set(table["subject"][~there])


@every_notebook
def test_its_profiles_hold_known_parameters_and_right_values(notebook):
    for profile in notebook.profiles:
        assert resolve(notebook, profile, {}).keys() == read_parameters(notebook.path).keys()
    assert "smoke" in notebook.profiles
    assert set(notebook.profiles) <= set(catalog.PROFILES)
    assert set(notebook.data) <= read_parameters(notebook.path).keys()
    assert set(notebook.needs) <= set(notebook.data)  # so that it is hashed, absolute and not told


@every_notebook
def test_each_parameter_says_what_it_means_and_a_number_within_which_bounds(notebook):
    for name, one in read_parameters(notebook.path).items():
        said = re.findall(r"[^\W_]+", one.help.lower())
        assert len(said) > 1, name
        assert {*said} - {*name.split("_")}, name
        assert one.bounded or one.annotation not in ("int", "float"), name


@every_notebook
def test_the_parameters_come_first_and_the_record_comes_last(notebook):
    code = cells(notebook)
    assert "parameters" in code[0][0]
    assert f'start("{notebook.id}"' in code[1][1]
    assert code[-1][1] == "run.finish()"


@every_notebook
def test_a_picture_is_in_its_first_three_cells(notebook):
    first = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"][:3]
    shown = [
        (alt, name, cell["attachments"])
        for cell in first
        for alt, name in re.findall(r"!\[(.+)\]\(attachment:(.+)\)", "".join(cell["source"]))
    ]
    assert shown
    assert all(len(alt) > 10 and name in held for alt, name, held in shown)


@every_notebook
def test_its_first_cell_tells_the_minutes_that_are_declared(notebook):
    first = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"][0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \| .+ \|$", "".join(first["source"]), re.MULTILINE)
    assert {profile for profile, _ in rows} == notebook.resources.keys()
    for profile, words in rows:
        minutes = notebook.resources[profile].minutes
        assert re.match(rf"({minutes:g}|some {minutes / 60:g} hours)\b", words), (profile, words)


@every_notebook
def test_cells_are_short_and_functions_shorter(notebook):
    for _, source in cells(notebook):
        assert len(source.splitlines()) <= 25, source
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, node.name


@every_notebook
def test_it_has_the_chapters_that_a_reader_expects(notebook):
    text = "\n".join(source for _, source in cells(notebook, "markdown"))
    for chapter in ("## The data", "baseline", "## Explanation", "## What can go wrong",
                    "## Exercises", "## The record"):  # fmt: skip
        assert chapter in text, chapter
    for profile in notebook.profiles:
        assert f"`{profile}`" in text


def exercises(notebook):
    """The exercise cells and the cells right after them."""
    document = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
    tagged = ("exercise" in cell["metadata"].get("tags", []) for cell in document)
    return [pair for pair, is_one in zip(pairwise(document), tagged, strict=False) if is_one]


def hints_of(notebook):
    return [find_exercise(notebook.path, k).hint for k in range(1, len(exercises(notebook)) + 1)]


def _tags(cell):
    return {*cell["metadata"].get("tags", [])}


def names_of(source, context=ast.expr_context):
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return [node.id for node in found if isinstance(node.ctx, context)]


@every_notebook
def test_it_has_three_exercises_each_with_one_check_of_its_number_and_a_hint_of_its_own(notebook):
    stubs = [stub for stub, _ in exercises(notebook)]
    assert len(stubs) >= 3
    assert [number_of(stub) for stub in stubs] == [*range(1, len(stubs) + 1)]
    hints = hints_of(notebook)
    assert all(hints)
    assert len(set(hints)) == len(hints)
    for stub, hint in zip(stubs, hints, strict=True):
        source = "".join(stub["source"])
        assert "\nanswer = ...\ncheck(answer, " in f"\n{source}"
        assert names_of(source).count("check") == 1
        assert hint not in source


@every_notebook
def test_its_exercises_stand_between_its_ideas_and_change_nothing_for_the_cells_below(notebook):
    document = json.loads(notebook.path.read_text(encoding="utf-8"))["cells"]
    chapter = next(k for k, c in enumerate(document) if "## Exercises" in "".join(c["source"]))
    stubs = [k for k, c in enumerate(document) if "exercise" in c["metadata"].get("tags", [])]
    assert stubs[0] < chapter
    assert sum(k > chapter for k in stubs) <= 2
    for k in stubs:
        left = {*names_of("".join(document[k]["source"]), ast.Store)} - {"answer"}
        for below in document[k + 1 :]:
            if below["cell_type"] == "code" and not {"exercise", "solution"} & _tags(below):
                source = "".join(below["source"])
                stored = {*names_of(source, ast.Store)}
                assert not left & {*names_of(source, ast.Load)} - stored, source
                left -= stored


@every_notebook
def test_no_hint_holds_code_of_its_solution(notebook):
    for number, hint in enumerate(hints_of(notebook), 1):
        assert not shares_code(hint, find_exercise(notebook.path, number).solution), hint


@every_notebook
def test_a_folded_solution_follows_each_exercise_and_leaves_an_answer_and_no_check(notebook):
    assert sum("solution" in tags for tags, _ in cells(notebook)) == len(exercises(notebook))
    for _, folded in exercises(notebook):
        source = "".join(folded["source"])
        assert "solution" in folded["metadata"]["tags"]
        assert folded["metadata"]["jupyter"]["source_hidden"]
        assert source.startswith("#")  # a folded cell shows its first line
        assert "answer" in names_of(source, ast.Store)
        assert "check" not in names_of(source)


@every_notebook
def test_no_cell_uses_what_a_solution_leaves_but_the_answer(notebook):
    others = [names_of(source) for tags, source in cells(notebook) if "solution" not in tags]
    solved = [names_of(s, ast.Store) for tags, s in cells(notebook) if "solution" in tags]
    assert set().union(*solved) & set().union(*others) == {"answer"}


def test_published_metrics_name_what_their_notebook_measures():
    for study in catalog.studies():
        for published in study.published:
            notebook = study.notebooks[published.notebook]
            name = published.matches or published.metric
            declared = [*notebook.outputs.metrics, *notebook.outputs.optional]
            assert name in declared, f"{study.id}: {name}"
