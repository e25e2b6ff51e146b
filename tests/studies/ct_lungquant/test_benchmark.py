"""The benchmark runs on a small CT, and both of its ways measure the same lungs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_the_same_lungs_in_both_ways(project, tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/quantify.py", "--quick", "--out", str(tmp_path)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "quantify.json").read_text())
    kit, plain = (way["values"] for way in result["ways"])
    for name in ("right_ml", "left_ml"):
        assert kit[name] == pytest.approx(plain[name], rel=0.1)
    assert result["within_limits"]
