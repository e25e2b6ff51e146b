"""Explanations add up, find what is planted, and are not found where nothing was learned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import shap
import torch

from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.asd_fusion import explain, figures
from nextaim_kit.studies.asd_fusion.brains import Brains, square, upper
from nextaim_kit.studies.asd_fusion.models import Linear

REGIONS = 12
EDGES = REGIONS * (REGIONS - 1) // 2
PLANTED = np.zeros(EDGES)
PLANTED[[0, 5, 9, 20, 33, 47]] = 1.2


@pytest.fixture(scope="module")
def brains() -> Brains:
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 60)
    table = pd.DataFrame({"subject": [f"p{k}" for k in range(120)], "site": "A", "label": y})
    connectivity = rng.normal(size=(120, EDGES)) + y[:, None] * PLANTED
    structure = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
    structure["a"] += y
    regions = pd.DataFrame({"region": range(REGIONS), "network": np.repeat(list("DVM"), 4)})
    return Brains(table.astype({"label": "Int64"}), connectivity.astype(np.float32), structure,
                  regions, synthetic=True)  # fmt: skip


@pytest.fixture(scope="module")
def splits(brains):
    return patient_folds(brains.table, 3, seed=0, by=("label",))


@pytest.fixture(scope="module")
def linear(brains, splits):
    return explain.explain_unseen(Linear(["function", "structure"]), brains, splits)


@pytest.fixture(scope="module")
def joint(brains, splits, tmp_path_factory):
    fit = explain.network(
        ["function", "structure"], tmp_path_factory.mktemp("net"), members=2, epochs=30
    )
    return explain.explain_unseen(fit, brains, splits, explain.Gradients(60, 100))


def test_values_of_the_linear_model_add_up_exactly(linear):
    assert linear.table["gap"].abs().max() < 1e-6


def test_values_of_the_network_add_up_but_for_the_drawing(joint):
    assert joint.table["gap"].abs().mean() < 0.2 * joint.table["logit"].std()


def test_values_of_the_network_are_those_of_the_shap_package(brains, splits, tmp_path):
    train, test = (brains.at(rows) for rows in splits[0])
    fit = explain.network(["function", "structure"], tmp_path, members=1, epochs=10)
    blocks, net = fit(train, 0).model[0].model
    few = test.at(np.arange(3))
    how = explain.Gradients(len(train), 8000)
    values, base = explain.network_shap(net, blocks, train, few, how)
    behind, given = ([torch.from_numpy(b) for b in blocks.apart(x).values()] for x in (train, few))
    known = shap.GradientExplainer(net, behind).shap_values(given, nsamples=8000, rseed=0)
    known = np.hstack([value[..., 0] for value in known])
    np.testing.assert_allclose(values, known, atol=0.15 * known.std())
    assert base == pytest.approx(net(*behind).mean().item(), abs=1e-5)


def test_subjects_stand_in_the_order_of_the_cohort_each_by_a_model_that_had_not_seen_it(
    brains, splits, linear
):
    assert list(linear.table["subject"]) == list(brains.table["subject"])
    for fold, (_, test) in enumerate(splits):
        assert set(np.flatnonzero(linear.table["fold"] == fold)) == set(test)


def test_linear_values_are_the_weight_times_the_distance_from_the_mean(brains, splits):
    train, test = (brains.at(rows) for rows in splits[0])
    blocks, model = Linear(["function"])(train, 0).model
    before, now = blocks.transform(train), blocks.transform(test)
    values, base = explain.linear_shap(model, before, now)
    np.testing.assert_allclose(values[3, 7], model.coef_[0, 7] * now[3, 7], atol=1e-6)
    np.testing.assert_allclose(values.sum(1) + base, model.decision_function(now), atol=1e-6)
    assert base == pytest.approx(model.decision_function(before).mean(), abs=1e-6)


def test_the_haufe_pattern_is_the_covariance_times_the_weights():
    rng = np.random.default_rng(1)
    X, w = rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7)), rng.normal(size=7)
    np.testing.assert_allclose(explain.haufe_pattern(X, X @ w + 3), np.cov(X.T) @ w, atol=1e-10)


def test_the_pattern_leaves_out_what_only_takes_noise_away():
    rng = np.random.default_rng(2)
    signal, noise = rng.normal(size=(2, 5000))
    pattern = explain.haufe_pattern(np.column_stack([signal + noise, noise]), signal)
    assert abs(pattern[1]) < 0.1 < 0.9 < pattern[0]


@pytest.mark.parametrize("model", ["linear", "joint"])
def test_maps_find_the_planted_edges_and_the_planted_feature(model, request):
    shap = request.getfixturevalue(model)
    assert explain.precision(shap.part("function").map(), PLANTED, 6) >= 5 / 6
    assert shap.part("structure").map().argmax() == 0


def test_maps_of_random_labels_and_of_an_untaught_network_find_no_more_than_chance(
    brains, splits, joint, tmp_path
):
    mixed = np.random.default_rng(3).permutation(brains.table["label"].to_numpy(int))
    people = replace(brains, table=brains.table.assign(label=mixed))
    fits = {taught: explain.network(["function"], tmp_path / str(taught), members=1, epochs=5,
                                    taught=taught) for taught in (True, False)}  # fmt: skip
    how = explain.Gradients(30, 20)
    maps = [explain.explain_unseen(fits[True], people, splits, how).by_fold(),
            explain.explain_unseen(fits[False], brains, splits, how).by_fold()]  # fmt: skip
    alike = explain.likeness(joint.part("function"), {"mixed": maps[0], "untaught": maps[1]}, k=6)
    alike = alike.set_index("name")["value"]
    own, strange = alike[["another seed", "another fold"]], alike[["mixed", "untaught"]]
    assert strange.mean() + 0.1 < own.mean()


@pytest.mark.parametrize("part", ["function", "structure"])
def test_one_modality_alone_is_explained(brains, splits, part, tmp_path):
    fit = explain.network([part], tmp_path, members=1, epochs=5)
    shap = explain.explain_unseen(fit, brains, splits[:1], explain.Gradients(20, 50))
    assert list(shap.places) == [part]
    assert shap.values.shape == (40, EDGES if part == "function" else 4)
    assert shap.table["gap"].abs().mean() < 0.3


def test_the_same_seed_gives_the_same_values(brains, splits, tmp_path):
    fits = [explain.network(["structure"], tmp_path / k, members=1, epochs=3) for k in "ab"]
    one, two = (explain.explain_unseen(fit, brains, splits[:1], explain.Gradients(20, 10))
                for fit in fits)  # fmt: skip
    np.testing.assert_array_equal(one.values, two.values)


def test_agreement_is_sure_of_the_truth_itself_and_not_of_noise():
    rng = np.random.default_rng(4)
    maps = {"truth": np.tile(PLANTED, (3, 1)), "noise": rng.random((3, EDGES))}
    measure = partial(explain.precision, k=6)
    found = explain.agreement(maps, PLANTED, measure, regions=REGIONS, permutations=99)
    found = found.set_index("name")
    assert found.loc["truth", ["value", "whole", "best"]].tolist() == [1, 1, 1]
    assert found.loc["truth", "p"] == pytest.approx(0.01)
    assert found.loc["noise", "p"] > 0.05
    assert found["chance"].to_numpy() == pytest.approx(6 / EDGES, abs=0.05)


def test_a_pair_of_networks_that_is_stronger_stands_out_whatever_its_size(brains):
    matrix = np.ones((REGIONS, REGIONS))
    matrix[:4, 4:8] = matrix[4:8, :4] = 4
    pairs = explain.by_pair(upper(matrix), brains.regions, permutations=200)
    first = pairs.sort_values("p").iloc[0]
    assert (first["one"], first["other"], first["edges"]) == ("D", "V", 16)
    assert first["value"] == pytest.approx(np.log2(4 / upper(matrix).mean()))
    assert pairs["edges"].sum() == EDGES
    assert (pairs["p"] <= pairs["q"] + 1e-12).all()


def test_missing_edges_count_in_no_pair_and_no_region(brains):
    matrix = np.ones((REGIONS, REGIONS))
    matrix[0, :] = matrix[:, 0] = np.nan
    pairs = explain.by_pair(upper(matrix), brains.regions, permutations=20)
    assert pairs["value"].to_numpy() == pytest.approx(0)
    assert pairs["edges"].sum() == EDGES - REGIONS + 1
    regions = explain.by_region(upper(matrix), brains.regions)
    assert regions["value"].iloc[-1] == 0
    assert np.nansum(square(upper(matrix), REGIONS)) == pytest.approx(regions["value"].sum())


def test_the_figure_of_what_is_found_tells_each_map_s_share():
    figure = figures.found_of_planted({"truth": PLANTED, "nothing": PLANTED == 0}, PLANTED)
    assert "Of the 6 strongest edges" in alt_of(figure)
    assert "truth 1.00, nothing 0.00; by chance 0.09" in alt_of(figure)


def test_maps_of_two_halves_of_a_cohort_agree_and_a_map_with_itself_wholly(brains):
    one, other = brains.at(np.arange(60)), brains.at(np.arange(60, 120))
    fit = Linear(["function", "structure"])
    here = explain.explain_others(fit, other, one)
    there = explain.explain_others(fit, one, other)
    found = explain.same_elsewhere(here, there, brains.regions, n_boot=50).set_index("name")
    assert found.loc["function, by region", "n"] == REGIONS
    assert found.loc["function, by pair of networks", "n"] == 6
    assert found.loc["structure, by feature", "n"] == 4
    assert (found["low"] <= found["value"]).all()
    assert found.loc["function, by region", "value"] > 0.3
    itself = explain.same_elsewhere(here, here, brains.regions, n_boot=0)
    np.testing.assert_allclose(itself["value"], 1)


def test_edges_are_summed_by_both_their_regions_and_averaged_by_pair_of_networks(brains):
    sums = explain._summed_by(brains.regions)
    np.testing.assert_allclose(sums["region"].sum(axis=0), REGIONS - 1)
    np.testing.assert_allclose(sums["pair of networks"].sum(axis=0), 1)


def test_others_are_explained_by_a_model_that_all_of_one_cohort_trained(brains):
    here, other = brains.at(np.arange(90)), brains.at(np.arange(90, 120))
    found = explain.explain_others(Linear(["function"]), here, other)
    assert found.table["subject"].tolist() == other.table["subject"].tolist()
    assert found.values.shape == (30, EDGES)
    want = Linear(["function"])(here, 0).logit(other)
    np.testing.assert_allclose(found.table["logit"], want, atol=1e-6)
