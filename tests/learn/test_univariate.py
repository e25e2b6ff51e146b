"""Features one at a time: planted differences are found, and chance is held to its rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kruskal, mannwhitneyu, rankdata

from nextaim_kit.errors import DataError
from nextaim_kit.learn.univariate import before_after, site_differences, univariate_tests


def table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    volume = rng.lognormal(size=n)
    noise = {f"noise_{k}": rng.normal(size=n) for k in range(20)}
    planted = {"planted": rng.normal(size=n) + label, "size": 3 * volume**2}
    return pd.DataFrame({"label": label, "lesion_volume_ml": volume, **planted, **noise})


def test_a_planted_difference_is_found_and_noise_is_not():
    data = table()
    found = univariate_tests(data, list(data.columns[2:])).set_index("feature")
    assert found.loc["planted", "q"] < 1e-6
    assert found.loc["planted", "auc"] == pytest.approx(0.76, abs=0.08)
    assert (found.drop("planted")["q"] > 0.05).all()


def test_a_feature_of_size_is_known_by_its_correlation_with_volume():
    data = table()
    found = univariate_tests(data, ["size", "noise_0"]).set_index("feature")
    assert found.loc["size", "rho_volume"] == pytest.approx(1.0)
    assert abs(found.loc["noise_0", "rho_volume"]) < 0.3


def test_the_false_discovery_rate_is_that_of_benjamini_and_hochberg(monkeypatch):
    data = table()
    found = univariate_tests(data, list(data.columns[2:]))
    p = np.sort(found["p"].to_numpy())
    by_hand = np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    assert np.sort(found["q"]) == pytest.approx(by_hand)


def test_a_constant_feature_and_missing_values_do_no_harm():
    data = table().assign(flat=1.0)
    data.loc[:5, "noise_0"] = np.nan
    found = univariate_tests(data, ["flat", "noise_0"]).set_index("feature")
    assert found.loc["flat", ["auc", "p"]].tolist() == [0.5, 1.0]
    assert 0 < found.loc["noise_0", "p"] <= 1


def test_before_and_after_stand_side_by_side():
    first = univariate_tests(table(), ["planted", "size"])
    both = before_after(first, first)
    assert both["q_before"].equals(both["q_after"])
    assert list(both["feature"]) == ["planted", "size"]


def test_one_outcome_alone_is_refused():
    with pytest.raises(DataError, match="both outcomes"):
        univariate_tests(table().assign(label=1), ["planted"])


def test_the_feature_that_differs_by_site_comes_first_with_its_share():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(90, 3)), columns=["a", "b", "c"])
    table["site"] = np.repeat(["X", "Y", "Z"], 30)
    table["b"] += 2 * table["site"].map({"X": 0, "Y": 1, "Z": 2})
    table["constant"] = 1.0
    found = site_differences(table, ["a", "b", "c", "constant"])
    expected = kruskal(*(g["b"] for _, g in table.groupby("site")))
    assert found["feature"][0] == "b"
    assert found["share"][0] == pytest.approx(expected.statistic / 89)
    assert found["p"][0] == pytest.approx(expected.pvalue)
    assert (found["q"] >= found["p"]).all()
    assert found.set_index("feature").loc["constant", "p"] == 1


def test_one_site_has_nothing_to_differ_from():
    table = pd.DataFrame({"a": [1.0, 2.0], "site": ["X", "X"]})
    with pytest.raises(DataError, match="cannot be compared between sites"):
        site_differences(table, ["a"])


def test_beyond_volume_is_what_a_line_through_the_ranks_leaves():
    rng = np.random.default_rng(4)
    y, volume = np.arange(80) % 2, rng.lognormal(4, 1, 80)
    table = pd.DataFrame({"label": y, "lesion_volume_ml": volume})
    table = table.assign(size=volume * rng.lognormal(0, 0.4, 80), both=np.log(volume) + 0.6 * y)
    p = []
    for name in ("size", "both"):
        ranks, size = rankdata(table[name]), rankdata(volume)
        rest = ranks - np.polyval(np.polyfit(size, ranks, 1), size)
        p.append(mannwhitneyu(rest[y == 1], rest[y == 0]).pvalue)
    found = univariate_tests(table, ["size", "both"])
    np.testing.assert_allclose(found["q_beyond_volume"], false_discovery_control(p), rtol=1e-9)
    assert found["q_beyond_volume"][1] < 0.01 < found["q_beyond_volume"][0]


def test_nothing_lies_beyond_a_volume_that_all_share():
    table = pd.DataFrame({"label": [0, 1] * 5, "lesion_volume_ml": 3.0, "f": np.arange(10.0)})
    found = univariate_tests(table, ["f"])
    assert found[["rho_volume", "q_beyond_volume"]].isna().all(axis=None)
