"""The benchmark runs, compares values, and writes what it measured."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_finds_equal_values_and_writes_a_table(benchmark, tmp_path):
    cases = benchmark("radiomics")["cases"]
    assert [case["features"] for case in cases] == [100, 100]
    assert max(case["largest_relative_difference"] for case in cases) < 1e-9
    assert all(case["pyradiomics"]["kit_to_peer_cpu"] > 0 for case in cases)
    assert (tmp_path / "radiomics.md").read_text().count("\n|") == 3
