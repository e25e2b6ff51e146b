"""What an exercise of a notebook says, beside names made by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from nextaim_kit import catalog
from nextaim_kit.show.exercises import check


@pytest.fixture
def said(capsys, monkeypatch):
    """What a notebook's n-th exercise says to an answer, given the reader's names."""
    monkeypatch.delenv("NEXTAIM_PROVE", raising=False)

    def say(exercise: str, answer, **names) -> str:
        notebook, _, number = exercise.rpartition(" ")
        path = catalog.find(notebook).path
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found = [c["source"] for c in cells if "exercise" in c["metadata"].get("tags", [])]
        call = "check(" + "".join(found[int(number) - 1]).rpartition("\ncheck(")[2]
        run = SimpleNamespace(notebook=SimpleNamespace(id=notebook, path=path))
        kit = {"np": np, "sitk": sitk, "run": run, "check": check, "answer": answer}
        exec(call, names | kit)
        return capsys.readouterr().out

    return say
