"""The notebook structuring on tables of one's own: trained here, tested there, applied later."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.studies.report_structuring.twin import make_set

pytestmark = [pytest.mark.notebook, pytest.mark.rest]
LITTLE = {"template": "covid_ct_short", "epochs": "0", "encoder_epochs": "1"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of the two hospitals, as one would bring them."""
    folder, places = tmp_path_factory.mktemp("tables"), {}
    for name in ("hospital_1", "hospital_2"):
        table = make_set(name).table
        kept = [c for c in table if not c.startswith("second_") and c != "annotator"]
        places[name] = folder / f"{name}.csv"
        table[kept].to_csv(places[name], index=False)
    return {name: str(place) for name, place in places.items()}


def found(record):
    return {m["name"]: m for m in record["metrics"]}


def test_another_hospital_is_measured_once_and_a_saved_structurer_says_of_it_the_same(
    shared_cache, monkeypatch, tables
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    given = LITTLE | {"cohort": tables["hospital_1"], "external": tables["hospital_2"]}
    trained = prepare("report_structuring/structuring", "smoke", given)
    outside = found(execute(trained)[0])
    there = pd.read_csv(tables["hospital_2"])
    assert outside["n_train"]["value"] == 163
    for name in ("tf_idf", "encoder", "rules"):
        one = outside[f"external_exact_match_{name}"]
        assert one["n"] == len(there)
        assert one["low"] <= one["value"] <= one["high"]
    kept = trained.folder / "files/structurer.safetensors"
    apply = {"model": str(kept), "cohort": tables["hospital_2"], "template": "covid_ct_short"}
    record, _ = execute(prepare("report_structuring/structuring", "smoke", apply))
    again = found(record)["applied_accuracy"]["value"]
    assert again in [outside[f"external_accuracy_{n}"]["value"] for n in ("tf_idf", "encoder")]
    assert record["ended"].startswith("the structurer of an earlier run was applied")
    told = pd.read_csv(prepare("report_structuring/structuring", "smoke", apply).folder
                       / "files/answers.csv")  # fmt: skip
    assert set(told["subject"]) <= set(there["subject"])
    assert list(told) == ["subject", "field", "value", "confidence"]
