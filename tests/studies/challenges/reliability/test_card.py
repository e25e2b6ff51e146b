"""A promise holds or breaks by its whole interval, and the page says the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.challenges.reliability.card import (
    Promise,
    made,
    three_sentences,
    written,
)


@pytest.mark.parametrize(
    ("found", "mark", "side", "says"),
    [
        ((0.9, 0.86, 0.94), 0.8, 1, "holds"),
        ((0.9, 0.86, 0.94), 0.9, 1, "not shown"),
        ((0.7, 0.6, 0.79), 0.8, 1, "broken"),
        ((0.01, -0.01, 0.04), 0.05, -1, "holds"),
        ((0.1, 0.06, 0.2), 0.05, -1, "broken"),
        ((0.1, np.nan, np.nan), 0.05, -1, "not known"),
    ],
)
def test_a_promise_is_judged_by_its_whole_interval(found, mark, side, says):
    assert Promise("", found, mark, side).says == says


def test_the_page_has_a_row_for_each_promise_and_says_whose_it_is():
    table = made([Promise("covers", (0.8, 0.7, 0.89), 0.9), Promise("apart", (0.8, 0.7, 0.9), 0.5)])
    how = {"study": "films", "n": 90, "away": {"A": 30, "B": 20}, "settings": {"missed": 0.1}}
    page = written(table, **how, synthetic=True)
    assert "| covers | 0.800 [0.700, 0.890] | >= 0.9 | broken |" in page
    assert "90 synthetic patients" in page
    assert "A (30), B (20)" in page
    assert "missed 0.1" in page
    assert "synthetic" not in written(table, **how, synthetic=False)


@pytest.mark.parametrize(("low", "fades"), [(0.02, "fades"), (-0.01, "is not seen to fade")])
def test_three_sentences_say_what_holds_what_fades_and_the_best_guard(low, fades):
    table = made([Promise("covers", (0.8, 0.7, 0.89), 0.9), Promise("apart", (0.8, 0.7, 0.9), 0.5)])
    faded = pd.DataFrame({"where": ["home", "there", "gap"], "name": "at the temperature",
                          "value": [0.01, 0.08, 0.07], "low": low, "high": 0.1})  # fmt: skip
    apart = pd.DataFrame({"name": ["two", "deep"] * 2, "strangers": ["a", "a", "b", "b"],
                          "value": [1.0, 0.9, 0.5, 0.8]})  # fmt: skip
    said = three_sentences(table, faded, apart)
    assert len(said) == 3
    assert "Rely on: apart" in said[0]
    assert "Do not rely on: covers" in said[0]
    assert f"Temperature {fades} at" in said[1]
    assert f"0.080 there, +0.070 [{low:+.3f}, +0.100]" in said[1]
    assert "deep does best where each does worst, with an AUC of 0.80 for b" in said[2]
