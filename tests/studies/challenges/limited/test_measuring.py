"""Curves have intervals that hold who is tested and who is learned from, paired where compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from nextaim_kit.studies.challenges.limited import measuring


def told_of(task, rows, signal, draws=3, seed=0):
    """Scores of the outcome and noise; a signal for each method and size."""
    rng = np.random.default_rng(seed)
    parts = []
    for (method, size), strength in signal.items():
        for draw in range(draws):
            score = strength * task.y[rows] + rng.normal(size=len(rows))
            one = {"method": method, "patients": size, "draw": draw, "row": rows, "score": score}
            parts.append(pd.DataFrame(one))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def told(images):
    signal = {("simple", 20): 1.0, ("simple", 40): 1.5, ("net", 20): 0.0, ("net", 40): 4.0}
    return told_of(images, np.arange(len(images)), signal)


def test_an_auc_is_the_mean_of_its_draws_and_equals_scikit_learns(images, told):
    found = measuring.learning_curves(told, images).set_index(["method", "patients"])
    one = told[(told["method"] == "net") & (told["patients"] == 40)]
    each = [roc_auc_score(images.y[d["row"]], d["score"]) for _, d in one.groupby("draw")]
    row = found.loc[("net", 40)]
    assert row["value"] == pytest.approx(np.mean(each))
    assert row["low"] < row["value"] < row["high"] <= 1
    assert measuring.of_each_draw(one, images)["auc"].tolist() == pytest.approx(each)


def test_a_difference_is_shown_where_it_is_and_a_method_beside_itself_has_none(images, told):
    found = measuring.compared(told, images, "simple").set_index(["method", "patients"])
    assert found.loc[("net", 40), "low"] > 0
    assert found.loc[("net", 20), "high"] < 0
    again = told[told["method"] == "simple"].assign(method="again")
    same = measuring.compared(pd.concat([told, again]), images, "simple").set_index("method")
    assert same.loc["again", ["value", "low", "high"]].abs().to_numpy().max() == 0


def test_draws_that_differ_widen_the_interval_and_one_draw_adds_nothing():
    tested = measuring.both(0.8, 0.02, np.array([0.8]))[0]
    assert tested[2] - tested[0] == pytest.approx(1.96 * 0.02, rel=1e-3)
    wide = measuring.both(0.8, 0.02, np.array([0.7, 0.8, 0.9]))[0]
    assert wide[2] - wide[1] > 4 * (tested[2] - tested[1])


def test_the_interval_over_tests_and_draws_holds_the_truth_about_95_times_in_100(images):
    true = 0.76  # of 1 in normal noise: the normal distribution's share below 1 / sqrt(2)
    rows, held = np.arange(len(images)), []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        shared = images.y + rng.normal(size=len(rows))  # who is tested
        told = told_of(images, rows, {("net", 20): 0.0}, seed=seed)
        told["score"] = 0.05 * told["score"] + np.tile(shared, 3)
        row = measuring.learning_curves(told, images).iloc[0]
        held.append(row["low"] <= true <= row["high"])
    assert 0.89 < np.mean(held) <= 1


def test_resampled_curves_begin_with_the_curve_and_go_together_over_sizes(images, told):
    curves = {c.method: c for c in measuring.resampled(told, images, n_boot=200, seed=1)}
    table = measuring.learning_curves(told, images).set_index(["method", "patients"])
    one = curves["simple"]
    assert one.sizes.tolist() == [20, 40]
    assert one.auc.shape == (201, 2)
    assert one.auc[0].tolist() == pytest.approx(
        [table.loc[("simple", n), "value"] for n in (20, 40)]
    )
    assert one.auc[1:].std(0) == pytest.approx(one.error, rel=0.5)
    assert one.first(-1).auc.shape == (201, 1)
