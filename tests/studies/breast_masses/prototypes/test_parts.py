"""Parts of drawn crops: the mass, its rim, a marker, and what lies around."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.breast_masses.prototypes.parts import PARTS, markers_of, parts_of

SIZE = 56


def disk(radius: float, at: float = SIZE / 2) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - at
    return np.hypot(y, x) <= radius


def test_parts_are_the_inside_a_ring_and_what_lies_around():
    marker = disk(4, at=8)
    parts = parts_of(disk(10)[None], marker[None])[0]
    assert [PARTS[parts[at]] for at in ((28, 28), (28, 18), (28, 17), (50, 28), (8, 8))] == [
        "mass", "rim", "rim", "outside", "marker",
    ]  # fmt: skip


def test_the_end_of_a_crop_is_no_rim():
    assert (parts_of(np.ones((1, SIZE, SIZE), bool)) == 1).all()


def test_markers_are_disks_where_the_table_says():
    table = pd.DataFrame({"marker_x": [20.0, np.nan], "marker_y": [10.0, np.nan], "spacing": 0.5})
    found = markers_of(table, 32)
    assert found[0].sum() == pytest.approx(np.pi * 8**2, rel=0.05)
    assert found[0, 10, 20]
    assert not found[1].any()
    assert not markers_of(table[["spacing"]], 32).any()
