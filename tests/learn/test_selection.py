"""Selectors rank as they should, and stability tells likeness from chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from feature_engine.selection import MRMR
from sklearn.base import clone

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.selection import KINDS, RankSelector, selection_frequency, stability

RANKING = [kind for kind in KINDS if kind != "none"]


def patients(effects=(2.0, 1.5), n=200, seed=0) -> tuple[pd.DataFrame, np.ndarray]:
    """Two features that tell the outcome, the second less well, behind columns of noise."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % 2)
    X = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"noise_{k}" for k in range(6)])
    strong, weak = rng.normal(size=(2, n)) + np.outer(effects, y)
    return X.assign(strong=strong, weak=weak), y


def chosen(kind, k, X, y, **options) -> list[str]:
    return RankSelector(kind, k, **options).fit(X, y).selected_


def random_sets(m, size, d, seed=0) -> list[set[str]]:
    rng = np.random.default_rng(seed)
    return [{f"f{k}" for k in rng.choice(d, size, replace=False)} for _ in range(m)]


def test_mrmr_is_relevance_over_mean_redundancy_as_computed_by_hand():
    X = pd.DataFrame(
        {
            "a": [0, 1, 2, 3, 4, 5],  # F = 13.5, the largest
            "b": [0, 2, 1, 3, 5, 7],  # F = 9.6, but 9.6 / 0.943 = 10.2 beside a
            "c": [2, 1, 0, 4, 3, 2],  # F = 6, and 6 / 0.378 = 15.9 beside a
            "d": [0, 1, 2, 2, 3, 1],  # F = 1.5; 1.5 / 0.415 = 3.6 beside a and c, where b has 14.5
        }
    )
    assert chosen("mrmr", 4, X, [0, 0, 0, 1, 1, 1]) == ["a", "c", "b", "d"]


@pytest.mark.parametrize("k", [2, 3, 6])
def test_mrmr_chooses_what_feature_engine_chooses(k):
    X, y = patients(seed=2)
    X = X.assign(both=X["strong"] + X["weak"], mixed=X["strong"] + X["noise_0"])
    known = MRMR(method="FCQ", max_features=k).fit(X, pd.Series(y))
    assert set(chosen("mrmr", k, X, y)) == set(known.get_feature_names_out())


@pytest.mark.parametrize("seed", range(3))
def test_mrmr_does_not_choose_a_copy_second(seed):
    X, y = patients(effects=(1.0, 1.0), seed=seed)
    X = X[["strong", "weak"]].assign(copy=1 - 3 * X["strong"])
    assert "weak" in chosen("mrmr", 2, X, y)


@pytest.mark.parametrize("kind", RANKING)
def test_the_features_that_tell_the_outcome_are_chosen_from_noise(kind):
    X, y = patients()
    assert set(chosen(kind, 2, X, y)) == {"strong", "weak"}


@pytest.mark.parametrize("kind", RANKING)
def test_a_larger_selection_begins_with_the_smaller(kind):
    X, y = patients()
    order = chosen(kind, 8, X, y)
    assert len(set(order)) == 8
    for k in range(1, 8):
        assert chosen(kind, k, X, y) == order[:k]


def test_mutual_information_finds_what_differs_in_spread_only():
    X, y = patients()
    X = X[["noise_0", "noise_1", "noise_2"]].assign(wide=X["noise_3"] * (1 + 9 * y))
    assert chosen("mutual_information", 1, X, y) == ["wide"]


@pytest.mark.parametrize("kind", KINDS)
def test_constant_columns_do_no_harm(kind):
    X, y = patients()
    flat = pd.DataFrame({"zero": 0.0, "large": 1e9 + 1 / 3}, index=X.index)
    both = chosen(kind, 2, pd.concat([flat, X], axis=1), y)
    assert set(both) == ({"strong", "weak"} if kind != "none" else {*flat, *X})
    assert len(chosen(kind, 2, flat, y)) == 2


