"""Recall against false marks on two images, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.breast_masses.detectors import froc
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, Pictures

A, B, NOWHERE = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)
ONE = np.ones((1, 2))


def marks(*rows):
    return pd.DataFrame([(r, *box, s) for r, box, s in rows], columns=["row", *BOX, "score"])


MASSES = pd.DataFrame({
    "row": [0, 0], **{name: [A[k], B[k]] for k, name in enumerate(BOX)},
    "patient": ["P1", "P1"], "lesion": ["m1", "m2"], "diameter_mm": [10.0, 30.0],
    "margin": ["spiculated", ""],
})  # fmt: skip
IMAGES = pd.DataFrame({"patient": ["P1", "P2"], "masses": [2, 0], "density": [1, 4]})
# Twice on A, a false one, on B, a false one.
MARKS = marks((0, A, 0.9), (0, A, 0.8), (1, NOWHERE, 0.7), (0, B, 0.6), (0, NOWHERE, 0.5))
SEEN = Pictures(IMAGES, np.zeros((2, 64, 64), np.float32), MASSES, np.full(2, np.nan))


@pytest.fixture
def judged():
    return froc.judge(MARKS, MASSES, SEEN.spacing, "IoU 0.5")


def test_a_second_mark_on_a_mass_is_neither_a_hit_nor_false(judged):
    assert judged.false.tolist() == [False, False, True, False, True]
    assert judged.found_at.tolist() == [0.9, 0.6]
    false, recall = froc.curve(judged)
    assert false.tolist() == [0, 0, 0, 0.5, 0.5, 1]
    assert recall.tolist() == [0, 0.5, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize(("per_image", "expected"), [(0, 0.5), (0.25, 0.5), (0.5, 1), (4, 1)])
def test_recall_at_so_many_false_marks_is_that_by_hand(judged, per_image, expected):
    assert froc.recalls_at(judged, [per_image])(ONE)[0, 0] == expected


def test_a_normal_image_that_is_drawn_more_often_costs_more(judged):
    often = np.array([[1.0, 3.0]])  # 3 false marks in 4 images by the time B is found
    assert froc.recalls_at(judged, [0.5])(often)[0, 0] == 0.5
    assert froc.recalls_at(judged, [0.75])(often)[0, 0] == 1


def test_average_precision_is_that_by_hand(judged):
    assert froc.average_precision(judged)(ONE)[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_marks_of_one_score_are_taken_together():
    tied = froc.judge(marks((0, NOWHERE, 0.5), (0, A, 0.5)), MASSES, SEEN.spacing, "IoU 0.5")
    assert froc.average_precision(tied)(ONE)[0] == pytest.approx(0.5 * 0.5)
    assert froc.recalls_at(tied, [0.25])(ONE)[0, 0] == 0


def test_a_mark_that_hits_two_masses_finds_both_and_counts_once_for_precision():
    wide = MASSES.assign(x0=[0, 1], y0=[0, 1], x1=[10, 11], y1=[10, 11])
    both = froc.judge(marks((0, A, 0.9)), wide, SEEN.spacing, "IoU 0.5")
    assert both.found_at.tolist() == [0.9, 0.9]
    assert both.single.tolist() == [True]
    assert froc.recalls_at(both, [0])(ONE)[0, 0] == 1


def test_the_threshold_lies_between_the_last_allowed_false_mark_and_the_next(judged):
    assert froc.threshold_for(judged, 0.5) == pytest.approx(0.55)
    assert froc.threshold_for(judged, 0.0) == pytest.approx(0.75)
    assert froc.threshold_for(judged, 1.0) == 0


def test_no_threshold_is_low_enough_where_the_best_mark_is_false():
    wrong = froc.judge(marks((1, NOWHERE, 0.9), (0, A, 0.5)), MASSES, SEEN.spacing, "IoU 0.5")
    assert froc.threshold_for(wrong, 0.25) == np.inf


def test_without_any_mark_nothing_is_found():
    none = froc.judge(marks(), MASSES, SEEN.spacing, "center")
    assert froc.recalls_at(none, [4])(ONE)[0, 0] == 0
    assert froc.average_precision(none)(ONE)[0] == 0
    assert froc.threshold_for(none, 1) == 0


def test_all_is_told_at_the_threshold_with_intervals():
    table = froc.evaluate(MARKS, SEEN, 0.65, n_boot=50)
    at = table[table["rule"] == "IoU 0.5"].set_index(["metric", "group"])
    assert at.loc[("recall", "all"), "value"] == 0.5
    assert at.loc[("recall", "below 15 mm"), "value"] == 1
    assert at.loc[("recall", "25 mm or more"), "value"] == 0
    assert at.loc[("recall", "spiculated margin"), "n"] == 1
    assert at.loc[("recall", "density 1 or 2"), "n"] == 2
    assert at.loc[("false_marks", "all"), "value"] == 0.5
    assert at.loc[("false_marks_normal", "all"), "value"] == 1
    assert at.loc[("recall_at_0.5", "all"), "value"] == 1
    assert (table["low"].fillna(0) <= table["value"]).all()


def test_a_mass_found_in_one_of_two_views_is_found_in_the_breast():
    masses = MASSES.assign(row=[0, 1], lesion="m1", **{k: A[n] for n, k in enumerate(BOX)})
    images = IMAGES.assign(patient="P1", masses=1)
    one = Pictures(images, SEEN.pictures, masses, SEEN.spacing)
    table = froc.evaluate(marks((0, A, 0.9)), one, 0.5, n_boot=0)
    at = table[table["rule"] == "center"].set_index("metric")["value"]
    assert at["recall"].iloc[0] == 0.5
    assert at["recall_per_breast"] == 1


def test_a_cohort_without_a_mass_has_false_marks_only():
    none = Pictures(IMAGES.assign(masses=0), SEEN.pictures, MASSES[:0], SEEN.spacing)
    table = froc.evaluate(MARKS, none, 0.65, n_boot=10)
    assert set(table["metric"]) == {"false_marks", "false_marks_normal"}


def test_names_of_metrics_tell_the_rule():
    named = froc.named(froc.evaluate(MARKS, SEEN, 0.65, n_boot=0))
    assert {"recall", "recall_iou25", "recall_center", "recall_dbtex", "ap"} <= set(named["metric"])
    assert not named["metric"].duplicated().any()
