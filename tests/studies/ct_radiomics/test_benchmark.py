"""The benchmark runs, compares values, and writes what it measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rest


def test_the_quick_benchmark_finds_equal_values_and_writes_a_table(project, tmp_path):
    command = [sys.executable, "benchmarks/radiomics.py", "--quick"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cases = json.loads((tmp_path / "radiomics.json").read_text())["cases"]
    assert [case["features"] for case in cases] == [100, 100]
    assert max(case["largest_relative_difference"] for case in cases) < 1e-9
    assert (tmp_path / "radiomics.md").read_text().count("\n|") == 3
