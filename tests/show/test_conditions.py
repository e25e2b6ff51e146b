"""A wrong answer that a slip with a condition leads to is told which slip."""

from __future__ import annotations

import pandas as pd
import pytest

from nextaim_kit.show.conditions import condition_missed, slips
from nextaim_kit.show.exercises import solve

TABLE = pd.DataFrame({"y": [1, 1, 0, 0, 0], "p": [0.5, 0.9, 0.1, 0.8, 0.7], "site": list("ABABA")})


def told(source, answer):
    return condition_missed(source, lambda changed: solve(changed, {"table": TABLE}) == answer)


@pytest.mark.parametrize(
    ("solved", "answer", "said"),
    [
        ("len(table[table['y'] == 1])", 5, "condition is forgotten"),
        ("table.loc[table['y'] == 1, 'p'].mean()", 0.6, "condition is forgotten"),
        ("table['p'][~(table['y'] == 1)].max()", 0.9, "condition is forgotten"),
        ("len(table[table['site'].isin(['A'])])", 5, "condition is forgotten"),
        ("((table['y'] == 1) & (table['p'] > 0.6)).sum()", 2, "condition is forgotten"),
        ("((table['y'] == 1) & (table['p'] > 0.6)).sum()", 3, "condition is forgotten"),
        ("(table['p'] > 0.5).sum()", 4, "Look at the border"),
        ("(table['p'] <= 0.5).sum()", 1, "Look at the border"),
        ("len(table[table['y'] == 1])", 4, None),
        ("table['p'].max()", 0.5, None),
    ],
)
def test_what_a_solution_gives_without_one_of_its_conditions_is_recognized(solved, answer, said):
    found = told(f"answer = {solved}", answer)
    assert said in found if said else found == ""


def test_each_slip_is_one_change_and_code_that_is_left_alone_has_none():
    assert not [*slips("answer = table['p'].iloc[0] + values[1:] + values[::2]")]
    assert [s for _, s in slips("answer = a[a < 1]")] == ["answer = a", "answer = a[a <= 1]"]


def test_a_slip_that_fails_is_no_explanation():
    assert told("answer = table['p'][table['y'] == 1].iloc[1]", 7) == ""
