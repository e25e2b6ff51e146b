"""Figures of agreement: drawn with what they are given, and described."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.learn.agreement import bland_altman, kappa_matrix
from nextaim_kit.show import plots

RNG = np.random.default_rng(0)
X = RNG.uniform(1, 80, 30)
Y = X + RNG.normal(0, 5, 30)
CODES = pd.DataFrame(RNG.integers(0, 4, (30, 3)), columns=["R1", "R2", "software"]).astype(float)
CHOICES = pd.DataFrame({"question": ["zones", "zones", "type"], "auc": [0.7, 0.9, 0.8]})
GAPS = pd.DataFrame({"R1": X, "R2": Y}).mask(RNG.random((30, 2)) < 0.1)

DRAWN = {
    "pair_matrix": (lambda: plots.pair_matrix(kappa_matrix(CODES)), "of 3 by pairs"),
    "spread_of_readers": (
        lambda: plots.spread_of_readers(GAPS.dropna(how="all"), pd.Series(X)),
        "patients by 2 readers",
    ),
    "bland_altman": (
        lambda: plots.bland_altman(
            {"in %": plots.Differences(X, Y, bland_altman(X, Y), "%", "points")}
        ),
        "in %, limit low",
    ),
    "fitted_curves": (
        lambda: plots.fitted_curves(
            X, Y, {"line": ([0, 80], [0, 80], [-1, 79], [1, 81])}, xlabel="a (%)", ylabel="b (%)"
        ),
        "b (%) over a (%), 30 points; line",
    ),
    "divided_answers": (
        lambda: plots.divided_answers({"zones": plots.Divided(X, X > 40, 40.0, "upper (%)")}),
        "zones, divided on 0 of 30",
    ),
    "spread_of_choices": (
        lambda: plots.spread_of_choices(CHOICES, chosen={"zones": 0.9}, reference={"type": 0.85}),
        "zones 0.70 to 0.90; type 0.80 to 0.80",
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_drawn_and_its_text_says_what_it_shows(name):
    draw, said = DRAWN[name]
    figure = draw()
    figure.savefig(io.BytesIO(), format="png")
    assert said in plots.alt_of(figure)
    assert any(axis.get_xlabel() or axis.get_xticklabels() for axis in figure.axes)


def test_the_values_of_a_matrix_are_written_in_its_squares():
    figure = plots.pair_matrix(kappa_matrix(CODES))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 6
    assert f"{kappa_matrix(CODES).loc['R1', 'R2']:.2f}".replace("0.", ".") in texts


def test_the_colors_of_pairs_start_at_the_tenth_below_the_lowest():
    matrix = pd.DataFrame([[np.nan, 0.83, 0.67], [0.83, np.nan, 0.9], [0.67, 0.9, np.nan]])
    low, high = plots.pair_matrix(matrix).axes[0].images[0].get_clim()
    assert (low, high) == pytest.approx((0.6, 1.0))


def test_bias_and_limits_are_drawn_where_they_are():
    limits = bland_altman(X, Y)
    figure = plots.bland_altman({"a": plots.Differences(X, Y, limits, "%", "points")})
    heights = {float(line.get_ydata()[0]) for line in figure.axes[0].lines}
    assert set(limits["value"][:3].round(9)) <= {round(height, 9) for height in heights}


def test_a_choice_made_beforehand_and_the_published_one_are_told_from_the_others():
    known = {"chosen": {"zones": 0.9}, "reference": {"type": 0.85}}
    figure = plots.spread_of_choices(CHOICES, **known, referred="published, real CTs")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["a choice", "chosen beforehand", "published, real CTs"]


def test_names_that_repeat_are_told_apart_by_their_group_in_the_text():
    lines = pd.DataFrame({"name": ["a", "a"], "value": [0.8, 0.7], "group": ["one", "two"]})
    alt = plots.alt_of(plots.intervals(lines))
    assert "a (one) 0.80" in alt
    assert "a (two) 0.70" in alt
