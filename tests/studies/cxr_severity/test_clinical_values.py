"""Values that cannot be are set aside by name; the training rows alone make the rest comparable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.cxr_severity.clinical_values import (
    Standard,
    missingness,
    named,
    read_clinical,
    views,
)
from nextaim_kit.studies.cxr_severity.cohorts import load_films
from nextaim_kit.studies.cxr_severity.twin import patients
from nextaim_kit.studies.cxr_severity.variables import NAMES


def rows(**columns):
    count = len(next(iter(columns.values())))
    return pd.DataFrame({"subject": list("abcdefgh")[:count], **columns})


def said(problems):
    return dict(named(problems).itertuples(index=False, name=None))


def test_values_in_another_unit_are_set_aside_and_named():
    table = rows(Temp_C=[37.5, 98.6, 36.0, 20], SaO2=[0.96, 95, 104, None], Age=[60, 70, 80, 150])
    numbers, used, problems = read_clinical(table)
    assert used == ["Age", "Temp_C"]
    assert numbers["Temp_C"].fillna(-1).tolist() == [37.5, -1, 36.0, -1]
    assert numbers["SaO2"].fillna(-1).tolist() == [-1, 95, -1, -1]
    assert numbers["Age"].fillna(-1).tolist() == [60, 70, 80, -1]
    texts = named(problems).groupby("subject")["problem"].agg("; ".join).to_dict()
    assert texts == {
        "a": "SaO2 is 0.96: a fraction, not percent? (55 to 100 %); set aside",
        "b": "Temp_C is 98.6: in °F? (25 to 44 °C); set aside",
        "c": "SaO2 is 104: no saturation, but a pressure? (55 to 100 %); set aside",
        "d": "Age is 150: cannot be (0 to 120 years); set aside; "
             "Temp_C is 20: cannot be (25 to 44 °C); set aside",
        "all": "SaO2 is the same for all: not used",
    }  # fmt: skip


def test_an_unknown_category_and_a_word_are_set_aside_and_an_empty_cell_is_not_named():
    table = rows(Sex=["1", "X", 0, 2], Cough=[" ", None, 1, 0], CRP=["3.5", "<0.5", "7", ""])
    numbers, used, problems = read_clinical(table)
    assert used == ["CRP", "Sex", "Cough"]
    assert numbers["Sex"].fillna(-1).tolist() == [1, -1, 0, -1]
    assert numbers["CRP"].fillna(-1).tolist() == [3.5, -1, 7, -1]
    assert [row["problem"] for row in problems] == [
        "CRP is '<0.5', not a number: set aside",
        "Sex is 'X', not M, F, 1 or 0: set aside",
        "Sex is 2: cannot be (0 to 1); set aside",
    ]


def test_a_column_without_two_values_is_named_and_not_used():
    table = rows(Age=[50, 60, 70], LDH=[None] * 3, WBC=[5, None, 5.0])
    numbers, used, problems = read_clinical(table)
    assert list(numbers) == ["Age", "WBC", "LDH"]
    assert used == ["Age"]
    assert [row["problem"] for row in problems] == [
        "WBC is the same for all: not used", "LDH has no value: not used"
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"no clinical value to learn from(.|\n)*LDH has no value"):
        read_clinical(table, ["LDH", "WBC"])
    with pytest.raises(DataError, match=r"no clinical value to learn from(.|\n)*of numbers: none"):
        read_clinical(table[["subject"]])


def test_columns_asked_for_may_be_the_user_s_own_and_must_be_there():
    table = rows(Age=[50, 60, 70], score=[-400, 2e6, 3])
    numbers, used, problems = read_clinical(table, ["score"])
    assert list(numbers) == used == ["score"]
    assert numbers["score"].tolist() == [-400, 2e6, 3]
    assert problems == []
    with pytest.raises(RequestError, match=r"no column Height, Weight\n +found: +subject, Age"):
        read_clinical(table, ["Age", "Height", "Weight"])


def test_infinity_is_no_value():
    numbers, _, problems = read_clinical(rows(score=["inf", "1", "2"]), ["score"])
    assert np.isfinite(numbers["score"].dropna()).all()
    assert [row["subject"] for row in problems] == ["a"]


def test_the_twin_s_13_variables_are_used_and_what_is_missing_is_told():
    table = patients(48)
    numbers, used, problems = read_clinical(table)
    assert used == list(NAMES)
    assert problems == []
    pd.testing.assert_frame_equal(numbers, table[list(NAMES)].astype(float))
    gaps = missingness(numbers.assign(LDH=np.nan))
    some = [name for name in NAMES if table[name].isna().any() and name != "LDH"]
    assert list(gaps) == [f"missing_{name}" for name in some]
    np.testing.assert_array_equal(gaps, table[some].isna())
    assert "PaO2" in some
    assert "Age" not in some


def test_a_projection_of_several_films_is_a_column_and_the_rest_are_one():
    table = pd.DataFrame({"view": ["PA"] * 6 + ["AP Supine "] * 5 + ["AP"] * 4 + [None]})
    found = views(table)
    assert found.sum().to_dict() == {"view_AP Supine": 5, "view_PA": 6, "view_other": 5}
    assert (found.sum(axis=1) == 1).all()
    assert views(table[[]]).shape == (16, 0)


def test_training_rows_alone_say_what_is_usual():
    train = pd.DataFrame({"x": [1.0, 3.0, np.nan, 8.0], "same": 7.0, "empty": np.nan})
    standard = Standard.of(train)
    seen = standard.apply(train)
    assert seen.dtype == np.float32
    assert seen.mean(axis=0) == pytest.approx([0, 0, 0], abs=1e-6)
    assert seen.std(axis=0) == pytest.approx([1, 0, 0], abs=1e-6)
    center, spread = 3.75, np.std([1, 3, 3, 8])  # the missing one is filled with the median
    other = standard.apply(pd.DataFrame({"x": [np.nan, 1e4], "same": np.nan, "empty": np.nan}))
    assert other[:, 0] == pytest.approx([(3 - center) / spread, (1e4 - center) / spread], rel=1e-6)
    assert not other[:, 1:].any()
    with pytest.raises(DataError, match="no training rows for the clinical branch"):
        Standard.of(train.iloc[:0])


def test_a_column_without_training_values_is_0_whatever_other_rows_have():
    standard = Standard.of(pd.DataFrame({"x": [1.0, 2.0], "LDH": np.nan}))
    assert standard.apply(pd.DataFrame({"x": [1.0], "LDH": [400.0]}))[0, 1] == 0


def test_the_real_cohort_has_24_saturations_that_cannot_be(real):
    table, _ = load_films(str(real / "cxr_severity"), twin=lambda: pytest.fail("not asked for"))
    numbers, used, problems = read_clinical(table)
    assert used == ["Age", "Temp_C", "SaO2", "Sex"]
    aside = [row["problem"] for row in problems if row["subject"] != "all"]
    assert sum(text.startswith("SaO2 is ") for text in aside) == len(aside) == 24
    assert numbers["SaO2"].isna().sum() - table["SaO2"].isna().sum() == 24
    assert numbers["SaO2"].dropna().between(55, 100).all()
    assert {row["problem"] for row in problems if row["subject"] == "all"} == {
        "WBC is the same for all: not used"
    }


def test_a_misspelt_column_is_told_with_the_near_miss():
    with pytest.raises(RequestError, match="did you mean 'Age'"):
        read_clinical(rows(Age=[50, 60]), ["Agee"])
