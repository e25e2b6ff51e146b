"""Evidence is what an answer falls without, whoever answers; chance and key words stand beside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.report_structuring.measures import Answers
from nextaim_kit.studies.report_structuring.record import evidence
from nextaim_kit.studies.report_structuring.schema import read_template

TEMPLATE = read_template("covid_ct_short")
GLASS, ONCE = "vetro smerigliato", "Un solo vetro smerigliato. Non versamento; tampone positivo."
TWICE = "Referto: Non versamento. Si apprezza vetro smerigliato. Conclusioni: vetro smerigliato."


class Reader:
    """Finds ground glass by its name, and says of every swab that it is positive."""

    def __init__(self, sure: float = 0.95) -> None:
        self.sure, self.asked = sure, []

    def answer(self, texts):
        self.asked.append(list(texts))
        keys = [field.key for field in TEMPLATE.fields]
        values = [TEMPLATE.empty() | {"pcr": "positive"} for _ in texts]
        for text, value in zip(texts, values, strict=True):
            value["ggo"] = "present" if GLASS in text else value["ggo"]
        sure = pd.DataFrame(self.sure, index=range(len(texts)), columns=keys)
        return Answers(pd.DataFrame(values), sure)


def evidence_of(texts, reader=None, way="both"):
    asked = evidence.Asked(reader or Reader(), texts, TEMPLATE)
    found = evidence.find_evidence(asked, evidence.sentence_scores(asked), way)
    return found.set_index(["row", "field"])


def quoted(text, spans):
    return [text[first:end] for first, end in spans]


@pytest.mark.parametrize("text", [ONCE, TWICE])
def test_the_words_that_an_answer_falls_without_are_its_evidence(text):
    found = evidence_of([text]).loc[(0, "ggo")]
    assert quoted(text, found["spans"]) == [GLASS]
    assert found["score"] > 0.4


def test_a_value_that_is_always_said_has_no_evidence():
    assert evidence_of([ONCE, TWICE])["score"].xs("pcr", level="field").tolist() == [0, 0]


def test_what_is_said_twice_is_not_found_by_leaving_one_out_but_alone():
    assert evidence_of([TWICE], way="left out")["score"][0, "ggo"] == 0
    assert evidence_of([TWICE], way="alone")["score"][0, "ggo"] > 0.8


@pytest.mark.parametrize("sure", [0.95, np.nan])
def test_a_method_without_confidence_is_taken_by_its_word(sure):
    found = evidence_of([ONCE], Reader(sure)).loc[(0, "ggo")]
    assert found["score"] == pytest.approx(0.9 if sure == sure else 1.0)


def test_only_what_is_stated_is_explained_and_each_variant_is_asked_once():
    reader = Reader()
    assert evidence_of([ONCE, ONCE], reader).index.get_level_values(1).unique().tolist() == [
        "ggo", "pcr",
    ]  # fmt: skip
    assert all(len(set(texts)) == len(texts) for texts in reader.asked[1:])
    assert all(text.strip() for texts in reader.asked for text in texts)


def test_a_texts_evidence_does_not_depend_on_the_others_nor_on_the_batch():
    alone = evidence_of([ONCE])
    beside = evidence_of([TWICE, ONCE])
    assert beside.loc[1].to_dict() == alone.loc[0].to_dict()
    asked = evidence.Asked(Reader(), [ONCE], TEMPLATE, batch=1)
    again = evidence.find_evidence(asked, evidence.sentence_scores(asked))
    assert again.set_index(["row", "field"]).equals(alone)


@pytest.mark.parametrize("text", [GLASS, "vetro smerigliato.", "…\n\nvetro smerigliato 5,2 cm"])
def test_a_text_of_one_sentence_has_evidence_within_it(text):
    found = evidence_of([text])["spans"][0, "ggo"]
    assert quoted(text, found) == [GLASS]


def test_sentences_keep_decimals_and_dates_whole():
    text = "DTD 5.2 cm, il 12.03.2020. FE: 55 %\n\nConclusioni:\nnella norma"
    assert quoted(text, evidence.sentences(text)) == [
        "DTD 5.2 cm, il 12.03.2020.", "FE:", "55 %", "Conclusioni:", "nella norma",
    ]  # fmt: skip


def test_the_nearest_key_word_points_at_a_field_s_label_and_else_at_the_first_word():
    asked = evidence.Asked(Reader(), [ONCE, "Altro. Nulla."], TEMPLATE)
    found = evidence.nearest_key_word(asked, TEMPLATE).set_index(["row", "field"])
    assert quoted(ONCE, found["spans"][0, "ggo"]) == [GLASS]
    assert quoted(ONCE, found["spans"][0, "pcr"]) == ["tampone"]
    assert (found["score"][1, "pcr"], found["spans"][1, "pcr"]) == (0, ((0, 5),))


def test_chance_points_into_some_sentence_and_repeats():
    asked = evidence.Asked(Reader(), [TWICE] * 3, TEMPLATE)
    one, other = evidence.any_sentence(asked, seed=1), evidence.any_sentence(asked, seed=1)
    assert one.equals(other)
    places = [evidence.sentences(TWICE)] * len(one)
    assert all(spans[0] in place for spans, place in zip(one["spans"], places, strict=True))


def test_perfect_evidence_has_perfect_measures_and_that_of_before_distracts():
    first = ONCE.index(GLASS)
    true, found = {"ggo": [(first, first + len(GLASS))]}, evidence_of([ONCE]).reset_index()
    held = evidence.against_truth(found, [ONCE], [true])
    assert held.to_dict("records") == [
        {"row": 0, "field": "ggo", "pointed": True, "overlap": 1.0, "distracted": False}
    ]
    moved = [{"ggo": [(0, 2)]}]
    off = evidence.against_truth(found, [ONCE], moved, [true])
    assert off[["pointed", "overlap", "distracted"]].iloc[0].tolist() == [False, 0.0, True]


def test_measures_have_intervals_and_fields_without_truth_are_left_out():
    found = evidence_of([ONCE] * 20).reset_index()
    true = {"ggo": [(0, 2)]}
    held = evidence.against_truth(found, [ONCE] * 20, [true] * 10 + [{}] * 10)
    table = evidence.pointing({"leave out": held}, n_boot=100).set_index("metric")
    assert len(held) == table["n"]["pointed"] == 10
    assert table["value"]["pointed"] == 0
    assert 0 < table["high"]["pointed"] < 0.4
