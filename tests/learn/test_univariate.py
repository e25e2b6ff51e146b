"""Features one at a time: planted differences are found, and chance is held to its rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.learn.univariate import before_after, univariate_tests


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
