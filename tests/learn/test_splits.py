"""Folds hold whole patients, are alike in outcome, and come back with their seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.splits import leave_one_site_out, patient_folds, rotations


def cohort(patients=80, rows=1, sites=2) -> pd.DataFrame:
    """As many patients of each label at each site as can be; each patient has `rows` rows."""
    number = np.arange(patients)
    table = pd.DataFrame(
        {
            "subject": [f"P{k:03d}" for k in number],
            "site": [f"S{k % sites}" for k in number],
            "label": number // sites % 2,
        }
    )
    return table.loc[np.repeat(number, rows)].reset_index(drop=True)


def subjects(table, rows) -> set[str]:
    return set(table["subject"].iloc[rows])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("by", [("label",), ("label", "site")])
def test_a_patient_is_never_on_both_sides_and_every_row_is_tested_once(rows, by):
    table = cohort(rows=rows)
    split = patient_folds(table, 5, seed=0, by=by)
    for train, test in split:
        assert not subjects(table, train) & subjects(table, test)
        assert sorted([*train, *test]) == list(range(len(table)))
    assert sorted(np.concatenate([test for _, test in split])) == list(range(len(table)))


def test_patients_with_unequal_numbers_of_rows_stay_whole():
    rng = np.random.default_rng(0)
    table = cohort(60)
    table = table.loc[np.repeat(table.index, rng.integers(1, 6, 60))].sample(frac=1, random_state=0)
    for train, test in patient_folds(table, 5, seed=3):
        assert not subjects(table, train) & subjects(table, test)
        assert table["label"].iloc[test].mean() == pytest.approx(table["label"].mean(), abs=0.1)


def test_folds_are_alike_in_label():
    table = cohort().assign(label=[1] * 20 + [0] * 60)
    for _, test in patient_folds(table, 5, seed=0):
        assert table["label"].iloc[test].sum() == 4
        assert len(test) == 16


def test_folds_are_alike_in_label_and_site():
    table = cohort()
    for _, test in patient_folds(table, 5, seed=0, by=("label", "site")):
        counts = table.iloc[test].groupby(["label", "site"]).size()
        assert counts.tolist() == [4, 4, 4, 4]


def test_a_stratum_smaller_than_the_folds_is_merged_within_its_class():
    table = cohort()
    rare = table.index[table["label"] == 1][:3]
    table.loc[rare, "site"] = "rare"
    split = patient_folds(table, 5, seed=0, by=("label", "site"))
    assert [table["label"].iloc[test].sum() for _, test in split] == [8] * 5


def test_rows_without_a_unique_index_are_split_by_position():
    table = cohort()
    expected = patient_folds(table, 5, seed=0)
    found = patient_folds(table.set_axis([7] * 80), 5, seed=0)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("rows", [1, 2])
def test_the_same_seed_gives_the_same_folds_and_another_seed_others(rows):
    table = cohort(rows=rows)
    first, again, other = (
        [test.tolist() for _, test in patient_folds(table, 5, seed=seed)] for seed in (4, 4, 5)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("column", ["label", "site"])
def test_a_class_with_fewer_patients_than_folds_is_refused_with_its_name(column):
    table = cohort().astype({"label": object})
    table.loc[:3, column] = "rare"
    with pytest.raises(DataError, match=f"{column} rare cannot be in every one of 5 folds") as said:
        patient_folds(table, 5, seed=0, by=(column,))
    assert "at most 4 folds" in str(said.value)


def test_many_rows_of_few_patients_do_not_make_a_class_large_enough():
    table = cohort(rows=4)
    table["label"] = (table["subject"] < "P003").astype(int)
    with pytest.raises(DataError, match="label 1 cannot be in every one of 4 folds"):
        patient_folds(table, 4, seed=0)


def test_patients_of_both_labels_who_cannot_be_spread_over_the_folds_are_refused():
    table = pd.DataFrame({"subject": list("ABBCCD"), "label": [1, 1, 0, 0, 1, 0]})
    with pytest.raises(DataError, match=r"fold \d is without label 0"):
        patient_folds(table, 3, seed=0)


@pytest.mark.parametrize("column", ["label", "site", "subject"])
def test_a_row_without_label_site_or_patient_is_refused(column):
    table = cohort().astype({"label": object})
    table.loc[:1, column] = None
    with pytest.raises(DataError, match=f"2 rows have no {column}"):
        patient_folds(table, 5, seed=0, by=("label", "site"))


def test_labels_of_one_class_are_refused():
    with pytest.raises(DataError, match="label is the same in all rows"):
        patient_folds(cohort().assign(label=1), 5, seed=0)


@pytest.mark.parametrize(
    ("n_splits", "by", "said"),
    [(1, ("label",), "at least 2 folds"), (5, ("label", "scanner"), "no column 'scanner'")],
)
def test_a_request_for_one_fold_or_an_unknown_column_is_refused(n_splits, by, said):
    with pytest.raises(RequestError, match=said):
        patient_folds(cohort(), n_splits, seed=0, by=by)


def test_each_site_is_left_out_once_and_never_trained_on():
    table = cohort(rows=2, sites=4)
    split = leave_one_site_out(table)
    assert list(split) == ["S0", "S1", "S2", "S3"]
    for name, (train, test) in split.items():
        assert set(table["site"].iloc[test]) == {name}
        assert name not in set(table["site"].iloc[train])
        assert sorted([*train, *test]) == list(range(len(table)))


def test_scanners_of_one_institution_are_left_out_together():
    table = cohort(sites=4).assign(institution=lambda t: t["site"].replace({"S3": "S2"}))
    split = leave_one_site_out(table, column="institution")
    assert list(split) == ["S0", "S1", "S2"]
    assert set(table["site"].iloc[split["S2"][1]]) == {"S2", "S3"}
    assert not {"S2", "S3"} & set(table["site"].iloc[split["S2"][0]])


def test_a_patient_seen_at_two_sites_is_in_neither_training_part():
    table = cohort(sites=3)
    table.loc[1, "subject"] = "P000"
    split = leave_one_site_out(table)
    assert "P000" not in subjects(table, split["S0"][0]) | subjects(table, split["S1"][0])
    assert {0, 1} <= set(split["S2"][0])


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda t: t.assign(site="S0"), DataError, "no site to leave out"),
        (lambda t: t.assign(site=[None, *t["site"][1:]]), DataError, "1 rows have no site"),
        (lambda t: t.drop(columns="site"), RequestError, "no column 'site' to split by"),
        (lambda t: t.drop(columns="subject"), RequestError, "no column 'subject' to split by"),
    ],
)
def test_no_site_can_be_left_out_of_one_or_of_rows_without(change, error, said):
    with pytest.raises(error, match=said):
        leave_one_site_out(change(cohort()))


@pytest.mark.parametrize("rows", [1, 3])
def test_patients_without_a_class_stay_whole_and_every_row_is_tested_once(rows):
    table = cohort(patients=23, rows=rows).drop(columns=["site", "label"])
    split = patient_folds(table, 5, seed=0, by=())
    for train, test in split:
        assert not subjects(table, train) & subjects(table, test)
        assert sorted([*train, *test]) == list(range(len(table)))
        assert 4 <= len(subjects(table, test)) <= 5
    assert sorted(np.concatenate([test for _, test in split])) == list(range(len(table)))
    other = patient_folds(table, 5, seed=1, by=())
    assert [test.tolist() for _, test in split] != [test.tolist() for _, test in other]


def test_fewer_patients_than_folds_are_refused_however_many_rows_they_have():
    with pytest.raises(DataError, match="4 patients cannot make 5 folds"):
        patient_folds(cohort(patients=4, rows=3), 5, seed=0, by=())


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("by", [(), ("label",)])
def test_each_fold_is_tested_once_validated_once_and_trained_on_else(n, by):
    table = cohort(rows=2)
    parts = patient_folds(table, n, seed=0, by=by)
    found = rotations(parts)
    for k, (train, val, test) in enumerate(found):
        assert test.tolist() == parts[k][1].tolist()
        assert val.tolist() == parts[(k + 1) % n][1].tolist()
        assert sorted([*train, *val, *test]) == list(range(len(table)))
        assert not subjects(table, train) & subjects(table, val)
    for part in (1, 2):
        rows = np.concatenate([rotation[part] for rotation in found])
        assert sorted(rows) == list(range(len(table)))


def test_two_folds_leave_nothing_to_train_on_and_are_refused():
    with pytest.raises(RequestError, match=r"at least 3 folds(.|\n)*2"):
        rotations(patient_folds(cohort(), 2, seed=0))
