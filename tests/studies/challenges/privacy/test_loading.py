"""The made-up register, and tables of one's own in its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.privacy import linking, loading, twin


def test_a_patient_is_the_same_whatever_the_number_of_others():
    few, many = twin.make_table(12, seed=5), twin.make_table(30, seed=5)
    pd.testing.assert_frame_equal(few, many[: len(few)])
    assert not few.equals(twin.make_table(12, seed=6))


def test_the_twin_says_more_of_a_person_by_two_films_than_chance():
    table, measures = loading.load_visits("synthetic", 100, 2024)
    first, second, _ = linking.two_readings(table, measures)
    assert len(measures) == 30
    assert (linking.places(first, second) == 1).mean() > 10 / 100


def test_the_twins_patients_are_of_both_outcomes_at_every_site():
    counts = twin.people(200).groupby(["site", "label"]).size()
    assert len(counts) == 6
    assert counts.min() > 10


def test_films_are_of_one_patient_with_its_site_and_outcome():
    visits = loading.film_visits(10, 1)
    assert visits.x.shape == (30, 1, 48, 40)
    assert np.unique(visits.groups, return_counts=True)[1].tolist() == [3] * 10
    assert len(set(zip(visits.groups, visits.sites, visits.y, strict=True))) == 10
    assert len(set(visits.subjects)) == 30


def test_a_table_of_ones_own_gives_its_numbers_without_identity_age_and_gaps(tmp_path):
    rows = pd.DataFrame({
        "subject": ["a1", "a2"], "patient": ["a", "a"], "site": "X", "label": [0, 0],
        "age": [50, 51], "size": [1.5, 2.5], "gap": [1.0, None],
    })  # fmt: skip
    rows.to_csv(tmp_path / "own.csv", index=False)
    assert loading.load_visits(str(tmp_path / "own.csv"), 0, 0)[1] == ["size"]


def test_a_table_without_patients_is_refused(tmp_path):
    (tmp_path / "own.csv").write_text("subject,site,label,size\na,X,0,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column patient"):
        loading.load_visits(str(tmp_path / "own.csv"), 0, 0)


def test_an_empty_report_is_named_and_refused(tmp_path):
    text = "subject,patient,site,label,report\na,a,X,0,Normal.\nb,b,X,1,\n"
    (tmp_path / "own.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="b has no report"):
        loading.load_reports(str(tmp_path / "own.csv"), 0, 0)


def test_a_study_of_another_modality_is_refused(monkeypatch):
    x = np.zeros((4, 2), np.float32)
    made = StudyTask("made", "table", x, [0, 1, 0, 1], list("abcd"), list("AABB"),
                     pd.DataFrame(x, columns=["p", "q"]), lambda seed: None)  # fmt: skip
    monkeypatch.setattr(loading, "load_task", lambda *_: made)
    with pytest.raises(RequestError, match="made offers no image"):
        loading.load_study("made", "synthetic", 4, 0, "image")
    assert loading.load_study("made", "synthetic", 4, 0, "table") is made


def test_measures_are_no_quasi_identifiers_whatever_their_names():
    table = twin.make_table(20)
    measures = [name for name in table if name.startswith(("left_", "right_"))]
    told = loading.quasi_columns(table, measures)
    assert list(told.columns) == ["age", "height_cm", "sex", "site", "town"]
    assert len(told) == 20


def test_parts_hold_every_patient_once_and_whole():
    groups = np.repeat(np.arange(12), 2)
    found = loading.parts(groups, (1, 1, 4), 0)
    assert [len(rows) for rows in found] == [4, 4, 16]
    assert sorted(np.concatenate(found)) == [*range(24)]
    assert not set(groups[found[0]]) & set(groups[found[1]])
