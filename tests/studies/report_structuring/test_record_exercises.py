"""The exercises of to_the_record have the answers that their data have, made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nextaim_kit.report import document
from nextaim_kit.studies.report_structuring.record.damage import example

ID = "report_structuring/to_the_record"
STATED = pd.DataFrame({"row": [0, 0, 1, 1], "wrong": [True, False, True, True]})
LOW = pd.Series([True, True, False, False])


def test_the_least_evidence_is_that_of_the_shown_report(said):
    told = pd.DataFrame(
        {"subject": ["A", "A", "B"], "field": ["ggo", "pcr", "ef"], "score": [0.9, 0.2, 0.0]}
    )
    names = {"told": told, "names": ["A", "B"], "shown": 0}
    assert said(f"{ID} 1", "pcr", **names) == "Correct.\n"
    assert said(f"{ID} 1", "ef", **names).startswith("Not yet.")


def test_what_is_wrong_and_not_flagged_is_missed(said):
    assert said(f"{ID} 2", 2, stated=STATED, low=LOW) == "Correct.\n"
    assert said(f"{ID} 2", 3, stated=STATED, low=LOW).startswith("Not yet.")


def test_the_evidence_of_an_observation_ends_where_its_review_says(said):
    whole = document.to_document(example())
    assert said(f"{ID} 3", 7, whole=whole, one="ef") == "Correct.\n"
    assert said(f"{ID} 3", 23, whole=whole, one="rhythm") == "Correct.\n"
    assert said(f"{ID} 3", 0, whole=whole, one="ef").startswith("Not yet.")


def test_the_least_sure_stated_value_of_each_report_is_looked_at(said):
    values = pd.DataFrame({
        "row": [0, 0, 0, 1, 1], "stated": [True, True, False, True, True],
        "confidence": [0.9, 0.5, 0.1, 0.7, 0.8], "right": [True, False, False, True, False],
    })  # fmt: skip
    assert said(f"{ID} 4", 1, values=values) == "Correct.\n"
    assert "off by one" in said(f"{ID} 4", 2, values=values)


def test_missed_values_grow_with_the_reports_of_a_year(said):
    names = {"stated": STATED, "low": LOW, "texts": ["a", "b"], "per_report": 1.0, "np": np}
    assert said(f"{ID} 5", 10000, **names) == "Correct.\n"
    assert said(f"{ID} 5", 1, **names).startswith("Not yet.")
