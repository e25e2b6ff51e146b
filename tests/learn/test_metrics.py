"""Metrics are the known ones, and their intervals behave."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as known
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from nextaim_kit.errors import DataError
from nextaim_kit.learn.metrics import (
    _recalibration_of,
    auc,
    auc_interval,
    below_chance,
    decision_curve,
    evaluate,
    evaluate_by,
    macro_auc,
    macro_auc_interval,
    mean_auc_interval,
    operating_point,
    within_auc_interval,
)


def patients(n=300, seed=0, strength=1.5):
    """Outcomes and perfectly calibrated probabilities."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-strength * rng.normal(size=n)))
    return (rng.random(n) < p).astype(int), p


def values(y, p, **options):
    return evaluate(y, p, **options).set_index("metric")


def test_every_measure_is_the_known_one():
    y, p = patients()
    ours = values(y, p, threshold=0.4, n_boot=10)["value"]
    c = p >= 0.4
    expected = {
        "auc": known.roc_auc_score(y, p),
        "average_precision": known.average_precision_score(y, p),
        "accuracy": known.accuracy_score(y, c),
        "balanced_accuracy": known.balanced_accuracy_score(y, c),
        "precision": known.precision_score(y, c),
        "recall": known.recall_score(y, c),
        "specificity": known.recall_score(1 - y, ~c),
        "npv": known.precision_score(1 - y, ~c),
        "f1": known.f1_score(y, c),
        "brier": known.brier_score_loss(y, p),
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("surer", [1, 4])  # of a network that is far too sure Newton overshot
def test_calibration_is_that_of_a_logistic_regression_on_the_logit(surer):
    y, p = patients()
    p = np.clip(1 / (1 + (1 / p**2 - 1) ** surer), 1e-6, 1 - 1e-6)  # as far as we look
    logit = np.log(p / (1 - p))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit, y)
    slope = values(y, p, n_boot=10)["value"]["calibration_slope"]
    assert slope == pytest.approx(fitted.coef_[0, 0], rel=1e-4)


def test_calibrated_probabilities_have_slope_one_and_little_error():
    y, p = patients(20_000)
    ours = values(y, p, n_boot=5)["value"]
    assert ours["calibration_slope"] == pytest.approx(1, abs=0.05)
    assert ours["calibration_intercept"] == pytest.approx(0, abs=0.05)
    assert ours["ece"] < 0.02


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=4, max_size=40))
@settings(deadline=None, max_examples=50)
def test_auc_is_the_share_of_pairs_in_order_and_ties_count_half(drawn):
    y, score = np.array([d[0] for d in drawn]), np.array([d[1] for d in drawn], float)
    if y.all() or not y.any():
        return
    pairs = score[y][:, None] - score[~y][None, :]
    assert auc(y, score) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())


def test_intervals_hold_the_value_and_shrink_with_more_patients():
    small, large = (values(*patients(n)).drop("ece") for n in (100, 2000))
    assert (small["low"] <= small["value"]).all()
    assert (small["value"] <= small["high"]).all()
    width = {k: t.loc["auc", "high"] - t.loc["auc", "low"] for k, t in {1: small, 2: large}.items()}
    assert width[2] < width[1] / 2


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty():
    truth = auc(*patients(200_000, seed=1))
    covered = 0
    for seed in range(200):
        _, low, high = auc_interval(*patients(150, seed=seed), n_boot=200, seed=seed)
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_films_of_one_patient_are_drawn_together():
    y, p = patients(100)
    alone = auc_interval(np.repeat(y, 4), np.repeat(p, 4))
    together = auc_interval(np.repeat(y, 4), np.repeat(p, 4), groups=np.repeat(range(100), 4))
    assert together[2] - together[1] > 1.5 * (alone[2] - alone[1])


def test_the_same_seed_gives_the_same_intervals():
    y, p = patients()
    assert evaluate(y, p, seed=3).equals(evaluate(y, p, seed=3))
    assert not evaluate(y, p, seed=3).equals(evaluate(y, p, seed=4))


