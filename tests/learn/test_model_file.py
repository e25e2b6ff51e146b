"""Models in a file predict as before, and a file that is damaged or made up is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.harmonization import ComBat
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.model_file import _check, load_models, save_models
from nextaim_kit.learn.nested import final_model

FEATURES = [f"f{k}" for k in range(6)]
COHORT = {"name": "table.csv", "sha256": "ab" * 32, "synthetic": False, "licence": "own"}
TREES = Method(ks=(3,), grid={"max_depth": [3], "n_estimators": [40]}, inner=2)
PLAIN = Method("logistic", ("none",), grid={"C": [1.0]}, inner=2)


def cohort(n=80, seed=0, prefix="P") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 2
    table = pd.DataFrame(rng.normal(size=(n, 6)) + 0.7 * label[:, None], columns=FEATURES)
    table = table.mask(rng.random(table.shape) < 0.1).assign(f5=np.nan)
    subject = [f"{prefix}{k}" for k in range(n)]
    return table.assign(subject=subject, site="A", label=label)


@pytest.fixture(scope="module")
def finals():
    pairs = {"XGBoost": TREES, "logistic regression": PLAIN}
    return {name: final_model(cohort(), FEATURES, how, seed=3) for name, how in pairs.items()}


@pytest.fixture
def path(finals, tmp_path) -> Path:
    return Path(save_models(finals, tmp_path / "model.json", trained_on=COHORT))


def test_models_of_a_file_predict_as_those_that_were_saved(finals, path):
    others = cohort(seed=1, prefix="E")
    for name, one in load_models(path).models.items():
        ours, theirs = (model.predictions(others) for model in (finals[name], one))
        assert theirs["p"].to_numpy() == pytest.approx(ours["p"].to_numpy(), abs=1e-6)
        assert theirs.drop(columns="p").equals(ours.drop(columns="p"))
        assert one.chosen == finals[name].chosen
    assert set(load_models(path).models["XGBoost"].features) < set(FEATURES)


def test_the_file_says_which_cohort_trained_it_and_no_name_of_a_patient(path):
    saved = load_models(path)
    told = {"name": "table.csv", "sha256": "ab" * 32, "synthetic": False, "patients": 80}
    assert saved.trained_on.model_dump(include=set(told)) == told
    assert not {f"P{k}" for k in range(80)} & set(saved.trained_on.subjects)
    assert str(saved) == "trained on 80 patients of table.csv"
    assert {"nextaim_kit", "scikit-learn", "xgboost-cpu"} <= set(saved.versions)
    assert not [name for name in cohort()["subject"] if f'"{name}"' in path.read_text()]


def test_training_patients_are_known_again_and_not_predicted(path):
    both = pd.concat([cohort(seed=1, prefix="E"), cohort().iloc[[4, 7]]])
    saved = load_models(path)
    assert saved.seen.among(both["subject"]) == ["P4", "P7"]
    with pytest.raises(DataError, match=r"2 subjects of the table trained the model\n.*\n.*P4, P7"):
        saved.models["XGBoost"].predictions(both)


def test_the_same_models_give_the_same_file(finals, path, tmp_path):
    save_models(finals, tmp_path / "again.json", trained_on=COHORT)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "how", [replace(PLAIN, combat=ComBat()), Method("mlp", ("none",), inner=2)]
)
def test_a_model_that_numbers_do_not_tell_is_refused_by_name(how, tmp_path):
    table = cohort().assign(site=["A", "A", "B", "B"] * 20)
    made = {"mine": final_model(table, FEATURES[:5], how)}
    with pytest.raises(RequestError, match="model 'mine' cannot be written as numbers"):
        save_models(made, tmp_path / "model.json", trained_on=COHORT)


def test_no_damaged_file_is_read(path):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 + rng.integers(255)
        path.write_bytes(bytes(damaged))
        if json_or_none(bytes(damaged)) != json.loads(whole):  # not white space alone
            with pytest.raises(DataError, match=r"model\.json holds no models"):
                load_models(path)


def json_or_none(text: bytes):
    try:
        return json.loads(text)
    except ValueError:
        return None


def tree(said):
    return said["models"]["XGBoost"]["fitted"]["trees"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: tree(s)["left"].__setitem__(0, 0), "children"),
        (lambda s: tree(s)["right"].__setitem__(0, 999), "children"),
        (lambda s: tree(s)["feature"].__setitem__(0, 3), "nodes of other features"),
        (lambda s: tree(s)["value"].pop(), "different lengths"),
        (lambda s: s["models"]["XGBoost"]["fitted"].update(kind="pickle"), "kind"),
        (lambda s: s["models"]["XGBoost"].update(threshold="nan"), "finite number"),
        (lambda s: s.update(code="import os"), "Extra inputs"),
        (lambda s: s.update(format="nextaim_kit models 2"), "format"),
        (lambda s: s.update(models={}), "models"),
    ],
)
def test_a_file_that_is_made_up_is_refused_with_the_place(change, words, path):
    said = json.loads(path.read_text())
    del said["check"]
    change(said)
    path.write_text(json.dumps(said | {"check": _check(said)}))
    with pytest.raises(DataError, match=words):
        load_models(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"check": 1}', "[" * 5000, "\x80"])
def test_what_is_no_file_of_models_is_refused(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"other\.json holds no models"):
        load_models(path)
