"""A sweep file says what varies, and is refused with a mend where it cannot mean anything."""

from __future__ import annotations

import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.runs.sweep.spec import Sweep, read_sweep


def spec(**said):
    return Sweep(**{"notebooks": ["a/b"]} | said)


def test_a_grid_gives_all_combinations_the_last_name_fastest():
    found = list(spec(grid={"a": [1, 2], "b": ["x", "y"]}).combinations(0))
    assert [tuple(c.values()) for c in found] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_zip_takes_values_together_and_seeds_go_over_all():
    found = list(spec(zip={"a": [1, 2], "b": [3, 4]}, seeds=[5, 6]).combinations(0))
    assert [tuple(c.values()) for c in found] == [(1, 3, 5), (1, 3, 6), (2, 4, 5), (2, 4, 6)]


def test_repeat_counts_seeds_up_from_the_one_that_holds():
    assert list(spec(repeat=3).combinations(40)) == [{"seed": 40}, {"seed": 41}, {"seed": 42}]


def test_a_sweep_in_which_nothing_varies_is_one_run():
    assert list(spec().combinations(0)) == [{}]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        (["a > b"], [2]),
        (["a > b or kind == 'sum'"], [1, 2]),
        (["a in [1, 3]", "a > 1"], []),
        (["more.k == 9 and a == 2"], [2]),
    ],
)
def test_conditions_keep_the_combinations_that_fulfil_all_of_them(where, kept):
    names = {"b": 1, "kind": "sum", "more": {"k": 9}}
    held = [a for a in (1, 2) if spec(where=where).holds({"a": a, **names})]
    assert held == kept


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"grid": {}}, "no runs(.|\n)*grid is empty"),
        ({"grid": {"a": []}}, "no runs(.|\n)*'a' has no values"),
        ({"seeds": []}, "seeds is empty"),
        ({"zip": {"a": [1, 2], "b": [1]}}, r"differ in length(.|\n)*a: 2, b: 1"),
        ({"seeds": [1], "repeat": 2}, "both seeds and repeat"),
        ({"grid": {"a": [1]}, "parameters": {"a": 2}}, "says 'a' twice"),
        ({"grid": {"seed": [1]}, "repeat": 2}, "says 'seed' twice"),
    ],
)
def test_a_sweep_that_cannot_mean_anything_is_refused(said, words):
    with pytest.raises(RequestError, match=words):
        list(spec(**said).combinations(0))


@pytest.mark.parametrize(
    "condition", ["a >", "unknown > 3", "a > 'text'", "a.__class__.__mro__", "1 / (a - 1) > 2"]
)
def test_a_condition_that_cannot_be_evaluated_is_named(condition):
    with pytest.raises(RequestError, match=r"condition .* cannot be evaluated"):
        spec(where=[condition]).holds({"a": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notebooks: [a/b]\ngird: {a: [1]}", r"says 'gird'(.|\n)*did you mean 'grid'"),
        ("notebooks: [a/b]\ngrid: {a: 1}", r"grid\.a cannot be this(.|\n)*valid list"),
        ("notebooks: []", "notebooks cannot be this"),
        ("notebooks: [a/b]\ngrid:", "no runs(.|\n)*grid is empty"),
        ("notebooks: [a/b]\nnotebook: a/c", "says notebook and notebooks"),
        ("notebooks: [a/b]\nrepeat: 0", "repeat cannot be this"),
        ("notebooks: [a/b]\nresources: {cpus: 3}", r"resources\.cpus"),
        ("notebooks: [a/b]\nresources: {memory_gb: -1}", r"resources\.memory_gb cannot be"),
        ("notebooks: [a/b]\nresources: {memory_gb: .inf}", r"resources\.memory_gb cannot be"),
        ("notebooks: [a/b]\nrepeat: 010", "repeat cannot be this"),
        ("notebooks: [a/b]\nrepeat: 1:30", "repeat cannot be this"),
        ("notebooks: [a/b]\nrepeat: 1000000000", "repeat cannot be this"),
        ("notebooks: [a/b]\nseeds: [1, 1_0]", r"seeds\.1 cannot be this"),
        ("notebooks: [a/b]\nseeds: [1.0]", r"seeds\.0 cannot be this"),
        ("notebooks: [a/b]\nrepeat: 2\nrepeat: 3", "'repeat' is said twice"),
        ("- a", "is no sweep"),
        ("a: [", "is no YAML file"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(RequestError, match=words):
        read_sweep(tmp_path / "s.yaml")


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RequestError, match=r"no sweep file .*s\.yaml"):
        read_sweep(tmp_path / "s.yaml")


def test_one_notebook_and_one_condition_need_no_list(tmp_path):
    (tmp_path / "s.yaml").write_text("notebook: a/b\nwhere: a > 1")
    read = read_sweep(tmp_path / "s.yaml")
    assert (read.notebooks, read.where) == (["a/b"], ["a > 1"])
