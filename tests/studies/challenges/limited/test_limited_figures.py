"""Figures say in words what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.challenges.limited import figures
from nextaim_kit.studies.challenges.limited.law import Law
from nextaim_kit.studies.challenges.limited.measuring import Curve

TABLE = pd.DataFrame({"method": ["simple"] * 2 + ["scratch"] * 2, "patients": [20, 40] * 2,
                      "value": [0.7, 0.8, 0.6, 0.9], "low": 0.5, "high": 0.95})  # fmt: skip


def test_a_learning_curve_tells_its_ends_and_is_drawn_on_to_twice_the_patients():
    curve = Curve("simple", np.array([20.0, 40]), np.array([[0.7, 0.8]] * 3), np.array([0.1, 0.1]))
    figure = figures.learning_curves(TABLE, {"simple": Law.of(curve)})
    assert alt_of(figure) == "AUC by labeled patients: simple 0.70 to 0.80; scratch 0.60 to 0.90."
    ends = [line.get_xdata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) == 20]
    assert ends == [80.0]


def test_draws_of_one_method_tell_their_range():
    table = pd.DataFrame(
        {"patients": [20, 20, 40, 40], "draw": [0, 1] * 2, "auc": [0.5, 0.8, 0.7, 0.9]}
    )
    assert alt_of(figures.draws_of_one(table)).endswith(
        "20 patients 0.50 to 0.80; 40 patients 0.70 to 0.90."
    )


def test_items_are_shown_whatever_the_modality(images, table):
    assert "P0" in alt_of(figures.looked_at(images))
    said = alt_of(figures.looked_at(table))
    assert "outcome 0" in said
    assert "outcome 1" in said
