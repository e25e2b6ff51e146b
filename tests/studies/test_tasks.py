"""What studies offer for questions that cut across keeps the contract, and is what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.study_task import load_task


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("tasks")))
        yield


@pytest.fixture(scope="module")
def films():
    return load_task("cxr_severity", "synthetic", 36, 3)


@pytest.fixture(scope="module")
def crops():
    return load_task("breast_masses", "synthetic", 24, 3)


@pytest.mark.parametrize("study", ["films", "crops"])
def test_a_network_is_made_by_its_seed_and_gives_a_logit_of_images_of_any_edge(study, request):
    task = request.getfixturevalue(study)
    said = apply(task.build(5), task.x[:2])
    assert said.shape == (2, 1)
    assert torch.equal(said, apply(task.build(5), task.x[:2]))
    assert not torch.equal(said, apply(task.build(6), task.x[:2]))
    assert apply(task.build(5), task.x[:2, :, :48, :48]).shape == (2, 1)


def test_films_show_lungs_alone_and_their_opacities_raise_the_gray_level(films):
    assert films.synthetic
    assert films.failures.empty
    outside = films.x[:, 0] == 0
    assert outside.mean() > 0.3
    assert (films.truth & outside).sum() < 0.05 * films.truth.sum()
    opaque, clear = films.truth.mean((1, 2)), films.features["gray_p75"]
    assert np.corrcoef(opaque, clear)[0, 1] > 0.3
    assert films.truth[films.y == 1].mean() > films.truth[films.y == 0].mean()


def test_crops_of_one_patient_are_one_group_and_their_truth_is_the_mass(crops):
    assert crops.patients < len(crops)
    assert crops.truth[:, 32, 32].mean() > 0.9
    assert crops.missing.empty
    area = crops.features["original_shape2D_PixelSurface"]
    assert np.corrcoef(area, crops.truth.sum((1, 2)))[0, 1] > 0.99


def test_edges_that_were_planted_differ_most_between_the_outcomes():
    task = load_task("asd_fusion", "synthetic", 160, 3)
    apart = pd.Series(task.x[task.y == 1].mean(0) - task.x[task.y == 0].mean(0), task.names)
    planted = apart.index.isin(task.truth)
    assert 0 < planted.sum() < len(planted)
    assert apart[planted].abs().mean() > 1.1 * apart[~planted].abs().mean()
    model = task.build(0).fit(task.features, task.y)
    assert model.predict_proba(task.features).shape == (160, 2)


def test_a_table_of_ones_own_is_a_task_too_and_who_lacks_an_outcome_is_named(tmp_path):
    rng = np.random.default_rng(0)
    own = pd.DataFrame(
        rng.normal(size=(40, 12)), columns=[f"original_glcm_F{k}" for k in range(12)]
    )
    own.insert(0, "label", [*[0, 1] * 19, 1, None])
    own.insert(0, "site", "A")
    own.insert(0, "subject", [f"P{k}" for k in range(40)])
    own.loc[0, "original_glcm_F3"] = None
    own.to_csv(tmp_path / "features.csv", index=False)
    task = load_task("ct_radiomics", str(tmp_path / "features.csv"), 99, 0)
    assert (len(task), task.synthetic, list(task.missing.index)) == (
        39,
        False,
        ["original_glcm_F3"],
    )
    assert task.failures["subject"].tolist() == ["P39"]
    model = task.build(0, n_estimators=5).fit(task.features, task.y)
    assert model.predict_proba(task.features).shape == (39, 2)