def test_a_model_does_not_differ_from_itself():
    y, p = patients()
    assert auc_interval(y, p, other=p) == (0.0, 0.0, 0.0)


def test_a_paired_difference_is_tighter_than_two_intervals():
    y, p = patients()
    worse = p + np.random.default_rng(0).normal(0, 0.05, len(p))
    _, low, high = auc_interval(y, p, other=worse)
    _, alone_low, alone_high = auc_interval(y, p)
    assert high - low < alone_high - alone_low


def test_the_operating_point_of_youden_is_the_best_one():
    y, p = patients()
    best = max(known.balanced_accuracy_score(y, p >= t) for t in np.unique(p))
    chosen = operating_point(y, p)
    assert known.balanced_accuracy_score(y, p >= chosen) == pytest.approx(best)
    assert chosen not in p


def test_a_threshold_per_patient_is_used_per_patient():
    y, p = np.array([0, 1, 0, 1]), np.array([0.2, 0.2, 0.8, 0.8])
    measured = values(y, p, threshold=[0.5, 0.1, 0.9, 0.5], n_boot=5)["value"]
    assert measured["accuracy"] == 1.0


def test_treating_all_has_its_known_net_benefit():
    y, p = patients()
    curve = decision_curve(y, {"model": p}, [0.2, 0.5])
    expected = y.mean() - (1 - y.mean()) * 0.2 / 0.8
    assert curve["treat all"][0] == pytest.approx(expected)
    assert curve["model"][1] == pytest.approx(np.mean((p >= 0.5) * np.where(y, 1, -1)))


def test_macro_auc_is_the_mean_over_classes():
    y = np.array(list("aabbcc"))
    scores = np.eye(3)[[0, 0, 1, 1, 2, 0]]
    expected = np.mean([known.roc_auc_score(y == c, scores[:, k]) for k, c in enumerate("abc")])
    assert macro_auc(y, scores, list("abc")) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("y", "p", "said"),
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], "both outcomes"),
        ([0, 1], [0.1], "do not match"),
        ([0, 1], [0.1, float("nan")], "is missing"),
        ([0, 1], [0.1, 7.0], "no probabilities"),
    ],
)
def test_what_cannot_be_measured_is_refused(y, p, said):
    with pytest.raises(DataError, match=said):
        evaluate(y, p)


def test_intervals_of_a_calibrated_model_cover_the_truth_as_often_as_they_say():
    covered = []
    for seed in range(60):
        table = values(*patients(200, seed), n_boot=200)
        row = table.loc["calibration_intercept"]
        covered.append(row["low"] <= 0 <= row["high"])
    # 57 of 60 are expected; resampling within each class would hold 0 in about 43.
    assert 51 <= sum(covered) <= 60


def test_the_ece_has_no_interval_since_resampling_adds_to_it():
    row = values(*patients(), n_boot=50).loc["ece"]
    assert row["value"] > 0
    assert np.isnan([row["low"], row["high"]]).all()


def test_repeated_predictions_are_measured_each_and_averaged():
    y, p = patients()
    q = np.clip(p + np.random.default_rng(1).normal(0, 0.2, len(p)), 0, 1)
    both = values(y, np.c_[p, q], threshold=np.c_[0 * p + 0.5, 0 * p + 0.4], n_boot=20)["value"]
    one, two = (values(y, *a, n_boot=20)["value"] for a in ((p,), (q,)))
    two_at = values(y, q, threshold=0.4, n_boot=20)["value"]
    assert both["auc"] == pytest.approx((one["auc"] + two["auc"]) / 2, abs=1e-12)
    assert both["f1"] == pytest.approx((one["f1"] + two_at["f1"]) / 2, abs=1e-12)
    assert auc_interval(y, np.c_[p, q])[0] == pytest.approx(both["auc"], abs=1e-12)
    assert auc_interval(y, np.c_[p, p], other=p) == (0.0, 0.0, 0.0)


def test_net_benefit_is_that_of_the_decision_curve():
    y, p = patients()
    row = values(y, p, act_at=0.3, n_boot=50).loc["net_benefit"]
    curve = decision_curve(y, {"model": p}, [0.3])
    assert row["value"] == pytest.approx(curve["model"][0], abs=1e-12)
    assert row["low"] < row["value"] < row["high"]


