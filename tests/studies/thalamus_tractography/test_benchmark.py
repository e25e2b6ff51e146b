"""The benchmark runs on small numbers; it checks itself that processes give the same maps."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_tracking_and_networks(benchmark):
    result = benchmark("tractography")
    assert result["tracking"]["launched"] == 8 * result["tracking"]["voxels"]
    assert 0.2 < result["networks"]["kit_over_hand"] < 5
    assert result["networks"]["prediction_mb"] > 1
