"""Models of a run, in a file, predict another cohort as they did there, and nobody who trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.applied import predictions_of
from nextaim_kit.learn.network_file import load_networks, save_networks
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.cxr_severity import cohorts, elsewhere, severity
from nextaim_kit.studies.cxr_severity.clinical_values import missingness, read_clinical, views
from nextaim_kit.studies.cxr_severity.preprocessing import load_even
from nextaim_kit.studies.cxr_severity.twin import make_twin

TRAINED_ON = {"name": "half", "sha256": "ab" * 32, "synthetic": True}


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Tables of the two halves of a small twin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        table = make_twin(32, size=64, workers=1)
    table["patient"] = table["subject"]
    table["view"] = np.where(table.index % 3, "PA", "AP")
    here = table.index % 4 < 2  # patients of both outcomes on both sides
    return table[here].reset_index(drop=True), table[~here].reset_index(drop=True)


def seen(table):
    films, _, _ = load_even(table, 32, inverted=table["truth_inverted"])
    numbers, used, _ = read_clinical(table)
    return severity.Inputs(table, films, numbers[used])


@pytest.fixture(scope="module")
def trained(halves, tmp_path_factory):
    """Networks and baselines of the first half, and what they were trained on."""
    inputs = seen(halves[0])
    train, val = patient_folds(inputs.table, 3, seed=1, group="patient")[0]
    turn, place = (train, val, np.zeros(0, int)), tmp_path_factory.mktemp("nets")
    nets = severity.all_three(severity.SeverityTraining(Recipe(2, 8)), inputs, [turn], place)
    columns = {
        "missingness only": (missingness(inputs.numbers), "logistic"),
        "view only": (views(inputs.table), "logistic"),
        "clinical, XGBoost": (inputs.numbers, "xgboost"),
    }
    tables = {
        name: severity.final_tabular(inputs.table, one, model=kind)
        for name, (one, kind) in columns.items()
    }
    return {name: one for name, (one,) in nets.items()}, tables, inputs


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory) -> Path:
    nets, tables, inputs = trained
    place = tmp_path_factory.mktemp("file") / "model.safetensors"
    kept = {"inputs": inputs, "mask_lungs": False, "backbone": "small", "trained_on": TRAINED_ON}
    return Path(elsewhere.save_models(nets, tables, place, **kept))


@pytest.fixture(scope="module")
def models(path):
    return elsewhere.load_models(path)


def ask(models, table):
    return elsewhere.apply_models(models, table.copy())


def test_a_file_predicts_another_cohort_as_the_models_of_the_run_do(trained, models, halves):
    nets, tables, inputs = trained
    other, told = seen(halves[1]), ask(models, halves[1])[0]
    other = replace(other, numbers=other.numbers.reindex(columns=inputs.numbers.columns))
    rows = np.arange(len(other.table))
    for name, fold in nets.items():
        own = severity.predictions(other, [[replace(fold, test=rows)]]).sort_values("subject")
        found = told[told["model"] == name]
        assert found["p"].to_numpy() == pytest.approx(own["p"].to_numpy(), abs=1e-6)
        assert found["y"].tolist() == own["y"].tolist()
        assert (found["threshold"] == fold.threshold).all()
    frame = severity.framed(other.table, pd.concat([
        other.numbers, other.numbers.isna().astype(float).add_prefix("missing_"),
        views(other.table),
    ], axis=1))  # fmt: skip
    for name, own in predictions_of(tables, frame).items():
        found = told[told["model"] == name].set_index("subject")["p"]
        assert found[own["subject"]].to_numpy() == pytest.approx(own["p"].to_numpy(), abs=1e-6)
    assert set(told["model"]) == {*nets, *tables}


def test_the_file_says_who_trained_it_by_hashes_and_is_small(path, models, halves):
    assert str(models) == "trained on 16 patients of half (SYNTHETIC)"
    assert next(iter(models.networks)) == "fusion"
    text = path.read_bytes()
    assert not [name for name in halves[0]["patient"] if f'"{name}"'.encode() in text]
    assert len(text) < 4e6


def test_training_patients_are_left_out_by_name(models, halves):
    first, other = halves
    both = pd.concat([other, first.head(2)], ignore_index=True)
    told, left_out, _ = ask(models, both)
    assert set(told["subject"]) == set(other["patient"])
    assert left_out["subject"].tolist() == first["subject"].head(2).tolist()
    assert left_out["problem"].str.contains("trained the model").all()
    with pytest.raises(DataError, match="all 16 subjects of the table trained the model"):
        ask(models, first)


def test_patients_without_an_outcome_are_predicted_alike_and_so_is_one_alone(models, halves):
    other = halves[1]
    whole, _, _ = ask(models, other)
    told, _, _ = ask(models, other.assign(label=pd.NA))
    assert told["y"].isna().all()
    assert told["p"].tolist() == whole["p"].tolist()
    alone, left_out, set_aside = ask(models, other.head(1))
    expected = whole[whole["subject"] == other["patient"][0]]
    assert alone["p"].to_numpy() == pytest.approx(expected["p"].to_numpy(), abs=1e-5)
    assert left_out.empty
    assert set_aside.empty


def test_a_patient_whose_films_differ_in_outcome_is_predicted_and_not_measured(models, halves):
    other = halves[1].assign(patient=["Z", "Z", *halves[1]["patient"][2:]])
    torn = ask(models, other.assign(label=[0, 1, *other["label"][2:]]))
    assert torn[0].set_index("subject").loc["Z", "y"].isna().all()
    assert torn[2]["subject"].tolist() == other["subject"].head(2).tolist()
    half = ask(models, other.assign(label=pd.array([1, pd.NA, *other["label"][2:]], "Int64")))[0]
    assert (half.set_index("subject").loc["Z", "y"] == 1).all()


def test_what_cannot_be_read_or_counted_is_named(models, halves, tmp_path):
    other = halves[1]
    (tmp_path / "bad.png").write_text("no film")
    strange = other.assign(
        image=other["image"].where(other.index > 0, str(tmp_path / "bad.png")),
        Temp_C=other["Temp_C"].where(other.index != 1, 99.5),
    ).drop(columns="CRP")
    told, left_out, set_aside = ask(models, strange)
    assert left_out["subject"].tolist() == [other["subject"][0]]
    assert other["patient"][0] not in set(told["subject"])
    said = set_aside.set_index("subject")["problem"]
    assert "°F" in said[other["subject"][1]]
    assert said["all"] == "no column CRP"


def test_films_without_lungs_are_left_out_where_lungs_are_looked_at(models, halves):
    other = halves[1]
    table = other.assign(lungs=other["lungs"].where(other.index > 1, ""))
    told, left_out, _ = ask(replace(models, mask_lungs=True), table)
    assert left_out["subject"].tolist() == other["subject"].head(2).tolist()
    assert told["subject"].nunique() == len(other) - 2


def test_a_baseline_without_its_view_is_left_out_and_one_never_seen_is_another(
    models, halves, capsys
):
    told, _, _ = ask(models, halves[1].drop(columns="view"))
    assert "view only" not in set(told["model"])
    assert "view only is left out: the table has no view_AP" in capsys.readouterr().out
    found = views(pd.DataFrame({"view": ["L", "PA"]}), ["view_PA", "view_other"])
    assert found.to_numpy().tolist() == [[0, 1], [1, 0]]


def test_other_films_than_it_learned_from_are_refused_with_what_to_ask_for(models, halves):
    asked = {"pixels": 32, "mask_lungs": False}
    models.check_fits(halves[1], **asked, clinical=models.clinical[::-1])
    with pytest.raises(RequestError, match=r"pixels=32\n.*pixels=96\n.*give pixels=32"):
        models.check_fits(halves[1], pixels=96, mask_lungs=False)
    with pytest.raises(RequestError, match="give pixels=32, mask_lungs=false"):
        models.check_fits(halves[1], pixels=96, mask_lungs=True)
    with pytest.raises(RequestError, match=r"found: +clinical=\[Age\]"):
        models.check_fits(halves[1], **asked, clinical=["Age"])
    with pytest.raises(DataError, match=r"lacks 2 of \d+ clinical columns(.|\n)*absent: Age, CRP"):
        models.check_fits(halves[1].drop(columns=["CRP", "Age"]), **asked)
    models.check_fits(halves[1].assign(CRP=np.nan), **asked)


def again(path, tmp_path, change):
    """The file with something else told, sealed as a run seals it."""

    class Held(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.weights = weights

        def state_dict(self):
            return self.weights

    told, weights = load_networks(path, expected="")
    change(told)
    held = {name: Held(one) for name, one in weights.items()}
    return Path(save_networks(held, tmp_path / "other.safetensors", told=told))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.update(format="asd_fusion models 1"), "format"),
        (lambda t: t.update(code="import os"), "Extra inputs"),
        (lambda t: t["clinical"].pop(), "another length"),
        (lambda t: t["networks"]["fusion"].update(temperature=0), "temperature"),
        (lambda t: t.update(backbone="resnet18"), "is of another network"),
        (lambda t: t["networks"].update(more=t["networks"]["fusion"]), "is of another network"),
        (lambda t: t["tables"].update(models={}), "models"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_place(change, words, path, tmp_path):
    with pytest.raises(DataError, match=words):
        elsewhere.load_models(again(path, tmp_path, change))


def test_the_twin_is_no_other_cohort():
    with pytest.raises(DataError, match="no other cohort than itself"):
        elsewhere.other_cohort("synthetic")


def test_another_cohort_has_its_known_outcomes_alone(halves, tmp_path):
    table = halves[1].assign(label=pd.array([pd.NA, *halves[1]["label"][1:]], "Int64"))
    table.to_csv(tmp_path / "cohort.csv", index=False)
    assert (
        elsewhere.other_cohort(str(tmp_path))["subject"].tolist() == table["subject"][1:].tolist()
    )


def test_real_films_of_a_public_table_are_predicted(real, models):
    table, _ = cohorts.load_films(
        str(real / "cxr_severity"), twin=lambda: pytest.fail("not asked for")
    )
    told, _, set_aside = ask(models, table.head(12))
    assert told["p"].between(0, 1).all()
    assert told["subject"].nunique() == table.head(12)["patient"].nunique()
    assert "no column CRP" in set(set_aside["problem"])
