"""Models of an earlier run predict other patients, and nobody whom they were trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.applied import apply_models
from nextaim_kit.learn.method import Method
from nextaim_kit.learn.model_file import SavedModels, TrainedOn
from nextaim_kit.learn.nested import final_model

PLAIN = Method("logistic", ("none",), grid={"C": [1.0]}, inner=2)


def cohort(n=24, prefix="P", seed=0) -> pd.DataFrame:
    label = np.arange(n) % 2
    values = np.random.default_rng(seed).normal(size=(n, 2)) + label[:, None]
    table = pd.DataFrame(values, columns=["size", "volume"])
    return table.assign(subject=[f"{prefix}{k:02d}" for k in range(n)], site="A", label=label)


@pytest.fixture(scope="module")
def saved():
    columns = {"both": ["size", "volume"], "volume": ["volume"], "size": ["size"]}
    finals = {name: final_model(cohort(), one, PLAIN) for name, one in columns.items()}
    who = {"name": "table.csv", "sha256": None, "synthetic": False}
    return SavedModels(finals, TrainedOn.of(who, finals["both"].seen), {})


def test_every_model_predicts_every_other_patient(saved):
    others = cohort(prefix="E", seed=1)
    told, left_out = apply_models(saved, others)
    assert told.groupby("model", sort=False).size().to_dict() == dict.fromkeys(saved.models, 24)
    assert told["p"].between(0, 1).all()
    assert told["y"].tolist() == 3 * others["label"].tolist()
    assert left_out.empty


def test_patients_without_an_outcome_are_predicted_alike(saved):
    others = cohort(prefix="E", seed=1)
    told, _ = apply_models(saved, others.drop(columns="label"))
    assert told["y"].isna().all()
    assert told["p"].equals(apply_models(saved, others)[0]["p"])


def test_training_patients_are_left_out_by_name(saved):
    both = pd.concat([cohort(prefix="E", seed=1), cohort().head(2)])
    told, left_out = apply_models(saved, both)
    assert not {"P00", "P01"} & set(told["subject"])
    assert left_out["subject"].tolist() == ["P00", "P01"]
    with pytest.raises(DataError, match="all 24 subjects of the table trained the model"):
        apply_models(saved, cohort())


def test_a_baseline_without_its_features_is_left_out_and_the_first_model_is_refused(saved, capsys):
    others = cohort(prefix="E", seed=1).drop(columns="volume")
    first = replace(saved, models={"size": saved.models["size"], **saved.models})
    assert set(apply_models(first, others)[0]["model"]) == {"size"}
    assert "volume is left out: the table has no volume" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"lacks 1 of 2 features of the model(.|\n)*volume"):
        apply_models(saved, others)
