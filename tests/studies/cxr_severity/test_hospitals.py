"""Hospitals are described, left out as a whole, and thinned to another share of severe patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.cxr_severity import hospitals


def films(outcomes, patients=None, sites="A"):
    subject = [f"f{k}" for k in range(len(outcomes))]
    table = pd.DataFrame({"subject": subject, "patient": patients or subject, "site": sites})
    return table.assign(label=pd.array(outcomes, "Int64"))


def test_films_of_unknown_outcome_are_kept_apart():
    unknown, known = hospitals.by_outcome(films([1, None, 0, None]))
    assert unknown["subject"].tolist() == ["f1", "f3"]
    assert known["subject"].tolist() == ["f0", "f2"]
    assert known.attrs["problems"] == []


def test_a_patient_with_two_outcomes_is_left_out_by_name():
    table = films([1, 0, 1, 0], patients=["p", "p", "q", "r"])
    _, known = hospitals.by_outcome(table)
    assert known["patient"].tolist() == ["q", "r"]
    assert [row["subject"] for row in known.attrs["problems"]] == ["f0", "f1"]


def test_one_outcome_only_cannot_be_learned_from():
    with pytest.raises(DataError, match="labels cannot be learned from"):
        hospitals.by_outcome(films([1, 1, None]))


def test_each_hospital_has_its_patients_severe_and_missing_shares():
    table = films([1, 1, 0, 0], patients=["p", "p", "q", "r"], sites=["A", "A", "A", "B"])
    numbers = pd.DataFrame({"Age": [50.0, np.nan, 60, 70], "pH": [np.nan, np.nan, 7.4, 7.4]})
    found = hospitals.describe(table, numbers).set_index("site")
    assert found.loc["A", ["patients", "films"]].tolist() == [2, 3]
    assert found.loc["A", "severe"] == pytest.approx(1 / 2)  # of the patients, not the films
    assert found.loc["A", "missing"] == pytest.approx(3 / 6)
    assert found.loc["all", ["patients", "missing"]].tolist() == [3, 3 / 8]


def test_of_many_hospitals_the_small_ones_are_taken_together():
    sites = [f"h{k:02d}" for k in range(30)] + ["h00"] * 5
    table = films([0, 1] * 17 + [0], sites=sites)
    found = hospitals.describe(table, pd.DataFrame({"Age": np.ones(35)}))
    assert len(found) == 14
    assert found.set_index("site")["films"][["h00", "others", "all"]].tolist() == [6, 18, 35]


def test_a_hospital_is_left_out_with_all_its_patients(chests):
    train, val, test = hospitals.leave_out(chests.table, "F", 4, seed=0)
    site = chests.table["site"].to_numpy()
    assert set(site[test]) == {"F"}
    assert "F" not in {*site[train], *site[val]}
    assert sorted([*train, *val, *test]) == list(range(40))


def test_a_patient_seen_in_two_hospitals_does_not_train_for_one_of_them():
    table = films([0, 1] * 10, patients=[f"p{k // 2}" for k in range(20)], sites=["A", "B"] * 10)
    table["label"] = pd.array([k // 2 % 2 for k in range(20)], "Int64")
    table.loc[12:, "site"] = "A"
    train, val, test = hospitals.leave_out(table, "B", 2, seed=0)
    assert set(table["patient"].iloc[test]).isdisjoint(table["patient"].iloc[[*train, *val]])


@pytest.mark.parametrize(
    ("site", "outcomes", "said"),
    [("Z", [0, 1, 0, 1], "no hospital 'Z'"), ("", [0, 1, 0, 1], "no hospital is left out"),
     ("A", [0, 0, 0, 1], "A have patients of one outcome"),
     ("A", [0, 1, 1, 1], "the others have patients of one outcome")],
)  # fmt: skip
def test_what_cannot_be_left_out_is_said(site, outcomes, said, capsys):
    table = films(outcomes, sites=["A", "A", "B", "B"])
    assert hospitals.leave_out(table, site, 2, seed=0) is None
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_patients_are_thinned_to_a_share_and_no_more_than_needed(share):
    people = pd.DataFrame({"y": [0] * 60 + [1] * 40})
    found = hospitals.with_prevalence(people, share, seed=1)["y"]
    assert found.mean() == pytest.approx(share, abs=0.01)
    assert (found == 0).sum() == 60 or (found == 1).sum() == 40


def test_too_few_patients_are_not_thinned_and_the_way_is_left_out(capsys):
    people = pd.DataFrame({"y": [0, 0, 1], "p": [0.1, 0.2, 0.9], "threshold": 0.5})
    few = hospitals.with_prevalence(people, 0.01, seed=0)
    assert few.empty
    assert "cannot be thinned to a share of 0.01" in capsys.readouterr().out
    found = hospitals.compare_ways({"all": people, "few": few}, n_boot=0, seed=0)
    assert set(found["name"]) == {"all"}


def test_a_difference_between_hospitals_helps_the_pooled_auc_alone():
    rng = np.random.default_rng(0)
    site = np.repeat(["A", "B", "C"], 400)
    y = rng.random(1200) < np.repeat([0.2, 0.8, 1.0], 400)
    p = np.repeat([0.2, 0.8, 0.9], 400) + 0.01 * rng.random(1200)
    found = hospitals.auc_within(pd.DataFrame({"site": site, "y": y.astype(int), "p": p}))
    assert found["site"].tolist() == ["A", "B", "mean within hospitals", "pooled"]
    assert found["auc"].iloc[2] == pytest.approx(0.5, abs=0.05)
    assert found["auc"].iloc[3] > 0.8


def test_ways_of_testing_stand_beside_each_other_with_their_prevalence():
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"y": [0, 1] * 30, "p": rng.random(60), "threshold": 0.5})
    found = hospitals.compare_ways({"all": people, "ten": people.head(10)}, n_boot=50, seed=0)
    n = found.set_index(["name", "metric"])["n"]
    assert (n["all", "auc"], n["ten", "auc"]) == (60, 10)
    assert n["all", "recall"] == 30  # of a share, those that it is of
    assert (found["prevalence"] == 0.5).all()
    assert {"auc", "calibration_intercept", "precision"} <= set(found["metric"])


def test_a_table_without_any_outcome_says_what_is_expected():
    with pytest.raises(DataError, match=r"no film has an outcome(.|\n)*severity or Prognosis"):
        hospitals.by_outcome(films([None, None]))


def test_the_hospital_to_leave_out_is_a_name_the_largest_or_none():
    table = pd.DataFrame({"site": ["A", "B", "B", "A", "A"], "patient": [1, 2, 3, 4, 4]})
    assert hospitals.to_leave_out(table, "largest") == "A"
    table.loc[4, ["site", "patient"]] = ["B", 5]
    assert hospitals.to_leave_out(table, "largest") == "B"
    assert hospitals.to_leave_out(table, "A") == "A"
    assert hospitals.to_leave_out(table, "none") == ""
    assert hospitals.to_leave_out(table.assign(site="A"), "largest") == ""
