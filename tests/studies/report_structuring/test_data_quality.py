"""The notebook of data quality: its exercises, and that nothing of a person gets into its run."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.runs.request import prepare
from nextaim_kit.runs.runner import execute
from nextaim_kit.studies.report_structuring import twin
from nextaim_kit.studies.report_structuring.quality import agreement, label_errors
from nextaim_kit.studies.report_structuring.reading import cohorts
from nextaim_kit.studies.report_structuring.reading.identifiers import mask
from nextaim_kit.studies.report_structuring.reading.tidy import tidied

FLAWS = twin.Quality(typos=0.02, copy_paste=0.1, identifiers=0.5, template_errors=0.05)


@pytest.fixture(scope="module")
def flawed():
    """The echocardiography set with all its flaws."""
    return twin.make_set("echo", quality=FLAWS)


def planted_in(made):
    """Names, dates of birth and codes that were planted, word by word."""
    texts = made.table.set_index("subject")["text"]
    spans = [texts[s][a:b] for s, of in made.truth["identifiers"].items() for a, b in of]
    found = [re.findall(r"\d\d/\d\d/\d{4}|\b[A-Z]{6}\d\w{9}\b", span) for span in spans]
    names = [re.search(r"(?:Sig\.(?:ra)?|Mrs?\.?|Ms\.?) (\w+ [\w']+)", span) for span in spans]
    return {word for of in found for word in of} | {name[1] for name in names if name}


@pytest.mark.parametrize(
    ("exercise", "names", "right", "wrong"),
    [
        (1, {}, 20.3, 385.7),
        (2, {}, 0.76, 0.70),
        (3, {}, 0.52941, 0.8),
        (4, {"read": np.array([0, 1, 2, 3, 90]), "met": np.array([0, 0.25, 0.25, 0.5, 1])}, 3, 2),
    ],
)
def test_an_exercise_tells_right_from_wrong(said, exercise, names, right, wrong):
    name = f"report_structuring/data_quality {exercise}"
    assert said(name, right, **names).startswith("Correct")
    assert not said(name, wrong, **names).startswith("Correct")


def test_planted_names_dates_and_codes_are_covered(flawed):
    planted = planted_in(flawed)
    assert len(planted) > 100
    shown = "\n".join(mask(text) for text in flawed.table["text"])
    assert not [word for word in planted if word in shown]


def test_synthetic_texts_need_no_tidying(flawed):
    assert all(tidied(text) == (text, ()) for text in flawed.table["text"])


def test_what_the_twin_writes_to_a_table_is_read_back_the_same(flawed, tmp_path):
    path = tmp_path / "referti.csv"
    flawed.table.to_csv(path, index=False, sep=";", decimal=",")
    read = cohorts.load_reports(str(path))
    known = cohorts.known_reports(flawed.table, flawed.template, flawed.values)
    assert read.failures.empty
    pd.testing.assert_frame_equal(read.values, known.values, check_names=False)
    pd.testing.assert_frame_equal(read.second, known.second, check_names=False)
    assert read.table["text"].tolist() == flawed.table["text"].tolist()
    assert read.table.groupby("group")["split"].nunique().max() == 1


def test_errors_of_an_annotator_are_found_far_above_chance_and_habits_are_not(flawed):
    known = cohorts.known_reports(flawed.table, flawed.template, flawed.values)
    errors = label_errors.planted(known.values, known.clean, known.template)
    found = label_errors.recovered(
        label_errors.suspects(known.table, known.template), errors, known.template
    ).iloc[0]
    assert found["recall"] > 0.65
    assert found["precision"] > 7 * len(errors) / known.values.size
    habit = label_errors.spoiled(known.clean, known.template, 0.03, systematic=True)
    table = known.table.assign(**{key: habit[key].to_numpy() for key in habit})
    wrong = label_errors.planted(habit, known.clean, known.template)
    missed = label_errors.recovered(
        label_errors.suspects(table, known.template), wrong, known.template
    ).iloc[0]
    assert len(wrong) == pytest.approx(0.03 * habit.size, rel=0.5)
    assert missed["recall"] < 0.2


def test_the_second_annotator_agrees_as_two_with_a_few_errors_do(flawed):
    known = cohorts.known_reports(flawed.table, flawed.template, flawed.values)
    kappa, low, high = agreement.mean_kappa(known.values, known.second, known.template, n_boot=100)
    assert 0.7 < low < kappa < high < 1


@pytest.mark.rest
@pytest.mark.notebook
def test_nothing_of_a_person_is_in_a_run_of_the_notebook():
    record, _ = execute(prepare("report_structuring/data_quality", "smoke", {"persons": "0.6"}))
    flaws = twin.Quality(typos=0.02, copy_paste=0.1, identifiers=0.6, template_errors=0.05)
    planted = planted_in(twin.make_set("hospital_1", quality=flaws))
    folder = prepare("report_structuring/data_quality", "smoke", {"persons": "0.6"}).folder
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert record["outcome"] == "complete"
    assert len(planted) > 200
    assert len(files) > 10
    for path in files:
        content = path.read_text(encoding="utf-8", errors="ignore")
        assert not [word for word in planted if word in content], path.name
