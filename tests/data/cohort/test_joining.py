"""Several tables as one: gaps filled, differences told, cohorts kept apart."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.cohort.joining import merged, of_one_cohort, some
from nextaim_kit.errors import RequestError


def people(**columns):
    return pd.DataFrame({"subject": ["a", "b", "c"], **columns})


def test_a_table_fills_the_gaps_of_another_and_adds_its_subjects_and_columns():
    more = pd.DataFrame({"subject": ["b", "d"], "age": [11.0, 12.0], "sex": ["F", "M"]})
    both, problems = merged(people(age=[9.0, np.nan, 10.0]), more, "more.csv")
    assert both["subject"].tolist() == ["a", "b", "c", "d"]
    assert both["age"].tolist() == [9, 11, 10, 12]
    assert both["sex"].tolist()[1::2] == ["F", "M"]
    assert problems == []


def test_numbers_that_were_rounded_do_not_differ():
    both, problems = merged(people(fd=[0.1234, 0.2, 0.3]), people(fd=[0.123, 0.2, 0.3]), "b.csv")
    assert problems == []
    assert both["fd"][0] == 0.1234


def test_where_two_tables_differ_the_first_counts_and_the_subject_is_named_with_both_values():
    one, other = people(site=["X", "Y", "X"], age=[1.0, 2.0, 3.0]), people(site=["X", "Z", "X"])
    both, problems = merged(one, other.assign(age=[1.0, 5.0, 3.0]), "second.csv")
    assert both["site"].tolist() == ["X", "Y", "X"]
    (told,) = problems
    assert told["subject"] == "b"
    assert "site Y and Z" in told["problem"]
    assert "age 2.0 and 5.0" in told["problem"]
    assert "second.csv" in told["problem"]


def test_what_one_table_does_not_know_is_no_difference():
    labels = pd.array([1, pd.NA, 0], "Int64")
    both, problems = merged(people(label=labels), people(label=pd.array([1, 1, 0], "Int64")), "b")
    assert problems == []
    assert both["label"].tolist() == [1, 1, 0]


def test_tables_that_share_a_subject_are_one_cohort_even_by_way_of_a_third():
    one = pd.DataFrame({"subject": ["a", "b"], "age": 1})
    far = pd.DataFrame({"subject": ["c", "d"], "sex": "M"})
    link = pd.DataFrame({"subject": ["b", "c"], "site": "X"})
    found = of_one_cohort({Path("1"): one, Path("2"): far, Path("3"): link}, None)
    assert sorted(found) == [Path("1"), Path("2"), Path("3")]


def test_tables_of_the_same_columns_are_parts_of_one():
    parts = {Path(name): pd.DataFrame({"subject": [name], "age": 1}) for name in "ab"}
    assert of_one_cohort(parts, None) == [Path("a"), Path("b")]


def test_two_cohorts_are_refused_unless_it_is_said_which_is_meant():
    tables = {
        Path("a.csv"): pd.DataFrame({"subject": ["a"], "age": 1}),
        Path("b.csv"): pd.DataFrame({"subject": ["b"], "sex": "M"}),
    }
    with pytest.raises(RequestError, match="2 cohorts that share no subject"):
        of_one_cohort(tables, None)
    assert of_one_cohort(tables, {"b"}) == [Path("b.csv")]
    assert of_one_cohort(tables, {"nobody"}) == []
    assert of_one_cohort({}, None) == []


def test_the_first_of_many_names_are_shown_with_how_many_there_are_more():
    assert some(["a", "b"]) == "a, b"
    assert some(range(7)) == "0, 1, 2, 3, 4 and 2 more"
    assert some([]) == ""
