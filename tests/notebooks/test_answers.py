"""What is held against exercises finds what gives an answer away, and what is trivial."""

from __future__ import annotations

import numpy as np
import pytest

from tests.notebooks.answers import gives_away, shares_code, told, trivial

KEPT = {"solution": "# One.\nanswer = 60 / 80", "answer": 0.75, "function": False, "idle": False}


@pytest.mark.parametrize(
    ("hint", "answer", "found"),
    [
        ("it is 0.75", 0.75, "0.75"),
        ("about 75 percent", 0.75, "75"),
        ("750 per thousand", 0.75, "750"),
        ("some 0.75 of them", 0.7463, "0.75"),
        ("that is 0.75 ml", 746.3, "0.75"),
        ("6 of 8 are right", 0.75, ""),
        ("more than 0.5", 0.75, ""),
        ("it is Pavia, in the north", {"Pavia", "Pisa"}, "Pavia"),
        ("'yes' if it is above, else 'no'", "yes", ""),
        ("the mean of log(S/S0)", 0.4493, ""),
    ],
)
def test_a_hint_that_holds_the_answer_in_any_unit_or_rounding_is_found(hint, answer, found):
    assert gives_away(hint, KEPT | {"answer": answer}) == found


def test_a_hint_that_holds_code_of_the_solution_is_found_and_words_are_not():
    solved = "answer = 2 * (one & other).sum() / total  # twice the sum of both over all"
    assert shares_code("2 * (one & other).sum(), over the total", solved)
    assert not shares_code("twice the sum of both over all", solved)


@pytest.mark.parametrize("answer", [0, 1, 0.0, np.float64(1), [], set()])
def test_zero_one_and_nothing_are_trivial(answer):
    assert trivial(KEPT | {"answer": answer})
    assert not trivial(KEPT)
    assert trivial(KEPT | {"idle": True})


@pytest.mark.parametrize(
    "answer",
    [0.75, 6, 110, "Pavia", {"a", "b"}, "no", ("b", 6.5), ["x", "y"], np.ones((2, 2)), 394.65],
)
def test_five_wrong_answers_are_made_of_each_kind_and_no_solution_is_told(answer):
    tries = told(KEPT | {"answer": answer}, "look")
    assert len(tries) == 5
    for first, second, third in tries.values():
        assert "look" not in first
        assert second.endswith("Hint: look")
        assert third.endswith("show=True)")
        assert KEPT["solution"] not in third
