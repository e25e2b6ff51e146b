import pandas as pd
import pytest

from nextaim_kit import RequestError
from nextaim_kit.show.style import alt_of
from nextaim_kit.studies.report_structuring import figures, methods
from nextaim_kit.studies.report_structuring.baselines import classical
from nextaim_kit.studies.report_structuring.schema import Field, Template

TEMPLATE = Template(
    name="one",
    title={"en": "one"},
    sections={"18782-3": {"en": "Findings"}},
    fields=(Field(key="side", label={"en": "side"}, choices=("right", "left")),),
)
CLEAN = pd.DataFrame({"text": ["a destra", "a sinistra"] * 20, "side": ["right", "left"] * 20})
WRONG = CLEAN.assign(side=["left", "right"] * 20)
FITS = {
    "majority": lambda table: classical.fit_majority(table, TEMPLATE),
    "TF-IDF": lambda table: classical.fit_tfidf(table, TEMPLATE),
}


@pytest.fixture(scope="module")
def found():
    trainings = [("labels", 0.0, CLEAN), ("labels", 1.0, WRONG)]
    return methods.surface(trainings, [10, 40, 500], FITS, CLEAN, TEMPLATE, n_boot=50)


def test_a_smaller_training_set_is_part_of_a_larger_one():
    few, more = (methods.first_reports(CLEAN.reset_index(), n, seed=1) for n in (5, 20))
    assert set(few["index"]) < set(more["index"])
    with pytest.raises(RequestError, match="so large"):
        methods.first_reports(CLEAN, 41)


def test_who_learns_from_wrong_labels_answers_wrong_and_the_majority_knows_no_words(found):
    value = found.set_index(["rate", "reports", "name", "metric"])["value"]
    assert value[0, 40, "TF-IDF", "accuracy"] == 1
    assert value[1, 40, "TF-IDF", "exact_match"] == 0
    assert value[0, 40, "majority", "accuracy"] == 0.5


def test_side_by_side_the_numbers_are_the_same(found):
    trainings = [("labels", 0.0, CLEAN), ("labels", 1.0, WRONG), ("texts", 0.0, CLEAN)]
    more = methods.surface(trainings, [10, 40], FITS, CLEAN, TEMPLATE, n_boot=50, side_by_side=True)
    pd.testing.assert_frame_equal(more[more["noise"] == "labels"], found)
    clean = more[more["rate"] == 0].groupby("noise")["value"].agg(list)
    assert clean["labels"] == clean["texts"]


def test_sizes_that_a_training_set_does_not_have_are_left_out(found):
    assert set(found["reports"]) == {10, 40}


def test_each_training_set_meets_each_test_set():
    both = {"right": CLEAN, "wrong": WRONG}
    table = methods.across(both, FITS, both, TEMPLATE, n_boot=50)
    value = table.set_index(["trained", "tested", "name", "metric"])["value"]
    assert value["right", "right", "TF-IDF", "accuracy"] == 1
    assert value["right", "wrong", "TF-IDF", "accuracy"] == 0
    assert len(table) == 2 * 2 * 2 * 2


def test_the_surface_s_figure_says_where_each_line_begins_and_ends(found):
    picture = figures.quality_surface(found)
    assert "TF-IDF, labels 0: 1.00 to 1.00" in alt_of(picture)


def test_a_report_is_wrapped_at_words_and_its_spans_are_marked():
    text = "Vetro smerigliato bilaterale. " * 8
    lines = figures.wrapped(text)
    assert all(end - start <= 90 for start, end in lines)
    assert " ".join(text[a:b] for a, b in lines) == text.strip()
    picture = figures.report_picture(text, {"ggo": [(0, 17), (30, 47)]})
    assert "2 places marked as evidence of 1 fields" in alt_of(picture)


def test_fields_stand_by_methods_in_the_order_in_which_they_came():
    rows = [("side", "f1", 0.5, "b"), ("side", "f1", 0.9, "a"), ("side", "accuracy", 0.1, "a")]
    table = pd.DataFrame(rows, columns=["scope", "metric", "value", "name"])
    wide = figures.by_method(table, "f1", ["side"])
    assert wide.loc["side"].tolist() == [0.5, 0.9]
    picture = figures.fields_by_methods(wide, label="F1")
    assert alt_of(picture) == "F1 of 1 fields by method; mean: b 0.50; a 0.90."
