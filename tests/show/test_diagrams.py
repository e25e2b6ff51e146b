"""Diagrams of ideas show what they are asked to show, and say it."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.show import at_threshold, nested_folds, unet
from nextaim_kit.show.style import alt_of


@pytest.mark.parametrize(("outer", "inner"), [(5, 3), (3, 4)])
def test_nested_folds_test_every_part_once(outer, inner):
    bars = nested_folds(outer, inner).axes[0].patches
    colors = [bar.get_facecolor() for bar in bars if bar.get_height()]
    assert len(colors) == outer**2 + inner**2
    assert colors.count(bars[0].get_facecolor()) == outer
    assert colors.count(bars[outer**2].get_facecolor()) == inner


@pytest.mark.parametrize("threshold", [0.0, 0.35, 2.0])
def test_the_table_at_a_threshold_counts_every_patient_once(threshold):
    y, p = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.4, 0.3, 0.8, 0.9])
    counts = [
        int(text.get_text().split("\n")[0]) for text in at_threshold(y, p, threshold).axes[2].texts
    ]
    called = p >= threshold
    assert counts == [sum((y == k) & (called == c)) for k in (0, 1) for c in (False, True)]


def test_a_unet_halves_its_edge_and_doubles_its_maps():
    assert "16 pixels with 32 maps" in alt_of(unet(3, edge=64, width=8))
