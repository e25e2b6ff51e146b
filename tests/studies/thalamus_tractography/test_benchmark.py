"""The benchmark runs on small numbers; it checks itself that processes give the same maps."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_tracking_and_networks(project, tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/tractography.py", "--quick", "--out", str(tmp_path)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "tractography.json").read_text())
    assert result["tracking"]["launched"] == 8 * result["tracking"]["voxels"]
    assert 0.2 < result["networks"]["kit_over_hand"] < 5
    assert result["networks"]["prediction_mb"] > 1
