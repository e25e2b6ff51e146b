"""The benchmark runs on a small CT, and both of its ways measure the same lungs."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_the_same_lungs_in_both_ways(benchmark):
    result = benchmark("quantify")
    kit, plain = (way["values"] for way in result["ways"])
    for name in ("right_ml", "left_ml"):
        assert kit[name] == pytest.approx(plain[name], rel=0.1)
    assert result["within_limits"].keys() == {"thresholds"}
    assert result["ways"][0]["peak_gb"] <= result["limits"]["peak_gb"]
