"""Rows of the same patients are found again, as far as their measures allow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.challenges.privacy import linking


def test_the_same_rows_are_all_found():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    assert (linking.places(rows, 3 * rows - rows - rows) == 1).all()


def test_rows_that_have_nothing_in_common_are_found_by_chance_only():
    first, second = np.random.default_rng(0).normal(size=(2, 400, 4))
    assert linking.places(first, second).mean() == pytest.approx(200.5, abs=20)


def test_a_larger_unit_changes_nothing_and_a_constant_measure_neither():
    first, second = np.random.default_rng(0).normal(size=(2, 30, 3)) * 0.5 + np.arange(30)[:, None]
    scale = np.array([1.0, 1000.0, 0.01])
    constant = np.ones((30, 1))
    expected = linking.places(first, second)
    assert (linking.places(first * scale, second * scale) == expected).all()
    more = (np.hstack([one, constant]) for one in (first, second))
    assert (linking.places(*more) == expected).all()


def test_rows_are_paired_by_patient_and_those_with_one_row_are_left_out():
    table = pd.DataFrame({
        "patient": ["b", "a", "b", "a", "c"], "subject": ["b2", "a1", "b1", "a2", "c1"],
        "size": [20.0, 1.0, 10.0, 2.0, 5.0],
    })  # fmt: skip
    first, second, names = linking.two_readings(table, ["size"])
    assert names == ["a", "b"]
    assert first.ravel().tolist() == [1.0, 10.0]
    assert second.ravel().tolist() == [2.0, 20.0]


def test_a_table_with_one_row_of_each_patient_is_refused():
    table = pd.DataFrame({"patient": ["a", "b"], "subject": ["a", "b"], "size": [1.0, 2.0]})
    with pytest.raises(DataError, match="nobody can be linked"):
        linking.two_readings(table, ["size"])


def test_who_is_alone_in_a_table_is_told():
    table = pd.DataFrame({"age": ["40", "40", "41"], "sex": ["F", "F", "F"]})
    assert linking.rare(table, ["age", "sex"]).tolist() == [False, False, True]
    assert not linking.rare(table, ["sex"]).any()
