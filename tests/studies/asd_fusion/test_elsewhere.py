"""Notebooks with another cohort: tested once, and by an earlier run's models to the same digits."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.studies.asd_fusion.twin import make_twin

pytestmark = [pytest.mark.rest, pytest.mark.notebook]


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """Two tables of the twin, of institutions that they do not share."""
    brains, folder = make_twin(240, seed=5).brains, tmp_path_factory.mktemp("cohorts")
    there = brains.table["institution"] < "NYU"
    for name, rows in (("features", ~there), ("external", there)):
        brains.at(rows.to_numpy()).save(folder / f"{name}.parquet")
    return {name: str(folder / f"{name}.parquet") for name in ("features", "external")}


def ran(notebook, given):
    request = prepare(f"asd_fusion/{notebook}", "smoke", given)
    record, _ = execute(request)
    return record, {m["name"]: m for m in record["metrics"]}, request.folder / "files"


def test_saved_models_say_of_another_cohort_what_external_said(cohorts, shared_cache, monkeypatch):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    _, found, files = ran("joint_fusion", cohorts | {"epochs": "1"})
    assert {"auc_external_joint_network", "external_brier"} <= set(found)
    assert "oracle_auc" not in found  # half a twin is none
    given = {"model": str(files / "models.safetensors"), "features": cohorts["external"]}
    record, again, applied = ran("joint_fusion", given)
    assert record["ended"] == "the models of an earlier run were applied, and none was trained"
    for name in ("joint_network", "late_fusion", "confounds"):
        same = found[f"auc_external_{name}"]["value"]
        assert again[f"applied_auc_{name}"]["value"] == pytest.approx(same)
    paths = files / "external_predictions.csv", applied / "predictions.csv"
    one, other = (pd.read_csv(path).set_index(["name", "subject"])["logit"] for path in paths)
    assert len(one) == len(other)
    assert (one - other).abs().max() < 1e-6


def test_harmonization_and_explanation_measure_another_cohort_once(
    cohorts, shared_cache, monkeypatch
):
    monkeypatch.setenv("NEXTAIM_CACHE", str(shared_cache))
    _, found, _ = ran("harmonization", cohorts)
    for name in ("auc_external_structure_nothing", "auc_external_structure_own_mean_and_spread",
                 "external_site_auc_after_structure"):  # fmt: skip
        assert 0 <= found[name]["value"] <= 1
    _, found, kept = ran("explanation", cohorts | {"epochs": "1"})
    same = pd.read_csv(kept / "external.csv")
    assert set(same["group"]) == {"network", "untrained"}
    assert {"external_auc_network"} <= set(found)
