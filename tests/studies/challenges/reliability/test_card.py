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
    page = written(table, study="films", n=90, synthetic=True)
    assert "| covers | 0.800 [0.700, 0.890] | >= 0.9 | broken |" in page
    assert "90 synthetic patients" in page
    assert "synthetic" not in written(table, study="films", n=90, synthetic=False)


def test_three_sentences_say_what_holds_what_fades_and_the_best_guard():
    table = made([Promise("covers", (0.8, 0.7, 0.89), 0.9), Promise("apart", (0.8, 0.7, 0.9), 0.5)])
    faded = pd.DataFrame({"where": ["home", "there"], "name": "at the temperature",
                          "beyond": [0.01, 0.08]})  # fmt: skip
    apart = pd.DataFrame({"name": ["two", "deep"] * 2, "strangers": ["a", "a", "b", "b"],
                          "value": [1.0, 0.9, 0.5, 0.8]})  # fmt: skip
    said = three_sentences(table, faded, apart)
    assert len(said) == 3
    assert "Rely on: apart" in said[0]
    assert "Do not rely on: covers" in said[0]
    assert "Temperature fades" in said[1]
    assert "0.080 there" in said[1]
    assert "deep does best where each does worst, with an AUC of 0.80 for b" in said[2]
