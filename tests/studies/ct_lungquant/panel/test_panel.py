"""Readings and values: what users write is taken as far as it goes, and doubts are named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.data.cohort.fingerprint import fingerprint
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.panel.cases import few_cases, judged, load_material
from nextaim_kit.studies.ct_lungquant.panel.checked_tables import checked_readings, checked_values
from nextaim_kit.studies.ct_lungquant.panel.readers import Panel, read_panel
from nextaim_kit.twins.chest_ct.population import patients


@pytest.fixture(scope="module")
def cohort():
    table, rng = patients(40), np.random.default_rng(0)
    ill = table["truth_involvement"] > 0
    table["truth_left"] = np.where(ill, rng.beta(2, 2, 40), np.nan)
    table["truth_upper"] = np.where(ill, rng.beta(1, 3, 40), np.nan)
    return table.assign(image="no.nii.gz", truth_lesions_ml=10 * table["truth_involvement"])


@pytest.fixture
def readings(cohort):
    return read_panel(cohort, Panel(readers=4)).astype({"type": object})


@pytest.fixture
def values(cohort):
    names = ("involvement", "consolidation", "left", "upper", "lesions_ml")
    columns = {name: cohort[f"truth_{name}"] for name in names}
    return cohort[["subject", "site"]].assign(**columns)


def load(tmp_path, readings, values, **options):
    readings.to_csv(tmp_path / "readings.csv", index=False)
    values.to_csv(tmp_path / "values.csv", index=False)
    given = {"readings": str(tmp_path / "readings.csv"), "values": str(tmp_path / "values.csv")}
    return load_material("synthetic", twin=None, measure=None, **(given | options))


def test_tables_written_and_read_are_the_same(tmp_path, readings, values):
    found = load(tmp_path, readings, values)
    assert found.problems.empty
    pd.testing.assert_frame_equal(found.readings, readings, check_dtype=False)
    np.testing.assert_allclose(found.values["involvement"], values["involvement"])


def test_the_twin_is_measured_and_read_where_no_table_is_given(cohort, values):
    found = load_material("synthetic", twin=lambda: cohort, measure=lambda table: values)
    assert found.readings["reader"].nunique() == 14
    assert "slice_mm" in found.values
    assert found.problems.empty


def test_a_subject_that_cannot_be_measured_is_named_once(cohort, values):
    less = values[1:].copy()
    less.attrs["problems"] = [{"subject": values["subject"][0], "problem": "no lungs found"}]
    found = load_material("synthetic", twin=lambda: cohort, measure=lambda table: less)
    assert found.problems["problem"].tolist() == ["no lungs found"]
    assert len(found.values) == 39


def test_given_values_of_some_of_the_twin_s_patients_are_enough(tmp_path, cohort, values):
    values[:20].to_csv(tmp_path / "values.csv", index=False)
    found = load_material(
        "synthetic", twin=lambda: cohort, measure=None, values=str(tmp_path / "values.csv")
    )
    assert len(found.values) == found.readings["subject"].nunique() == 20
    assert found.problems.empty


def test_subjects_of_one_table_only_are_named_and_the_others_go_on(tmp_path, readings, values):
    first, last = values["subject"].iloc[[0, -1]]
    found = load(tmp_path, readings[readings["subject"] != first], values[:-1])
    said = found.problems.set_index("subject")["problem"].to_dict()
    assert said == {first: "values, but no readings", last: "readings, but no values"}
    assert len(found.values) == found.readings["subject"].nunique() == 38


def test_tables_of_different_subjects_are_refused(tmp_path, readings, values):
    other = values.assign(subject="x" + values["subject"])
    with pytest.raises(DataError, match="hardly of the same subjects"):
        load(tmp_path, readings, other)


def test_one_subject_is_refused_as_too_few_and_not_as_another_name(tmp_path, readings, values):
    one = values["subject"].iloc[0]
    with pytest.raises(DataError, match="too few subjects"):
        load(tmp_path, readings[readings["subject"] == one], values[:1])


def test_readers_who_write_none_see_no_lesion(readings):
    nobody = readings.assign(type="none", sides="none", zones="", ct_ss=1, percent=0.0)
    read, doubts = checked_readings(nobody, "readings.csv")
    assert read[["type", "sides", "zones"]].isna().all(axis=None)
    assert doubts.empty


def test_own_cts_need_own_readings(tmp_path, cohort):
    own = cohort[["subject", "site"]].assign(image=str(tmp_path / "ct.nii.gz"))
    (tmp_path / "ct.nii.gz").touch()
    own.to_csv(tmp_path / "cohort.csv", index=False)
    with pytest.raises(RequestError, match="nobody's readings"):
        load_material(str(tmp_path / "cohort.csv"), twin=None, measure=None)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("type", "GGO", "type 'GGO' is none of ground glass, mixed, consolidation"),
        ("ct_ss", 7, "ct_ss 7 is none of 1, 2, 3, 4, 5"),
        ("percent", 130, "percent 130.0 is not a number from 0 to 100"),
    ],
)
def test_what_a_reader_cannot_have_said_is_missing_and_named(readings, column, value, said):
    readings.loc[3, column] = value
    found, doubts = checked_readings(readings, "readings.csv")
    assert pd.isna(found.loc[3, column])
    assert len(found) == len(readings)
    assert doubts["problem"].tolist() == [f"{said}: taken as missing"]
    assert doubts["subject"].tolist() == [readings.loc[3, "subject"]]


def test_words_are_known_in_any_case_and_whole_numbers_with_a_point(readings):
    readings["ct_ss"] = readings["ct_ss"].astype(float)
    readings["sides"] = readings["sides"].str.upper() + " "
    found, doubts = checked_readings(readings, "readings.csv")
    assert doubts.empty
    assert set(found["sides"].dropna()) == {"right", "bilateral", "left"}
    assert found["ct_ss"].notna().equals(readings["ct_ss"].notna())


def test_a_subject_that_a_reader_has_twice_is_left_out_unless_it_is_the_same(readings):
    same = readings[readings["percent"] != 99].iloc[[0]]
    other = readings.iloc[[1]].assign(percent=99)
    found, doubts = checked_readings(pd.concat([readings, same, other]), "readings.csv")
    assert len(found) == len(readings) - 1
    said = dict(zip(doubts["subject"], doubts["problem"], strict=True))
    assert said[readings["subject"][0]] == "read 2 times, the same, kept once"
    assert said[readings["subject"][1]] == "read 2 times, not the same, left out"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="zones"), "no column 'zones'"),
        (lambda t: t[t["reader"] == "R01"], "readers cannot be compared with each other"),
        (lambda t: t.assign(type="GGO"), "no value of type is known"),
        (lambda t: t.assign(percent=np.nan), "nobody has read percent"),
    ],
)
def test_readings_that_cannot_be_used_are_refused(readings, change, said):
    with pytest.raises(DataError, match=said):
        checked_readings(change(readings), "readings.csv")


def test_a_reader_of_three_cases_is_named_and_not_judged_but_keeps_his_readings(readings):
    kept = readings[(readings["reader"] != "R02") | (readings.groupby("reader").cumcount() < 3)]
    few = few_cases(kept, 10)
    assert few["reader"].tolist() == ["R02"]
    assert "read 3 subjects, fewer than 10" in few["problem"][0]
    assert set(judged(kept, few)["reader"]) == {"R01", "R03", "R04"}
    with pytest.raises(DataError, match="too few readers"):
        judged(kept, few_cases(kept, 100))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("involvement", 130, "involvement is not a number from 0 to 100"),
        ("involvement", np.nan, "no involvement measured"),
        ("left", -0.1, "left is not a number from 0 to 1"),
    ],
)
def test_values_that_cannot_be_are_named_and_the_others_stay(values, column, value, said):
    values.loc[5, column] = value
    found, doubts = checked_values(values, "values.csv")
    assert len(found) == len(values) - 1
    assert doubts["problem"].tolist() == [said]


def test_values_without_a_column_or_with_a_subject_twice_are_refused(values):
    with pytest.raises(DataError, match="no column 'upper'"):
        checked_values(values.drop(columns="upper"), "values.csv")
    with pytest.raises(DataError, match="occur more than once"):
        checked_values(pd.concat([values, values[:1]], ignore_index=True), "values.csv")


def test_values_of_a_twin_keep_their_mark(tmp_path, values):
    values.assign(provenance_synthetic=True).to_csv(tmp_path / "values.csv", index=False)
    assert fingerprint(str(tmp_path / "values.csv"))["synthetic"]
