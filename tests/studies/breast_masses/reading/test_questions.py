"""Readers of explanations: what they see, and that the arithmetic finds what was put there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.breast_masses.prototypes.crops import cut
from nextaim_kit.studies.breast_masses.reading import questions
from nextaim_kit.studies.breast_masses.simulated_readers import (
    LOOK,
    Panel,
    made_up_pairs,
    simulated_answers,
)
from nextaim_kit.studies.breast_masses.twin import make_twin


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return made_up_pairs(tmp_path_factory.mktemp("pairs") / "pairs.npz", 12)


@pytest.fixture(scope="module")
def crops():
    return cut(make_twin(30, look=LOOK, marker="none", seed=2024)).crops


def found(answers, pairs, question, group):
    table = questions.against_wrong_aid(answers, pairs, n_boot=300).set_index(["name", "group"])
    return table.loc[(question, group)]


def test_every_case_is_in_a_true_pair_and_in_a_wrong_one_of_the_same_class_and_box(pairs):
    for _, both in pairs.table.groupby("image"):
        assert sorted(both["wrong_aid"]) == [False, True]
        assert both["prototype_label"].nunique() == 1
        boxes = pairs.source_boxes[both.index]
        assert len({tuple(box[2:] - box[:2]) for box in boxes}) == 1


def test_a_reader_sees_nothing_that_tells_the_wrong_aid(pairs):
    shown = [questions.picture(pairs, name) for name in pairs.table["pair"]]
    assert len({pixels.shape for pixels, _ in shown}) == 1
    names = pairs.table["pair"]
    (text,) = {text.replace(name, "") for (_, text), name in zip(shown, names, strict=True)}
    assert not [word for word in ("wrong", "true", "class", "prototype") if word in text]


def test_the_box_is_drawn_where_the_patch_is(pairs):
    pixels, _ = questions.picture(pairs, pairs.table["pair"][0])
    rows, columns = np.nonzero((pixels[:, :256] == (255, 214, 0)).all(axis=2))
    top, left, bottom, right = (pairs.boxes[0] * 256 / 112).round()
    assert (rows.min(), columns.min()) == (top, left)
    assert (rows.max(), columns.max()) == (bottom - 1, right - 1)


def test_the_patches_stand_side_by_side_between_the_crops(pairs):
    pixels, _ = questions.picture(pairs, pairs.table["pair"][0])
    assert pixels.shape == (256, 4 * 256 + 3 * 8, 3)
    top, left, bottom, right = pairs.source_boxes[0]
    shown, patch = pixels[:, 528:784].mean(), pairs.source[0, top:bottom, left:right].mean()
    assert shown == pytest.approx(patch, abs=2)


def test_true_pairs_share_the_margin_and_wrong_aids_lie_away_from_the_mass(pairs, crops):
    known = crops.table.set_index("subject")
    of = {name: k for k, name in enumerate(known.index)}
    for k, row in pairs.table.iterrows():
        mask = crops.masks[of[row["source"]]]
        top, left, bottom, right = pairs.source_boxes[k]
        share = mask[top:bottom, left:right].mean()
        assert known["patient"][row["image"]] == row["subject"] != known["patient"][row["source"]]
        assert share == 0 if row["wrong_aid"] else 0 < share < 1
        same = known["margin"][row["image"]] == known["margin"][row["source"]]
        assert same or row["wrong_aid"]


def test_few_readers_are_said_to_stand_for_no_others(pairs):
    said = [questions.resampled(simulated_answers(pairs, Panel(n))) for n in (2, 3)]
    assert said[0].startswith("patients alone")
    assert said[1] == "readers and patients"


def test_a_panel_that_sees_no_difference_gets_none_and_another_gets_what_is_there(pairs):
    for gap in (0.0, 3.0):
        given = simulated_answers(pairs, Panel(6, gap))
        one = found(given, pairs, "similar", "difference")
        assert (one["low"] > 0) == (gap > 0)
        assert one["low"] <= one["value"] <= one["high"]


def test_the_difference_is_what_a_table_by_hand_says(pairs):
    given = simulated_answers(pairs)
    wrong = pairs.table.set_index("pair")["wrong_aid"]
    one = given[given["question"] == "meaning"]
    means = (one["answer"] / 2).groupby(one["item"].map(wrong)).mean()
    value = found(given, pairs, "meaning", "difference")["value"]
    assert value == pytest.approx(means[False] - means[True])


def test_readers_without_noise_or_leniency_agree_wholly(pairs):
    given = simulated_answers(pairs, Panel(4, 2.0, leniency=0, noise=0))
    agrees = questions.agreement(given, pairs, n_boot=50)
    assert agrees["value"].to_numpy() == pytest.approx(1)


def test_an_answer_is_the_same_whoever_else_reads(pairs):
    few, many = (simulated_answers(pairs, Panel(n)) for n in (3, 5))
    pd.testing.assert_frame_equal(few, many[many["reader"] <= "simulated-03"])


def test_one_reader_has_a_difference_and_no_kappa(pairs):
    given = simulated_answers(pairs, Panel(1))
    assert questions.agreement(given, pairs, n_boot=50).empty
    assert np.isfinite(found(given, pairs, "similar", "difference")["value"])


def test_pairs_are_ranked_by_their_ratings_wrong_aids_apart(pairs):
    rated = questions.by_prototype(simulated_answers(pairs), pairs, "similar")
    assert len(rated) == 12
    assert not rated["wrong_aid"].any()
    assert rated["rating"].is_monotonic_decreasing


def test_the_page_keeps_answers_by_the_pairs_and_the_reader(pairs, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTAIM_DATA", str(tmp_path))
    page = questions.page_for(pairs, "ann")
    page.choices["similar"].value = "partly"
    kept = tmp_path / "ratings/breast_masses" / pairs.key / "ann.json"
    assert kept.is_file()
    again = questions.page_for(pairs, "ann", str(kept.parent))
    assert again.answers.given == {page.item: {"similar": "partly"}}


def test_a_panel_of_nobody_is_refused():
    with pytest.raises(RequestError, match="no panel"):
        Panel(readers=0)
