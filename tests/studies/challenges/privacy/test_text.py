"""A language model that reads a sentence often enough knows it by heart."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.studies.challenges.privacy import text
from nextaim_kit.studies.challenges.privacy.training import Training
from nextaim_kit.studies.challenges.privacy.twin import make_reports

PLANTED = [("ida conti", "5173", 0), ("ana rossi", "4821", 24)]


@pytest.fixture(scope="module")
def reports():
    return make_reports(60, seed=1)["report"].str[:50].tolist()


@pytest.fixture(scope="module")
def model(reports):
    letters = text.letters_of(reports, PLANTED)
    read = text.plant(reports[:30], PLANTED)
    return text.learn_language(read, letters=letters, how=Training(30, 16, 0.003))


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


def test_likelier_codes_have_the_higher_ranks(model):
    codes = [f"{code:04d}" for code in range(0, 10_000, 911)]
    rows = model.encoded([text.sentence("ida conti", code)[:-1] for code in codes])[:, :-1]
    with torch.no_grad():
        unlikely = text._by_letter(model.net, rows)[:, -4:].sum(dim=1).numpy()
    ranks = [text.exposure(model, "ida conti", code)[1] for code in codes]
    assert np.argsort(unlikely).tolist() == np.argsort(ranks).tolist()


def test_a_private_model_does_not_know_a_sentence_and_says_what_it_spent(reports):
    letters = text.letters_of(reports, PLANTED)
    how = Training(6, 16, 0.01, epsilon=4.0)
    read = text.plant(reports[:30], [("ana rossi", "4821", 1)])
    one, again = (text.learn_language(read, letters=letters, how=how) for _ in range(2))
    assert one.epsilon == pytest.approx(4, abs=0.05)
    assert one.delta == pytest.approx(0.1 / 30)
    assert text.exposure(one, "ana rossi", "4821")[0] < 8
    assert np.array_equal(text.losses(one, read[:2]), text.losses(again, read[:2]))


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_the_gradient_of_a_text_is_its_own_whatever_stands_beside_it(reports):
    from opacus import GradSampleModule

    letters = text.letters_of(reports, PLANTED)
    plain = text._network(len(letters) + 1, 16)
    rows = text.Language(plain, letters).encoded(reports[:4])
    net = GradSampleModule(deepcopy(plain))
    text._by_letter(net, rows).nanmean(dim=1).mean().backward()
    text._by_letter(plain, rows[:1]).nanmean(dim=1).mean().backward()
    for together, alone in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(together.grad_sample[0], alone.grad, atol=1e-5)


def test_a_long_sentence_is_kept_where_it_stands_first_and_short_ones_stay():
    long = "patient ana rossi, code 4821"
    texts = [f"{long}. heart normal. a.", f"{long}. heart normal. b.", long]
    kept = text.without_repeats(texts)
    assert kept == [texts[0], "heart normal. b.", long]
