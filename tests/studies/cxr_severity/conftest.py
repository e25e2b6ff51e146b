"""Synthetic films, made once for all tests of the study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.cxr_severity.clinical_values import read_clinical
from nextaim_kit.studies.cxr_severity.preprocessing import at_size, load_even, load_masks
from nextaim_kit.studies.cxr_severity.severity import Inputs
from nextaim_kit.studies.cxr_severity.twin import make_twin

EDGE = 64


def _listed(paths) -> pd.DataFrame:
    files = [*map(str, paths)]
    return pd.DataFrame({"subject": [*map(str, range(len(files)))], "image": files})


@pytest.fixture(scope="session")
def listed():
    """A table of films, from their paths; subjects are numbered."""
    return _listed


@dataclass(frozen=True)
class Chests:
    """Forty synthetic patients with their films as the networks see them."""

    table: pd.DataFrame
    seen: np.ndarray
    masks: list[np.ndarray]

    @property
    def lungs(self):
        return at_size(self.masks, EDGE)

    @property
    def inputs(self):
        numbers, used, _ = read_clinical(self.table)
        return Inputs(self.table, self.seen, numbers[used])


@pytest.fixture(scope="session")
def chests(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("chests")))
    table = make_twin(40, size=128)
    patch.undo()
    table["patient"] = table["subject"]
    seen, shapes, _ = load_even(table, EDGE, inverted=table["truth_inverted"])
    return Chests(table, seen, load_masks(table, "lungs", shapes)[0])
