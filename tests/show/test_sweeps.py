"""Figures of a sweep show every run once, whatever the settings are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nextaim_kit.show.style import alt_of
from nextaim_kit.show.sweeps import marginals, parallel_coordinates

TABLE = pd.DataFrame(
    {
        "k": [5, 10, 5, 10],
        "selectors": [["mrmr"], ["mrmr"], ["xgboost"], ["xgboost"]],
        "auc": [0.71, 0.75, 0.83, np.nan],
    }
)


def lines(figure):
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]


def test_each_run_with_a_metric_is_a_line_and_the_best_lies_on_top_and_is_told():
    figure = parallel_coordinates(TABLE, ["k", "selectors"], "auc")
    assert len(lines(figure)) == 3
    assert lines(figure)[-1].get_ydata()[-1] == 1.0
    assert alt_of(figure) == "3 runs; the best auc, 0.830, has k 5, selectors xgboost."


def test_where_lower_is_better_the_lowest_is_told():
    figure = parallel_coordinates(TABLE, ["k", "selectors"], "auc", higher=False)
    assert "the best auc, 0.710, has k 5, selectors mrmr" in alt_of(figure)


def test_many_numbers_get_a_scale_instead_of_names():
    table = pd.DataFrame({"rate": np.linspace(0, 1, 30), "auc": np.linspace(0.5, 0.9, 30)})
    texts = [t.get_text() for t in parallel_coordinates(table, ["rate"], "auc").axes[0].texts]
    assert len(texts) == 10
    assert {"0", "0.5", "1", "0.9"} <= set(texts)


def test_runs_that_all_gave_the_same_are_drawn_too():
    table = pd.DataFrame({"k": [1, 2], "auc": [0.8, 0.8]})
    assert "2 runs" in alt_of(parallel_coordinates(table, ["k"], "auc"))


def test_a_panel_for_each_setting_has_the_mean_of_each_value_in_order():
    figure = marginals(TABLE, ["k", "selectors"], "auc")
    first = figure.axes[0]
    assert [t.get_text() for t in first.get_xticklabels()] == ["5", "10"]
    np.testing.assert_allclose(first.lines[0].get_ydata(), [(0.71 + 0.83) / 2, 0.75], atol=1e-12)
    assert "selectors xgboost has the highest mean, 0.830" in alt_of(figure)


def test_lists_of_one_number_stand_in_the_order_of_the_numbers():
    table = pd.DataFrame({"ks": [[10], [3], [20], [5]], "auc": [0.7, 0.6, 0.9, 0.8]})
    texts = [t.get_text() for t in parallel_coordinates(table, ["ks"], "auc").axes[0].texts]
    assert texts[:4] == ["3", "5", "10", "20"]
    labels = marginals(table, ["ks"], "auc").axes[0].get_xticklabels()
    assert [t.get_text() for t in labels] == ["3", "5", "10", "20"]


def test_panels_that_are_not_needed_are_off():
    table = TABLE.assign(a=[1, 1, 2, 2], b=[1, 2, 2, 1])
    figure = marginals(table, ["k", "selectors", "a", "b"], "auc")
    assert [axis.axison for axis in figure.axes] == [True] * 4 + [False] * 2
