"""The identity of a run."""

from __future__ import annotations

import hashlib
import json

from nextaim_kit import catalog
from nextaim_kit.machine.kit import kit_version
from nextaim_kit.runs.record import run_id


def test_an_id_is_the_hash_of_source_parameters_data_and_kit(toy):
    path = toy()
    cells = json.loads(path.read_text())["cells"]
    data = [{"name": "/home/me/a.csv", "sha256": "f" * 64}, {"name": "synthetic", "sha256": None}]
    identity = {
        "cells": [[c["cell_type"], "".join(c["source"])] for c in cells],
        "parameters": {"seed": 3, "size": 2.5},
        "data": [{"name": None, "sha256": "f" * 64}, data[1]],
        "kit": kit_version(),
    }
    whole = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    found = run_id(catalog.find("toy/draw"), {"size": 2.5, "seed": 3}, data)
    assert found == whole[:12]


def test_a_notebook_that_changes_has_other_ids(toy):
    path = toy()
    first = run_id(catalog.find("toy/draw"), {"seed": 3}, [])
    assert run_id(catalog.find("toy/draw"), {"seed": 3}, []) == first
    path.write_text(path.read_text().replace("numbers", "figures"))
    assert run_id(catalog.find("toy/draw"), {"seed": 3}, []) != first
