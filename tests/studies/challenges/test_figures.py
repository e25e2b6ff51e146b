"""Figures of memory say in words what they show."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.challenges import figures

GRID = pd.DataFrame({"edge": [32, 32, 64, 64], "batch": [1, 2, 1, 2], "gb": [0.5, 1, 4, 800]})


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_grid_has_its_numbers_in_its_cells_and_frames_what_fits():
    figure = figures.number_grid(GRID, "edge", "batch", "gb", limit=1.0)
    assert texts(figure) == ["0.50", "1.00", "4.00", "800"]
    assert len(figure.axes[0].patches) == 2
    assert "2 cells are within 1" in alt_of(figure)


def test_a_grid_with_a_missing_cell_leaves_it_empty():
    figure = figures.number_grid(GRID.iloc[:3], "edge", "batch", "gb")
    assert texts(figure) == ["0.50", "1.00", "4.00"]


@pytest.mark.parametrize("table", [GRID.iloc[:0], GRID.assign(gb=0.0)])
def test_a_grid_without_positive_cells_is_refused(table):
    with pytest.raises(DataError, match="cannot be drawn"):
        figures.number_grid(table, "edge", "batch", "gb")


def test_stacked_bars_end_with_their_totals():
    table = pd.DataFrame({"weights": [1.0, 1.0], "activations": [2.0, 30.0]}, index=["a", "b"])
    figure = figures.stacked_bars(table, xlabel="memory (GB)")
    assert [text.strip() for text in texts(figure)] == ["3.00", "31.0"]
    assert "b: weights 1.00, activations 30.0" in alt_of(figure)


def test_laws_have_a_line_for_each_batch_and_the_limit():
    figure = figures.power_laws(GRID, "edge", "gb", "batch", limit=(9.5, "9.5 GB"))
    assert len(figure.axes[0].lines) == 3
    assert "batch 2: 1.00 to 800" in alt_of(figure)


def test_each_way_has_its_name_and_the_reference_its_line():
    table = pd.DataFrame({
        "name": ["plain", "patches"], "x": [100.0, 10.0], "value": [0.6, 0.5],
        "low": [0.5, 0.4], "high": [0.7, 0.6],
    })  # fmt: skip
    figure = figures.trade_off(table, xlabel="MB", ylabel="DSC", reference=[(0.55, "threshold")])
    assert texts(figure) == ["plain", "patches"]
    assert "patches 0.50 at 10.0" in alt_of(figure)
    assert "threshold" in alt_of(figure)


def test_ways_that_take_the_same_are_drawn_apart():
    table = pd.DataFrame({
        "name": ["plain", "a", "b"], "x": [100.0, 10.0, 10.0], "value": [0.6, 0.5, 0.5],
        "low": [0.5, 0.4, 0.4], "high": [0.7, 0.6, 0.6],
    })  # fmt: skip
    figure = figures.trade_off(table, xlabel="MB", ylabel="DSC")
    places = {text.get_text(): text.xy[0] for text in figure.axes[0].texts}
    assert places == pytest.approx({"plain": 100, "a": 10, "b": 12})
