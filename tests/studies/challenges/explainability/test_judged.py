"""The truth itself scores 1, noise its area; an edge detector is caught; an oracle is faithful."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.studies.challenges.explainability import judged, maps
from tests.studies.challenges.explainability.conftest import emptied


def test_the_truth_itself_points_with_1_and_noise_with_its_area(oracle):
    truth = np.tile(oracle.truth, (200, 1, 1))
    many = replace(
        oracle,
        x=oracle.x.repeat(200, 1, 1, 1),
        truth=truth,
        groups=np.arange(len(truth)).astype(str),
    )
    drawn = {"truth": many.truth.astype(float), "random": maps.draw(many, "random")}
    found = judged.against_truth(drawn, many).set_index(["name", "metric"])
    assert (found.loc["truth", "value"] == 1).all()
    chance = found["chance"].iloc[0]
    assert chance == pytest.approx(25 / 32**2, rel=0.01)
    spread = (chance * (1 - chance) / len(many)) ** 0.5
    assert abs(found.loc[("random", "pointing"), "value"] - chance) < 3 * spread
    assert found.loc[("random", "energy"), "value"] == pytest.approx(chance, rel=0.05)
    assert found.loc[("random", "precision"), "value"] == pytest.approx(chance, rel=0.2)


def test_a_map_that_points_nowhere_is_a_miss(oracle):
    found = judged.against_truth({"nothing": np.zeros(oracle.truth.shape)}, oracle)
    assert (found["value"] == 0).all()


def test_without_a_truth_nothing_is_judged_by_it(images, workshop):
    explained = workshop(emptied(images), 20).explained(0)
    drawn = {"random": maps.draw(explained, "random")}
    assert judged.against_truth(drawn, explained).empty


def test_the_map_of_an_oracle_is_ahead_of_chance_and_its_opposite_behind(oracle):
    drawn = {"oracle": oracle.truth.astype(float), "opposite": 1.0 - oracle.truth}
    found = judged.faithful(drawn, oracle).set_index(["name", "metric"])
    assert (found.loc["oracle", "low"] > 0.02).all()
    assert (found.loc["opposite", "high"] < -0.01).all()


def test_deletion_of_an_oracle_falls_to_the_emptied_item_within_the_first_step(oracle):
    area = judged.areas(oracle, oracle.truth.astype(float), "deletion")
    whole, empty = oracle.probability(oracle.x), oracle.probability(oracle.emptied)
    # 25 of 1024 pixels are gone after one step of ten: half a step of the whole, the rest empty.
    assert area == pytest.approx(0.05 * whole + 0.95 * empty, abs=1e-5)


def test_the_randomization_check_catches_a_planted_edge_detector_and_passes_a_map_of_the_network(
    images, workshop
):
    shop = workshop(images, 240)
    explained = shop.explained(0)
    nets = {"retrained": [shop.trained(1)], "weights": [shop.fresh(9)]}
    drawn = {name: maps.draw(explained, name) for name in ("edges", "occlusion")}
    found = judged.sane(drawn, explained, nets)
    assert judged.caught(found) == ["edges"]
    edges = found[found["name"] == "edges"].set_index("metric")["value"]
    assert edges["weights"] == pytest.approx(1)
    assert edges["margin_weights"] == pytest.approx(0)


def test_networks_are_resampled_beside_patients_and_one_network_leaves_patients_alone():
    few = np.array([[0.0] * 40, [1.0] * 40])
    value, low, high = judged._both_drawn(few, np.arange(40), 500)
    assert value == pytest.approx(0.5)
    assert low <= 0 < 1 <= high  # both networks alike may be drawn twice
    assert judged._both_drawn(few[:1], np.arange(40), 500) == pytest.approx((0, 0, 0))


def test_a_network_of_shuffled_outcomes_knows_nothing(images, workshop):
    from nextaim_kit.learn.inference import apply
    from nextaim_kit.learn.metrics import auc

    shop = workshop(images, 120)
    rows = shop.split.test
    score = apply(shop.trained(2, shuffled=True), shop.task.x[rows])[:, 0].numpy()
    assert auc(shop.task.y[rows], score) < 0.85 < auc(*shop.scores(2))


def test_maps_agree_with_themselves_not_with_noise_and_reversed_with_minus_1(oracle):
    noise = maps.draw(oracle, "random")
    assert judged.alike(noise, noise, oracle) == pytest.approx(1)
    assert judged.alike(noise, -noise, oracle) == pytest.approx(-1)
    other = maps.draw(replace(oracle, seed=5), "random")
    assert abs(judged.alike(noise, other, oracle).mean()) < 0.05
    assert (judged.alike(noise, np.zeros_like(noise), oracle) == 0).all()


def test_the_last_row_of_an_agreement_is_the_mean_of_all_pairs(oracle):
    drawn = {f"m{k}": maps.draw(replace(oracle, seed=k), "random") for k in range(3)}
    found = judged.agreement(drawn, oracle).set_index("name")
    pairs = found.drop(index="mean of all pairs")
    assert len(pairs) == 3
    assert found.loc["mean of all pairs", "value"] == pytest.approx(pairs["value"].mean())
    whole = found.loc["mean of all pairs"]
    assert whole["low"] < whole["value"] < whole["high"]
    assert judged.agreement({"m0": drawn["m0"]}, oracle).empty


def test_an_empty_border_makes_no_maps_alike(oracle):
    x = oracle.x.clone()
    x[..., :8, :], x[..., -8:, :] = 0, 0
    framed = replace(oracle, x=x)
    one, other = (maps.draw(replace(framed, seed=seed), "random") for seed in (1, 2))
    assert (one[:, :8] == 0).all()
    assert abs(judged.alike(one, other, framed).mean()) < 0.1


def test_without_noise_maps_stand_still_and_more_noise_moves_them_more(images, workshop):
    explained = workshop(images).explained(0)
    drawn = {"gradient": maps.draw(explained, "gradient")}
    values = [judged.steady(drawn, explained, share)["value"][0] for share in (0.0, 0.1, 1.0)]
    assert values[0] == pytest.approx(1)
    assert values[0] > values[1] > values[2]
