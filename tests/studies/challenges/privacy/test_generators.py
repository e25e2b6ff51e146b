"""Generators that copy are caught, and those that saw nobody are not."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.learn.metrics import auc_interval
from nextaim_kit.studies.challenges.privacy import generators


@pytest.fixture(scope="module")
def people():
    mixed = np.random.default_rng(1).normal(size=(6, 6))
    return [np.random.default_rng(k).normal(size=(150, 6)) @ mixed for k in range(4)]


def attack(train, other, made):
    near = np.r_[generators.nearness(train, made), generators.nearness(other, made)]
    return auc_interval(np.repeat([1, 0], len(train)), near, n_boot=200)


@pytest.mark.parametrize("make", [generators.copies, generators.smote])
def test_a_generator_that_copies_rows_is_caught(make, people):
    train, other, *_ = generators.standardized(*people)
    made = make(train, 600, np.random.default_rng(0))
    assert attack(train, other, made)[1] > 0.8
    assert generators.nearer_to_patients(made, train, other).mean() > 0.9


def test_a_copy_has_a_distance_ratio_near_0(people):
    train, other, *_ = generators.standardized(*people)
    made = generators.copies(train, 100, np.random.default_rng(0))
    assert generators.distance_ratio(made, train).mean() < 0.1
    assert generators.distance_ratio(other, train).mean() > 0.7


def test_draws_that_saw_nobody_give_nobody_away(people):
    train, other, fresh, _ = generators.standardized(*people)
    value, low, high = attack(train, other, fresh)
    assert low < 0.5 < high
    assert value == pytest.approx(0.5, abs=0.1)


def test_a_twin_that_is_tuned_on_patients_is_nearer_to_them(people):
    train, other, *fresh = generators.standardized(*people)
    pool = np.concatenate([fresh[0], fresh[1]])
    made = generators.tuned_twin(pool)(train, 300, np.random.default_rng(0))
    assert {*map(tuple, made)} <= {*map(tuple, pool)}
    assert generators.nearer_to_patients(made, train, other).mean() > 0.6


def test_the_copula_keeps_each_features_range_and_their_correlation(people):
    train = people[0]
    made = generators.copula(train, 4000, np.random.default_rng(0))
    assert (made.min(axis=0) >= train.min(axis=0)).all()
    assert (made.max(axis=0) <= train.max(axis=0)).all()
    assert np.corrcoef(made.T) == pytest.approx(np.corrcoef(train.T), abs=0.1)


def test_the_kernel_density_has_the_widths_of_scott(people):
    train = people[0]
    made = generators.kernel_density(train, 20000, np.random.default_rng(0))
    width = 150 ** (-1 / 10)
    assert made.var(axis=0) == pytest.approx(train.var(axis=0) * (1 + width**2), rel=0.06)


def test_a_tie_is_half_a_point():
    rows, one = np.zeros((2, 1)), np.ones((1, 1))
    assert generators.nearer_to_patients(rows, one, -one).tolist() == [0.5, 0.5]


def test_a_feature_that_does_not_vary_stays_finite():
    (scaled,) = generators.standardized(np.c_[np.ones(5), np.arange(5.0)])
    assert np.isfinite(scaled).all()
