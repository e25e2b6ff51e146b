"""The benchmark runs on small numbers, and tiles are what one pass is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_measures_steps_fields_and_tiles(project, tmp_path):
    done = subprocess.run(
        [sys.executable, "benchmarks/superres.py", "--quick", "--out", str(tmp_path)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "superres.json").read_text())
    assert result["tiled_less_whole"] < 1e-5
    assert 0.3 < result["step"]["kit_over_plain"] < 3
    assert result["fields"][0]["per_minute"] > 1
