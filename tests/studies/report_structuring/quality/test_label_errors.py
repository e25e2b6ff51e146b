"""Planted errors of annotators are found, far more often than by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.report_structuring.quality.label_errors import (
    off_diagonal,
    planted,
    recovered,
    suspects,
)
from nextaim_kit.studies.report_structuring.schema import Field, Template

TEMPLATE = Template(
    name="short",
    title={"en": "short"},
    sections={"18782-3": {"en": "Findings"}},
    fields=(
        Field(key="effusion", label={"en": "effusion"}, choices=("present", "absent")),
        Field(key="ef", label={"en": "EF"}, unit="%", low=10, high=85),
    ),
)
WORDS = {
    "present": ["Versamento pleurico a destra.", "Si osserva versamento.", "Falda di versamento."],
    "absent": ["Non versamento.", "Assenza di versamento pleurico.", "Versamento non presente."],
}


@pytest.fixture(scope="module")
def reports():
    """120 reports with the values that an annotator gave, and the true ones."""
    rng = np.random.default_rng(5)
    effusion = rng.choice(["present", "absent"], 120)
    ef = rng.integers(20, 70, 120).astype(float)
    texts = [
        f"{rng.choice(WORDS[said])} FE attuale {value:.0f} %, in precedenza {value - 5:.0f} %."
        for said, value in zip(effusion, ef, strict=True)
    ]
    clean = pd.DataFrame({"effusion": effusion, "ef": ef}, index=[f"R{k}" for k in range(120)])
    given = clean.copy()
    given.iloc[:8, 0] = ["absent" if v == "present" else "present" for v in effusion[:8]]
    given.iloc[8:14, 1] -= 5
    given.iloc[14:17, 1] = np.nan
    table = given.rename_axis("subject").reset_index()
    return table.assign(text=texts, language="it", group=np.arange(120)), given, clean


def test_a_class_counts_only_where_it_is_as_likely_as_usual():
    classes, given = np.array(["a", "b"]), np.array(["a", "a", "b", "b"])
    likely = np.array([[0.55, 0.45], [0.4, 0.6], [0.1, 0.9], [0.2, 0.8]])
    assert off_diagonal(given, classes, likely) == []
    likely[1] = [0.1, 0.9]
    assert [place for place, *_ in off_diagonal(given, classes, likely)] == [1]


def test_planted_errors_are_found_in_choices_and_numbers(reports):
    table, given, clean = reports
    errors = planted(given, clean, TEMPLATE)
    assert len(errors) == 17
    found = recovered(suspects(table, TEMPLATE), errors, TEMPLATE).set_index("field")
    assert (found.loc[["effusion", "ef"], "recall"] >= 0.85).all()
    assert (found.loc[["effusion", "ef"], "precision"] >= 0.7).all()
    assert found.loc["all", "errors"] == 17


def test_the_suggestion_is_the_true_value_and_the_surest_come_first(reports):
    table, given, clean = reports
    found = suspects(table, TEMPLATE).merge(planted(given, clean, TEMPLATE))
    assert (found["suggested"] == found["true"]).mean() > 0.9
    assert found["certainty"].is_monotonic_decreasing


def test_the_same_seed_suspects_the_same(reports):
    table, _, _ = reports
    pd.testing.assert_frame_equal(
        suspects(table, TEMPLATE, seed=1), suspects(table, TEMPLATE, seed=1)
    )


def test_without_errors_recall_does_not_exist(reports):
    table, _, clean = reports
    none = planted(clean, clean, TEMPLATE)
    found = recovered(suspects(table, TEMPLATE), none, TEMPLATE)
    assert found["recall"].isna().all()
