"""Files of the user's mean in YAML what anybody reads there."""

from __future__ import annotations

import pytest

from nextaim_kit.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("-3", -3), ("1e-3", 0.001), (".5", 0.5), ("true", True), ("~", None), ("", None),
     ('"5"', "5")],
)  # fmt: skip
def test_what_nobody_doubts_has_its_type(text, value):
    read = parse_yaml(f"a: {text}")["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["010", "0x10", "0o7", "0b1", "1_000", "1:30", "on", "no", "Yes", "2020-01-01", ".inf", "nan",
     "2001-12-14t21:59:43.10-05:00", "=", "010.5"],
)  # fmt: skip
def test_what_yaml_1_1_makes_something_else_of_stays_text(text):
    assert parse_yaml(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "a: {b: 1, b: 1}", "a: [1", "a: !!int 0x10", "a: !!python/name:os.x",
     "? [1]\n: 2", "a: \x01", f"a: {'9' * 5000}"],
)  # fmt: skip
def test_what_is_no_yaml_or_says_a_name_twice_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_yaml(text)


def test_an_explicit_whole_number_is_no_octal_one():
    assert parse_yaml("a: !!int 010") == {"a": 10}