def test_groups_are_measured_each_by_itself_and_one_class_is_left_out():
    y, p = patients()
    site = np.repeat(["A", "B", "C"], 100)
    y[site == "C"] = 1
    found = evaluate_by(site, y, p, threshold=p * 0 + 0.4, n_boot=20)
    assert set(found["group"]) == {"A", "B"}
    alone = values(y[:100], p[:100], threshold=0.4, n_boot=20)
    here = found[found["group"] == "A"].set_index("metric")
    assert here.drop(columns="group").equals(alone)
    assert here["n"]["auc"] == 100
    assert here["n"]["recall"] == y[:100].sum()


def test_macro_auc_s_interval_of_two_classes_is_that_of_the_auc():
    y, p = patients()
    both = np.stack([1 - p, p], axis=1)
    found = macro_auc_interval(y, both[None], [0, 1], n_boot=100)
    assert found == pytest.approx(auc_interval(y, p, n_boot=100), abs=1e-12)
    assert macro_auc_interval(y, both[None], [0, 1], other=both[None], n_boot=20) == (0, 0, 0)


CALLED = [1] * 11 + [0] * 3 + [1] * 2 + [0] * 24  # of 14 with the outcome, then of 26 without


@pytest.mark.parametrize(
    ("metric", "hits", "n"),
    [("accuracy", 35, 40), ("recall", 11, 14), ("specificity", 24, 26), ("precision", 11, 13),
     ("npv", 24, 27)],
)  # fmt: skip
def test_every_proportion_is_exact_and_says_what_it_is_of(metric, hits, n):
    row = values([1] * 14 + [0] * 26, CALLED, n_boot=20).loc[metric]
    assert (row["value"], row["n"], row["interval"]) == (hits / n, n, "exact")
    assert (row["low"], row["high"]) == pytest.approx(proportion_confint(hits, n, method="beta"))


