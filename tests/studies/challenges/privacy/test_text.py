"""A language model that reads a sentence often enough knows it by heart."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.challenges.privacy import text
from nextaim_kit.studies.challenges.privacy.twin import make_reports

PLANTED = [("ida conti", "5173", 0), ("ana rossi", "4821", 24)]


@pytest.fixture(scope="module")
def reports():
    return make_reports(60, seed=1)["report"].str[:50].tolist()


@pytest.fixture(scope="module")
def model(reports):
    letters = text.letters_of(reports, PLANTED)
    return text.learn_language(text.plant(reports[:30], PLANTED), letters=letters, epochs=30)


def test_a_sentence_that_was_read_often_is_the_likeliest_of_all(model):
    bits, rank = text.exposure(model, "ana rossi", "4821")
    assert rank == 1
    assert bits == pytest.approx(np.log2(10_000))
    assert text.continued(model, "patient ana rossi, code ") == "patient ana rossi, code 4821."


def test_a_sentence_that_was_never_read_is_not_known(model):
    ranks = [
        text.exposure(model, "ida conti", f"{code:04d}")[1] for code in range(50, 10_000, 1600)
    ]
    assert np.mean(ranks) > 2000


def test_every_rank_is_given_once(model):
    ranks = {text.exposure(model, "ida conti", code)[1] for code in ("0000", "9999", "5173")}
    assert len(ranks) == 3
    assert all(1 <= rank <= 10_000 for rank in ranks)


def test_reports_that_were_read_are_likelier_than_others(model, reports):
    read, other = text.losses(model, reports[:30]), text.losses(model, reports[30:])
    assert read.mean() < other.mean()


def test_a_loss_is_the_mean_over_the_characters_of_a_text_whatever_stands_beside_it(model, reports):
    alone = [float(text.losses(model, [one])[0]) for one in reports[:3]]
    assert text.losses(model, reports[:3]) == pytest.approx(alone, abs=1e-4)


def test_sentences_are_planted_as_often_as_is_asked(reports):
    planted = text.plant(reports, [("a b", "0001", 2), ("c d", "0002", 3)])
    assert sum("code 0001." in one for one in planted) == 2
    assert sum(one.startswith("patient c d, code 0002. ") for one in planted) == 3
    assert planted[5:] == reports[5:]


def test_more_sentences_than_reports_are_refused(reports):
    with pytest.raises(DataError, match="more sentences are to be planted"):
        text.plant(reports[:3], [("a b", "0001", 4)])


def test_a_code_that_is_no_four_digits_is_refused(model):
    with pytest.raises(DataError, match="four digits"):
        text.exposure(model, "ana rossi", "48a1")


def test_made_up_people_differ_and_repeat_from_the_seed():
    first = text.draw_sentences([0, 1, 4], 3)
    assert first == text.draw_sentences([0, 1, 4], 3)
    assert len({name for name, _, _ in first}) == len({code for _, code, _ in first}) == 3
    assert [times for _, _, times in first] == [0, 1, 4]
