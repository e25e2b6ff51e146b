"""A panel's figures: drawn with what they are given, and described."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.agreement import kappa_matrix
from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.ct_lungquant.panel import figures

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 80, 30)
Y = X + RNG.normal(0, 5, 30)
CODES = pd.DataFrame(RNG.integers(0, 4, (30, 3)), columns=["R1", "R2", "software"]).astype(float)
CHOICES = pd.DataFrame({"question": ["zones", "zones", "type"], "auc": [0.7, 0.9, 0.8]})
GAPS = pd.DataFrame({"R1": X, "R2": Y}).mask(RNG.random((30, 2)) < 0.1)

DRAWN = {
    "pair_matrix": (lambda: figures.pair_matrix(kappa_matrix(CODES)), "of 3 by pairs"),
    "spread_of_readers": (
        lambda: figures.spread_of_readers(GAPS.dropna(how="all"), pd.Series(X)),
        "patients by 2 readers",
    ),
    "fitted_curves": (
        lambda: figures.fitted_curves(
            X, Y, {"line": ([0, 80], [0, 80], [-1, 79], [1, 81])}, xlabel="a (%)", ylabel="b (%)"
        ),
        "b (%) over a (%), 30 points; line",
    ),
    "divided_answers": (
        lambda: figures.divided_answers({"zones": figures.Divided(X, X > 40, 40.0, "upper (%)")}),
        "zones, divided on 0 of 30",
    ),
    "spread_of_choices": (
        lambda: figures.spread_of_choices(CHOICES, chosen={"zones": 0.9}, reference={"type": 0.85}),
        "zones 0.70 to 0.90; type 0.80 to 0.80",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_and_its_text_says_what_it_shows(name):
    draw, said = DRAWN[name]
    figure = draw()
    figure.savefig(io.BytesIO(), format="png")
    assert said in alt_of(figure)
    assert any(axis.get_xlabel() or axis.get_xticklabels() for axis in figure.axes)


def test_the_values_of_a_matrix_are_written_in_its_squares():
    figure = figures.pair_matrix(kappa_matrix(CODES))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 6
    assert f"{kappa_matrix(CODES).loc['R1', 'R2']:.2f}".replace("0.", ".") in texts


def test_the_colors_of_pairs_start_at_the_tenth_below_the_lowest():
    matrix = pd.DataFrame([[np.nan, 0.83, 0.67], [0.83, np.nan, 0.9], [0.67, 0.9, np.nan]])
    low, high = figures.pair_matrix(matrix).axes[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.6, 1.0))


def test_a_choice_made_beforehand_and_the_published_one_are_told_from_the_others():
    known = {"chosen": {"zones": 0.9}, "reference": {"type": 0.85}}
    figure = figures.spread_of_choices(CHOICES, **known, referred="published, real CTs")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["a choice", "chosen beforehand", "published, real CTs"]
