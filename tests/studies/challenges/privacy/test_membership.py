"""Attacks on made-up scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.challenges.privacy import membership

PATIENTS = [f"P{k:03d}" for k in range(200)]
SITES = ["A"] * 120 + ["B"] * 80


@pytest.fixture(scope="module")
def inside():
    return membership.draw_halves(PATIENTS, SITES, models=6, seed=3)


@pytest.fixture(scope="module")
def easy():
    """How sure any model is of each patient: from hopeless to trivial."""
    return np.random.default_rng(0).normal(0, 3, 200)


def noise(seed, spread=1.0):
    return np.random.default_rng(seed).normal(0, spread, (6, 200))


def aucs(scores, inside):
    found = membership.success(membership.attacks(scores, inside, PATIENTS), n_boot=200)
    return found[found["metric"] == "auc"].set_index("name")


def test_a_model_that_memorizes_is_found_by_every_attack(inside):
    found = aucs(noise(1, 0.1) + 10 * inside, inside)
    assert (found["value"] > 0.99).all()
    assert found.index.tolist() == ["loss", "calibrated", "LiRA"]


def test_a_model_of_other_patients_is_not_found_by_any_attack(inside, easy):
    found = aucs(easy + noise(2), inside)
    assert ((found["low"] < 0.5) & (found["high"] > 0.5)).all()


def test_without_memory_the_attacks_that_know_other_models_are_not_biased(inside, easy):
    mean = pd.concat([aucs(easy + noise(k), inside)["value"] for k in range(10, 30)], axis=1).mean(
        axis=1
    )
    assert mean["calibrated"] == pytest.approx(0.5, abs=0.02)
    assert mean["LiRA"] == pytest.approx(0.5, abs=0.02)


def test_a_little_memory_is_seen_only_beside_how_easy_a_patient_is(inside, easy):
    found = aucs(easy + noise(4, 0.3) + 1.0 * inside, inside)["value"]
    assert found["loss"] < 0.65
    assert found["calibrated"] > 0.9
    assert found["LiRA"] > 0.9


def test_a_model_that_is_surer_of_everyone_changes_nothing(inside, easy):
    scores = easy + noise(5) + inside
    surer = scores + np.arange(6)[:, None]
    pd.testing.assert_frame_equal(
        membership.by_patient(scores, inside, PATIENTS),
        membership.by_patient(surer, inside, PATIENTS),
    )


def test_half_of_each_site_is_inside_and_the_next_model_has_the_other_half(inside):
    assert (inside[::2] == ~inside[1::2]).all()
    assert (inside[:, :120].sum(axis=1) == 60).all()
    assert (inside[:, 120:].sum(axis=1) == 40).all()
    assert (inside.sum(axis=0) == 3).all()


def test_all_rows_of_a_patient_are_on_one_side():
    groups = np.repeat([f"P{k}" for k in range(9)], 3)
    halves = membership.draw_halves(groups, np.repeat(list("AAABBBCCC"), 3), models=4)
    assert all(len(set(part)) == 1 for half in halves for part in half.reshape(9, 3))


def test_rows_of_a_patient_are_added_up():
    groups = np.repeat([f"P{k:02d}" for k in range(60)], 3)
    held = membership.draw_halves(groups, ["A"] * 180, models=4, seed=1)
    score = held + np.random.default_rng(0).normal(0, 1.5, held.shape)
    rows = [f"{who}-{k}" for k, who in enumerate(groups)]
    ways = {"one": membership.by_patient(score, held, rows),
            "all": membership.by_patient(score, held, groups)}  # fmt: skip
    found = membership.success(ways, n_boot=50).query("metric == 'auc'").set_index("name")["value"]
    assert found["all"] > found["one"] + 0.05


def test_an_odd_number_of_models_is_refused():
    with pytest.raises(RequestError, match="pairs of models are needed"):
        membership.draw_halves(PATIENTS, SITES, models=5)


def test_scores_of_models_that_are_no_pairs_are_refused(inside):
    with pytest.raises(DataError, match="no pairs of models on complementary halves"):
        membership.lira(noise(0), np.roll(inside, 1, axis=0))


def test_confidence_is_the_log_odds_of_the_true_outcome():
    found = membership.confidence([0.9, 0.9, 1.0], [1, 0, 1])
    assert found[:2] == pytest.approx([np.log(9), -np.log(9)])
    assert np.isfinite(found[2])


def test_members_found_at_ten_percent_false_alarms_are_counted_by_hand():
    inside = np.repeat([1, 0], [10, 20])
    score = np.r_[np.full(4, 9.0), np.full(6, 0.0), [8.0, 7.0], np.full(18, 1.0)]
    value, low, high = membership.tpr_at(inside, score, 0.1, n_boot=100)
    assert value == pytest.approx(0.4)  # two of twenty others may pass, and do at 7
    assert low <= value <= high


def test_tied_scores_are_called_together_or_not_at_all():
    assert membership.tpr_at([1, 1, 0, 0], [1.0, 1.0, 1.0, 0.0], 0.1, n_boot=20)[0] == 0


def test_one_percent_is_told_only_of_a_thousand_non_members(inside):
    def metrics(n):
        lines = pd.DataFrame(
            {"model": 0, "patient": np.arange(2 * n), "inside": np.arange(2 * n) % 2}
        )
        lines["score"] = np.random.default_rng(0).random(2 * n)
        return set(membership.success({"a": lines}, n_boot=10)["metric"])

    assert metrics(99) == {"auc"}
    assert metrics(100) == {"auc", "tpr_at_10"}
    assert metrics(999) == {"auc", "tpr_at_10"}
    assert metrics(1000) == {"auc", "tpr_at_10", "tpr_at_1"}


def test_features_alone_tell_another_population_and_not_the_same_one(inside):
    x = np.random.default_rng(0).normal(size=(200, 5))
    same = membership.success({"a": membership.blind(x, inside[::2], PATIENTS)}, n_boot=200).iloc[0]
    assert same["low"] < 0.5 < same["high"]
    shifted = membership.blind(x + 2 * inside[0][:, None], inside[:1], PATIENTS)
    assert membership.success({"a": shifted}, n_boot=50)["value"].iloc[0] > 0.99


def test_the_bounds_of_differential_privacy_are_those_worked_out_by_hand():
    assert membership.most_auc(1.0) == pytest.approx(np.e / (1 + np.e))
    assert membership.most_found(0.0, 0.0, 0.1) == pytest.approx(0.1)
    assert membership.most_found(np.log(3), 0.01, 0.1) == pytest.approx(0.31)
    assert membership.most_found(30.0, 0.0, 0.1) == pytest.approx(1.0)


def test_what_is_kept_of_a_row_is_the_difference_between_models_with_and_without_it(inside, easy):
    scores = easy + 2.0 * inside
    assert membership.kept_of(scores, inside) == pytest.approx(np.full(200, 2.0))
    assert membership.unexpected(scores, inside) == pytest.approx(-easy)


def test_utility_is_of_those_who_did_not_train(inside):
    y = np.arange(200) % 2
    p = np.where(inside, 1 - y, y).astype(float)  # right about others, wrong about its own
    assert membership.utility(p, y, inside, PATIENTS, n_boot=20)[0] == 1


def test_a_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(0).normal(size=(2, 40))
    value, low, high = membership.rank_correlation(a, a + b, n_boot=200)
    assert value == pytest.approx(spearmanr(a, a + b).statistic)
    assert low < value < high
