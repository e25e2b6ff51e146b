"""What is typed has one meaning, or is refused with what was perhaps meant."""

from __future__ import annotations

from typing import Literal

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.parameters import Parameter
from nextaim_kit.runs.typed import Unreadable, read_value

TAKEN = [
    (int, "10", 10), (int, "+5", 5), (int, " 5 ", 5), (int, "-0", 0), (int, "-12", -12),
    (float, "3", 3.0), (float, ".5", 0.5), (float, "5.", 5.0), (float, "1e3", 1000.0),
    (float, "1E-3", 0.001), (float, "-2.5", -2.5), (float, "0.0", 0.0),
    (bool, "true", True), (bool, "False", False), (bool, "TRUE", True),
    (str, "010", "010"), (str, "a b", "a b"), (str, "null", "null"),
    (Literal["a", "b"], "b", "b"), (Literal[2, 3], "3", 3),
    (int | None, "null", None), (int | None, "5", 5), (str | None, "x", "x"),
    (int | float, "5", 5), (int | float, "5.5", 5.5),
    (list[int], "1,2", [1, 2]), (list[int], "[1, 2]", [1, 2]), (list[int], "[]", []),
    (list[str], "['a', \"b\"]", ["a", "b"]), (list[float], "0.5, 1e-2", [0.5, 0.01]),
]  # fmt: skip
REFUSED = [
    (int, "010", "10"), (int, "0x10", ""), (int, "0b1", ""), (int, "0o7", ""),
    (int, "1_000", "1000"), (int, "1:30", ""), (int, "1e3", "1000"), (int, "5.0", "5"),
    (int, "1.5", ""), (int, "\uff15", "5"), (int, "1,000", ""), (int, "nan", ""), (int, "inf", ""),
    (int, "", ""), (int, "null", ""), (int, "~", ""), (int, "true", ""), (int, "2020-01-01", ""),
    (int, "--5", ""), (int, "9" * 5000, ""),
    (float, "010", "10"), (float, "1_0.5", "10.5"), (float, "0,5", "0.5"), (float, "nan", ""),
    (float, ".nan", ""), (float, "-inf", ""), (float, ".inf", ""), (float, "1:30.5", ""),
    (float, "0x1p3", ""), (float, "1e", ""), (float, "\uff15.5", "5.5"), (float, "", ""),
    (bool, "yes", "true"), (bool, "on", "true"), (bool, "1", "true"), (bool, "no", "false"),
    (bool, "off", "false"), (bool, "0", "false"), (bool, "tRue", ""), (bool, "", ""),
    (int | None, "05", "5"),
    (list[int], "1,,2", "1, 2"), (list[int], "1,2,", "1, 2"), (list[int], "[1,2", ""),
    (list[int], "010,2", "10"), (list[float], "nan,1", ""), (list[int], "1;2", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), TAKEN)
def test_what_has_one_meaning_is_taken(kind, text, value):
    read = read_value(text, kind)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(("kind", "text", "near"), REFUSED)
def test_what_has_several_meanings_or_none_is_refused_with_the_near_one(kind, text, near):
    with pytest.raises(Unreadable) as refused:
        read_value(text, kind)
    assert refused.value.near == near


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("float", float("nan")), ("float", float("inf")), ("list[float]", [1.0, float("nan")]),
     ("int", 2**53 + 1), ("str", "a\0b"), ("str", "\udcff"), ("str", "a\nb"), ("int", True),
     ("int", 5.0), ("bool", "true"), ("str", 5), ("float | None", float("-inf"))],
)  # fmt: skip
def test_a_value_that_no_record_can_hold_or_of_another_type_is_refused(annotation, value):
    with pytest.raises(RequestError, match="cannot take this value"):
        Parameter("x", annotation, None, "a value").check(value)


def test_a_refusal_says_how_a_value_is_written_and_what_was_perhaps_meant():
    with pytest.raises(RequestError, match=r"(?s)written as digits.*'010'.*did you mean 10\?"):
        Parameter("seed", "int", 1, "random seed").parse("010")
    with pytest.raises(RequestError, match='in quotes: "5"'):
        Parameter("subject", "str", "", "whose report").check(5)
