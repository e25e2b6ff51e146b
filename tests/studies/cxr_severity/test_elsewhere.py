"""An external cohort stands behind the first one, whole or named, and is only tested."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.cxr_severity.clinical_values import read_clinical
from nextaim_kit.studies.cxr_severity.elsewhere import joined
from nextaim_kit.studies.cxr_severity.preprocessing import load_even
from nextaim_kit.studies.cxr_severity.severity import Inputs
from nextaim_kit.studies.cxr_severity.twin import make_twin


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Inputs of the first half of a small twin, and the table of the other half."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXTAIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        table = make_twin(24, size=64, workers=1)
    table["patient"] = table["subject"]
    here = table.index % 4 < 2  # patients of both outcomes on both sides
    first, other = table[here].reset_index(drop=True), table[~here].reset_index(drop=True)
    films, _, _ = load_even(first, 32, inverted=first["truth_inverted"])
    numbers, used, _ = read_clinical(first)
    return Inputs(first, films, numbers[used]), other


def written(table, folder, **changes) -> str:
    table.assign(**changes).to_csv(folder / "cohort.csv", index=False)
    return str(folder)


def ask(halves, spec, **options):
    given = {"masked": False, "folds": 3, "seed": 1} | options
    both, rotation, problems = joined(spec, halves[0], **given)
    # The first half's films lie in the same folder.
    return both, rotation, problems[~problems["problem"].str.contains("without a row")]


def test_the_other_cohort_is_tested_and_the_first_one_trains_and_validates(halves, tmp_path):
    first, other = halves
    both, (train, val, test), problems = ask(halves, written(other, tmp_path))
    assert both.table["subject"].iloc[test].tolist() == other["subject"].tolist()
    assert sorted([*train, *val]) == list(range(len(first.table)))
    assert not set(both.patients[train]) & set(both.patients[val])
    assert both.films.shape == (24, 32, 32)
    assert list(both.numbers) == list(first.numbers)
    assert problems.empty
    np.testing.assert_array_equal(both.films[: len(first.films)], first.films)


def test_what_cannot_be_tested_or_is_not_there_is_named(halves, tmp_path):
    first, other = halves
    patient = other["patient"].where(other.index > 0, first.patients[0])
    strange = other.drop(columns="CRP").assign(patient=patient, Temp_C=99.5)
    both, (_, _, test), problems = ask(halves, written(strange, tmp_path))
    assert len(test) == len(other) - 1
    said = problems.groupby("subject")["problem"].first()
    assert "in the first cohort" in said[other["subject"][0]]
    assert "°F" in said[other["subject"][1]]
    assert "no column CRP" in set(problems["problem"])
    assert both.numbers["CRP"].iloc[test].isna().all()


def test_films_without_lungs_are_left_out_only_where_lungs_are_looked_at(halves, tmp_path):
    _, other = halves
    spec = written(other, tmp_path, lungs=other["lungs"].where(other.index > 1, ""))
    assert len(ask(halves, spec)[1][2]) == len(other)
    _, (_, _, test), problems = ask(halves, spec, masked=True)
    assert len(test) == len(other) - 2
    assert set(problems["subject"]) == set(other["subject"][:2])


def test_the_twin_is_no_other_cohort(halves):
    with pytest.raises(DataError, match="no other cohort than itself"):
        ask(halves, "synthetic")


def test_a_cohort_of_the_same_patients_is_refused(halves, tmp_path):
    table = pd.DataFrame(halves[0].table)
    with pytest.raises(DataError, match="no film of the cohort can be used"):
        ask(halves, written(table, tmp_path))
