"""Kappa of annotators, and what reports say, deny and leave out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from nextaim_kit.studies.report_structuring.quality.agreement import agreement, kappas, statements
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, read_template

TEMPLATE = read_template("echo_short")


def values(**columns):
    n = len(next(iter(columns.values())))
    return pd.DataFrame([TEMPLATE.empty()] * n).assign(**columns)


def test_kappa_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    one, other = rng.choice(list("abc"), (2, 80))
    other[:40] = one[:40]
    weights = np.stack([np.ones(80), rng.integers(0, 3, 80)])
    expected = [cohen_kappa_score(one, other, sample_weight=w) for w in weights]
    assert kappas(weights, one, other) == pytest.approx(expected)


def test_annotators_who_say_the_same_agree_and_numbers_count():
    table = values(ef=[55.0, 40.0, np.nan, 60.0], rhythm=["sinus", "paced", "sinus", "sinus"])
    other = table.assign(ef=[55.0, 41.0, np.nan, 60.0])
    found = agreement(table, other, TEMPLATE, n_boot=50).set_index("field")
    assert found.loc["rhythm", "value"] == 1
    assert found.loc["ef", "same"] == 0.75
    assert 0 < found.loc["ef", "value"] < 1
    assert np.isnan(found.loc["septum", "value"])


def test_denied_is_not_the_same_as_not_mentioned():
    field = next(f.key for f in TEMPLATE.fields if {"present", "absent"} <= {*f.choices})
    table = values(**{field: ["present", "absent", NOT_MENTIONED, "absent"]})
    found = statements(table, TEMPLATE).set_index("field").loc[field]
    assert (found["stated"], found["denied"], found["not mentioned"]) == (0.25, 0.5, 0.25)
    assert found["low"] < 0.25 < found["high"]
