"""A table that people open in a spreadsheet computes nothing, and the kit reads what was meant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.cohort.cells import guarded, unguarded, write_csv
from nextaim_kit.data.cohort.sheets import header_of
from nextaim_kit.data.cohort.tables import read_table

FORMULAS = ['=cmd|"/c calc"!A1', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_begins_as_a_formula_stands_behind_an_apostrophe_and_comes_back(text):
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("cell", [-1.5, "-1.5", "+3", "-1,5", "a=b", "", "-", "'tis", None])
def test_numbers_and_other_text_stay(cell):
    assert guarded(cell) is cell


def test_a_table_with_formulas_is_read_back_as_it_was(tmp_path):
    table = pd.DataFrame({"subject": FORMULAS[:4], "=x": ["a", "-b", "c", "d"], "v": -np.ones(4)})
    write_csv(table, tmp_path / "t.csv")
    cells = (tmp_path / "t.csv").read_text().replace('"', "").replace("\n", ",").split(",")
    assert [c for c in cells if c[:1] in "=+@" and c] == []
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", text=["subject"]), table)
    assert header_of(tmp_path / "t.csv") == list(table)


def test_a_table_without_formulas_is_written_as_pandas_would(tmp_path):
    table = pd.DataFrame({"a": [1, None], "b": ["x", None], "c": [0.1, -2.0], "d": [True, False]})
    table["e"] = pd.Series([1, None], dtype=object)
    for one in (table, table.astype({"b": "category"}), table.iloc[:0], table[[]]):
        write_csv(one, tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_text() == one.to_csv(index=False)
