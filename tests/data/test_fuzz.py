"""Damaged files: each reader reads them or refuses them, and nothing else comes out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.rest

CASES = 40


def test_what_comes_of_damaged_files_is_read_or_refused_with_an_error_of_the_kits(
    project, tmp_path
):
    command = [sys.executable, "benchmarks/fuzz.py", "--cases", str(CASES), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    found = json.loads((tmp_path / "fuzz.json").read_text())
    assert {name: reader["foreign"] for name, reader in found.items() if reader["foreign"]} == {}
    assert done.returncode == 0, done.stderr
    for reader in found.values():
        assert reader["read"] + reader["refused"] == reader["cases"] == CASES
        assert reader["refused"] > 0  # the damage is noticed
