"""An answer is right, or wrong in a way that is named where it can be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.show.mistakes import mistake

FILM = np.array([[1.0, 2.0], [3.0, -5.0]])
MASK = np.array([True, False, False, True])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (1.0004, 1.0),
        (np.float32(0.5), 0.5),
        (np.array(3), 3),
        (3.0, np.int64(3)),
        (" Pavia", "Pavia"),
        ("Yes", "yes"),
        (np.True_, True),
        (("b", 6.5), ("b", 6.5001)),
        (["b", "a"], ["a", "b"]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        ("a", ["a"]),
        ([], []),
        (FILM.tolist(), FILM),
        (MASK.astype(int), MASK),
        ("A", {"A", "B"}),
        (2.0, {1.0, 2.0}),
        (0.3, pd.Interval(0.28, 0.34)),
    ],
)
def test_what_is_right_has_no_mistake(answer, expected):
    assert mistake(answer, expected) is None


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (-0.3, 0.3, "sign is wrong"),
        (93.0, 0.93, "100 times too large. Is a share asked for, or percent"),
        (0.2, 20.0, "100 times too small. Is a share asked for, or percent"),
        (1500, 1.5, "1,000 times too large. Which unit"),
        (0.0012, 1.2, "1,000 times too small. Which unit"),
        (2.7, 27.0, "10 times too small"),
        (9.3e9, 9.3, "times too large. Which unit"),
        (9.3 / 1.024**3, 9.3, "GB of 1000"),
        (4.0, 0.25, "reciprocal"),
        (0.7, 0.3, "complement: 1 minus"),
        (80.0, 20.0, "complement: 100 minus"),
        (4, 3, "off by one"),
        (1201, 1200, "off by one"),
        (0.95, 0.95455, "rounded too much"),
        (0.33, 0.339, "rounded too much"),
        (48200, 48216, "rounded too much"),
        (0.9513, 0.95455, "close: is something rounded on the way"),
        (30, pd.Interval(0.28, 0.34), "100 times too large. Is a share asked for"),
        (-0.3, pd.Interval(0.28, 0.34), "sign is wrong"),
        (0.4, pd.Interval(0.28, 0.34), "too high: look at the axis"),
        (2, 1.7, "rounded too much"),
        (np.nan, 0.5, "It is nan: is a value missing"),
        (np.inf, 0.5, "divided by 0"),
    ],
)
def test_a_wrong_number_tells_how_it_came_about(answer, expected, said):
    assert said in mistake(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        ([1, 2], 3, "A number is asked for, and this is 2 values in a list"),
        ({3}, 3, "this is 1 value in a set"),
        (pd.Series([3, 4]), 3, "this is a whole column of 2 values (Series)"),
        (pd.DataFrame({"a": [3]}), 3, "this is a whole table of 1 rows"),
        ("3", 3, "A number is asked for, and this is text (in quotes)"),
        ("3", pd.Interval(2, 4), "A number is asked for, and this is text (in quotes)"),
        ({"A", "B"}, {"A", "B"}, "One of them is asked for, and this is 2 values in a set"),
        (True, 1, "A number is asked for, and this is True or False"),
        (object(), 1, "A number is asked for, and this is one value (object)"),
        (3, "A", r"Text is asked for, and this is one value (int)"),
        (1, True, "True or False is asked for"),
        (None, 3, "None: nothing was computed"),
        (FILM.sum, 3, "not called: add ()"),
        (3, ("b", 6.5), "2 values in order are asked for"),
        ("maybe", "yes", "'yes' or 'no' is asked for"),
        ([[1], [1, 2]], 3, "cannot be compared with the solution"),
        (["x", "y"], np.array([1.0, 2.0]), "cannot be compared with the solution"),
    ],
)
def test_an_answer_of_another_kind_is_told_which_is_asked_for(answer, expected, said):
    assert said in mistake(answer, expected)


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        ("ml", "mL", "Small and capital letters count"),
        ("original_glcm_Contrats", "original_glcm_Contrast", "look at its spelling"),
        ("Miland", {"Genova", "Milano"}, ""),
        ("patient-0002", "patient-0001", ""),
        ("no", "yes", ""),
        (False, True, ""),
        (5.0, 17.0, ""),
        (0, 0.4, ""),
    ],
)
def test_a_slip_is_told_from_another_name_and_the_rest_is_simply_wrong(answer, expected, said):
    found = mistake(answer, expected)
    assert said in found if said else found == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (["a", "b", "c", "x"], "3 of 5 right, 1 that does not belong."),
        (["a", "x", "y"], "1 of 5 right, 2 that do not belong."),
        (["a", "a"], "1 of 5 right, 1 that does not belong."),
        ("a", "1 of 5 right."),
        (7, "0 of 5 right, 1 that does not belong."),
    ],
)
def test_of_a_list_it_is_told_how_many_are_right_and_how_many_do_not_belong(answer, said):
    assert mistake(answer, ["a", "b", "c", "d", "e"]) == said


def test_of_a_pair_it_is_told_which_part_is_wrong():
    assert mistake(("b", -6.5), ("b", 6.5)) == "Part 2: The sign is wrong."
    assert mistake(("a", 6.5), ("b", 6.5)) == "Part 1: not yet."


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (FILM[0], FILM, r"Its shape is (2,), and (2, 2) is asked for"),
        (7, FILM, r"Its shape is (), and (2, 2) is asked for"),
        (~MASK, MASK, "inverted"),
        (-FILM, FILM, "sign of each value"),
        (FILM + 1, FILM, "off by the same amount"),
        (FILM * [[1], [2]], FILM, "50 % of its values are right"),
        (MASK | True, MASK, "50 % of its values are right"),
    ],
)
def test_of_an_array_its_shape_inversion_offset_or_share_is_told(answer, expected, said):
    assert said in mistake(answer, expected)


def test_tolerance_is_relative_and_counts_have_none():
    assert mistake(1.01, 1.0, tolerance=0.02) is None
    assert mistake(1.01, 1.0, tolerance=1e-3) is not None
    assert mistake(1e-6, 2e-6, tolerance=1e-3) is not None
    assert mistake(1000.5, 1000, tolerance=0.01) is not None


def area(radius, power=2):
    return 3.14 * radius**power


area.inputs = [(1.0,), (2.0,), (2.0, 3)]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda radius, power=2: radius**power * 3.14, None),
        (lambda radius: 3.14 * radius**2, "With 2.0, 3 it fails: TypeError"),
        (lambda radius, power=2: 6.28 * radius, "With 1.0 it gives 6.28."),
        (lambda radius, power=2: 314 * radius**power, "It is 100 times too large"),
        (print, "it gives nothing: does it return its value?"),
        (3.14, "A function is asked for, and this is one value (float)"),
    ],
)
def test_a_function_is_held_against_the_solution_s_own_on_its_inputs(answer, said):
    found = mistake(answer, area)
    assert said in found if said else found is None


def test_a_function_that_changes_its_input_spoils_it_for_no_other():
    def last(values):
        return values.pop()

    last.inputs = [([1, 2, 3],)]
    assert mistake(lambda values: values.pop(), last) is None
    assert last.inputs == [([1, 2, 3],)]


def test_a_solution_s_function_without_inputs_or_that_fails_has_no_answer():
    with pytest.raises(DataError, match="has no values"):
        mistake(abs, lambda x: x)
