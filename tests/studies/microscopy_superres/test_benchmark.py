"""The benchmark runs on small numbers, and tiles are what one pass is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_steps_fields_and_tiles(benchmark):
    result = benchmark("superres")
    assert result["tiled_less_whole"] < 1e-5
    assert 0.3 < result["step"]["kit_over_plain"] < 3
    assert result["fields"][0]["per_minute"] > 1
