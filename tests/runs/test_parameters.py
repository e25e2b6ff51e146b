"""Parameters are read from one cell and refused before anything starts."""

from __future__ import annotations

import json

import pytest

from nextaim_kit import catalog
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.runs.parameters import parse_cell, read_parameters, resolve
from nextaim_kit.runs.sweep.plan import setting_text


def parameter(line: str):
    (found,) = parse_cell(line, "a.ipynb").values()
    return found


def test_a_parameter_has_name_type_default_help_and_bounds():
    p = parameter("rate: float = 1e-3  # learning rate [1e-6, 1]")
    assert (p.name, p.annotation, p.default, p.help) == ("rate", "float", 1e-3, "learning rate")
    assert (p.low, p.high) == (1e-6, 1.0)


@pytest.mark.parametrize("brackets", ["[in, fine]", "[e, f]", "[1, many]"])
def test_words_in_brackets_are_no_bounds(brackets):
    assert not parameter(f"n: int = 1  # how many {brackets}").bounded


def test_brackets_that_hold_no_bounds_stay_in_the_help():
    p = parameter("width: int = 3  # width [mm]")
    assert p.help == "width [mm]"
    assert not p.bounded


@pytest.mark.parametrize(
    ("line", "text", "value"),
    [
        ("n: int = 1  # n", "12", 12),
        ("r: float = 1.0  # r", "1e-3", 1e-3),
        ("r: float = 1.0  # r", "3", 3.0),
        ("on: bool = True  # on", "false", False),
        ("path: str = ''  # path", "12", "12"),
        ("kind: Literal['a', 'b'] = 'a'  # kind", "b", "b"),
        ("depth: Literal[2, 3] = 2  # depth", "3", 3),
        ("rates: list[float] = []  # rates", "0.1,1e-2", [0.1, 0.01]),
        ("sites: list[str] = []  # sites", "A, 1", ["A", "1"]),
        ("limit: int | None = 3  # limit", "null", None),
    ],
)
def test_text_from_a_command_line_becomes_the_declared_type(line, text, value):
    read = parameter(line).parse(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("n: int = 1  # n", "1.5"),
        ("n: int = 1  # n", "many"),
        ("n: int = 1  # n", "true"),
        ("n: int = 1  # n [1, 5]", "6"),
        ("r: float = 1.0  # r [0, 1]", "nan"),
        ("on: bool = True  # on", "3"),
        ("path: str = ''  # path", "a\nb"),
        ("path: str = ''  # path", "a\x9b2J"),
        ("kind: Literal['mean', 'sum'] = 'sum'  # kind", "maen"),
        ("rates: list[float] = []  # rates [0, 1]", "0.1,2"),
        ("size: list[int] = [1, 2, 3]  # voxels in x, y, z [1, 9]", "1,2"),
        ("size: list[int] = [1, 2, 3]  # voxels in x, y, z [1, 9]", "1,2,0"),
    ],
)
def test_a_value_of_wrong_type_or_out_of_bounds_is_refused(line, text):
    with pytest.raises(RequestError, match="cannot take this value"):
        parameter(line).parse(text)


def test_a_list_is_written_as_one_types_it():
    several = parameter("ks: list[int] = [5]  # numbers")
    assert several.text([5, 10]) == "5, 10"
    assert several.parse(several.text([5, 10])) == [5, 10]
    assert several.text([]) == ""
    assert setting_text([0.1, 1]) == "0.1, 1"
    assert setting_text("mrmr") == "mrmr"


def test_a_misspelt_choice_names_the_near_one():
    with pytest.raises(RequestError, match="did you mean 'mean'"):
        parameter("kind: Literal['mean', 'sum'] = 'sum'  # kind").parse("maen")


@pytest.mark.parametrize("line", ["n = 1  # n", "n: int = 1", "import os  # os", "f(1)  # f"])
def test_a_line_that_declares_nothing_is_refused(line):
    with pytest.raises(DataError, match="is not a parameter"):
        parse_cell(line, "a.ipynb")


@pytest.mark.parametrize(
    "line", ["n: int = 'a'  # n", "n: dict = {}  # n", "n: int = 9  # n [1, 5]"]
)
def test_a_default_or_type_that_cannot_be_is_refused(line):
    with pytest.raises(DataError, match="ill declared"):
        parse_cell(line, "a.ipynb")


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": []}))
    with pytest.raises(DataError, match="parameters cannot be read"):
        read_parameters(path)


def test_defaults_give_way_to_the_profile_and_both_to_what_is_given(toy):
    toy()
    notebook = catalog.find("toy/draw")
    assert resolve(notebook, "tutorial", {})["size"] == 3
    assert resolve(notebook, "smoke", {})["size"] == 2
    assert resolve(notebook, "smoke", {"size": "5"})["size"] == 5


def test_an_unknown_name_is_refused_with_the_near_miss(toy):
    toy()
    with pytest.raises(RequestError, match="did you mean 'size'"):
        resolve(catalog.find("toy/draw"), "tutorial", {"sise": "5"})


def test_an_unknown_profile_is_refused_with_the_near_miss(toy):
    toy()
    with pytest.raises(RequestError, match="did you mean 'smoke'"):
        resolve(catalog.find("toy/draw"), "smok", {})


def test_an_unknown_notebook_is_refused_with_the_near_miss(toy):
    toy()
    with pytest.raises(RequestError, match="did you mean toy/draw"):
        catalog.find("toy/drew")


def test_a_study_file_with_an_unknown_key_is_refused(toy):
    toy(colour="blue")
    with pytest.raises(DataError, match="colour"):
        catalog.studies()