def test_f1_has_the_exact_interval_of_the_share_that_it_is_a_function_of():
    row = values([1] * 14 + [0] * 26, CALLED, n_boot=20).loc["f1"]
    low, high = proportion_confint(11, 16, method="beta")
    assert row["value"] == pytest.approx(22 / 27)
    assert (row["low"], row["high"]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_eleven_of_eleven_is_no_certainty_for_any_measure():
    y = np.repeat([1, 0], [11, 30])
    rows = values(y, 0.1 + 0.8 * y, n_boot=20)
    for metric in ("recall", "precision", "auc", "balanced_accuracy"):
        assert rows.loc[metric, ["low", "high"]].tolist() == pytest.approx([0.715, 1], abs=1e-3)
    low = rows["low"]
    assert (low["specificity"], low["f1"]) == pytest.approx((0.884, 0.834), abs=1e-3)
    assert np.isnan(low["average_precision"])
    assert auc_interval(y, y)[1] == pytest.approx(0.715, abs=1e-3)


def test_proportions_of_several_films_a_patient_are_bootstrapped():
    y, p = patients(60)
    who = np.repeat(range(60), 2)
    rows = evaluate(np.repeat(y, 2), np.repeat(p, 2), groups=who, n_boot=50)
    assert set(rows.set_index("metric")["interval"][["recall", "npv"]]) == {"bootstrap"}


def test_a_metric_of_nobody_has_neither_value_nor_interval():
    row = values([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], threshold=0.9, n_boot=20).loc["precision"]
    assert row["n"] == 0
    assert np.isnan([row["value"], row["low"], row["high"]]).all()


def test_an_order_that_is_reversed_is_said():
    y, p = patients()
    with pytest.warns(UserWarning, match=r"AUC 0.18 lies below 0.5: the order is reversed"):
        evaluate(y, 1 - p, n_boot=50)
    with pytest.warns(UserWarning, match="labels swapped"):
        auc_interval(y, -p, n_boot=50)
    assert below_chance((0.45, 0.35, 0.49)) == below_chance((0.3, 0.1, 0.6)) == ""


def test_no_error_among_few_patients_is_no_certainty():
    y = np.tile([0, 1], 15)
    row = values(y, 0.1 + 0.8 * y, n_boot=20).loc["accuracy"]
    assert (row["value"], row["high"]) == (1, 1)
    assert row["low"] == pytest.approx(proportion_confint(30, 30, method="beta")[0], abs=1e-12)
    twice = values(y, 0.1 + 0.8 * y, groups=np.repeat(np.arange(15), 2), n_boot=20)
    assert twice.loc["accuracy", "low"] < row["low"]


def test_the_mean_auc_over_versions_is_the_mean_of_their_aucs():
    rng = np.random.default_rng(5)
    score = rng.normal(size=80)
    versions = (score + rng.normal(size=(3, 80)) > 0).astype(float)
    versions[1, :7] = np.nan
    aucs = [auc(y[~np.isnan(y)], score[~np.isnan(y)]) for y in versions]
    value, low, high = mean_auc_interval(versions, [score] * 3, n_boot=200)
    assert value == pytest.approx(np.mean(aucs))
    assert low < value < high
    same = mean_auc_interval(versions, [score] * 3, other=[score] * 3, n_boot=50)
    assert same == (0, 0, 0)


def test_versions_of_one_outcome_are_passed_over_and_none_is_refused():
    score = np.arange(20.0)
    good, constant = (score > 9).astype(float), np.ones(20)
    assert mean_auc_interval([good, constant], [score] * 2, n_boot=50)[0] == 1
    with pytest.raises(DataError, match="a version with both outcomes"):
        mean_auc_interval([constant], [score])


def test_an_auc_that_only_tells_the_site_is_chance_within_the_sites():
    rng = np.random.default_rng(3)
    site = np.repeat([0, 1, 2], 60)
    y = (rng.random(180) < np.array([0.1, 0.5, 0.9])[site]).astype(int)
    score = site + rng.normal(0, 0.1, 180)
    value, low, high = within_auc_interval(site, y, score, n_boot=200)
    assert auc(y, score) > 0.75
    assert low < 0.5 < high
    aucs = [auc(y[site == one], score[site == one]) for one in range(3)]
    assert value == pytest.approx(np.mean(aucs), abs=1e-12)


def test_sites_count_by_their_patients_where_asked_and_two_models_are_compared_within_them():
    rng = np.random.default_rng(4)
    site = np.repeat(["A", "B", "C"], [100, 20, 12])
    y = np.concatenate([rng.integers(0, 2, 120), np.ones(12, int)])  # C has one outcome only
    score, other = y + rng.normal(0, [[1.0], [3.0]], (2, 132))
    aucs = [auc(y[site == one], score[site == one]) for one in "AB"]
    value, low, high = within_auc_interval(site, y, score, by_size=True, n_boot=200)
    assert value == pytest.approx(np.average(aucs, weights=[100, 20]), abs=1e-12)
    assert low < value < high
    paired = within_auc_interval(site, y, score, other=other, by_size=True, n_boot=200)
    second = within_auc_interval(site, y, other, by_size=True, n_boot=200)
    assert paired[0] == pytest.approx(value - second[0], abs=1e-12)
    assert paired[1] > 0


def test_everything_of_ten_thousand_patients_is_measured_in_a_few_megabytes():
    y, p = patients(10_000)
    evaluate(y[:100], p[:100], n_boot=10)  # what is imported once is not counted
    tracemalloc.start()
    evaluate(y, p, act_at=0.3, n_boot=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20 < 8 * 200 * len(y) * 1.1  # all weights at once would be as much


def test_a_resample_that_never_stands_still_does_not_move_the_others():
    y, p = patients(40, seed=3)
    weights = np.ones((3, 40))
    weights[1] = 50.0 * (y == (p > 0.5)) + 1e-9  # nearly parted: its slope runs away
    measure = _recalibration_of(y.astype(float), p, slope=True)
    assert measure(weights)[[0, 2]] == pytest.approx(measure(weights[[0, 2]]), abs=1e-12)
    assert measure(weights)[1] > 5 * measure(weights)[0]