def test_a_feature_that_parts_the_classes_without_spread_comes_first():
    X, y = patients()
    assert chosen("mrmr", 3, X.assign(perfect=y), y)[0] == "perfect"


def test_none_keeps_all_features_as_they_are():
    X, y = patients()
    pd.testing.assert_frame_equal(RankSelector("none", 1).fit_transform(X, y), X)


def test_more_features_than_there_are_is_all_of_them():
    X, y = patients()
    assert sorted(chosen("mrmr", 99, X, y)) == sorted(X.columns)


def test_what_comes_out_is_named_and_in_order_of_rank():
    X, y = patients()
    selector = clone(RankSelector("mrmr", 3)).fit(X, y)
    out = selector.transform(X.iloc[::-1])
    assert list(out.columns) == selector.selected_ == list(selector.get_feature_names_out())
    assert list(out.index) == list(X.index[::-1])


def test_a_ranking_made_elsewhere_is_used_instead():
    X, y = patients()
    ranking = ["noise_4", "weak", "noise_1"]
    assert chosen("mrmr", 2, X, y, ranking=ranking) == ["noise_4", "weak"]


def test_an_unknown_selector_is_refused_with_the_choices():
    with pytest.raises(RequestError, match=r"no selector 'lasso'\n.*mrmr, xgboost, mutual_info"):
        RankSelector("lasso").fit(*patients())


def test_a_selection_of_no_features_is_refused():
    with pytest.raises(RequestError, match="a selection needs features"):
        RankSelector(k=0).fit(*patients())


def test_equal_selections_are_of_stability_one():
    assert stability([{"a", "b"}] * 5, 10) == pytest.approx((1, 1, 1))


def test_random_selections_are_of_stability_zero():
    value, low, high = stability(random_sets(400, 10, 100), 100)
    assert value == pytest.approx(0, abs=0.01)
    assert low < value < high


def test_stability_and_its_interval_are_those_computed_by_hand():
    # Variance of the shares 2/3, 1/3, 0 of three features is 2/9 on average, as by chance.
    value, low, high = stability([["a"], ["a"], ["b"]], 3)
    margin = 1.959964 * np.sqrt(2 / 27)
    assert (value, low, high) == pytest.approx((0, -margin, margin), abs=1e-12)
    assert stability([["a", "b"], ["c", "a"]], 5)[0] == pytest.approx(1 / 6, abs=1e-12)


def test_the_interval_of_a_stability_above_zero_is_that_computed_by_hand():
    # Mean size 2 of 6, chance 2/9. The sets' parts are 65/64, 35/32, 63/64 and 29/32; the squares
    # of their distances from the mean, 1, sum up to 37/2048, and 4/16 of that is the variance.
    value, low, high = stability([{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "d"}], 6)
    margin = 1.959964 * np.sqrt(37 / 8192)
    assert (value, low, high) == pytest.approx((3 / 8, 3 / 8 - margin, 3 / 8 + margin), abs=1e-12)


def test_the_interval_of_stability_covers_its_value_in_nine_of_ten_draws():
    intervals = [stability(random_sets(20, 5, 30, seed), 30)[1:] for seed in range(100)]
    assert sum(low <= 0 <= high for low, high in intervals) >= 85


@pytest.mark.parametrize("sets", [[set(), set()], [{"a", "b"}, {"a", "b"}]])
def test_stability_is_undefined_where_nothing_was_left_to_choose(sets):
    assert np.isnan(stability(sets, 2)).all()


@pytest.mark.parametrize(("sets", "d"), [([{"a"}], 5), ([{"a", "b"}, {"c"}], 2)])
def test_one_set_or_more_names_than_features_have_no_stability(sets, d):
    with pytest.raises(DataError, match="stability of a selection cannot be computed"):
        stability(sets, d)


def test_frequencies_are_shares_of_the_sets_most_frequent_first():
    found = selection_frequency([["b", "a"], ["b"], ["c", "b"], ["a"]])
    assert found["feature"].tolist() == ["b", "a", "c"]
    assert found["frequency"].tolist() == [0.75, 0.5, 0.25]
