"""A planted shortcut is used and found, clean models are judged by others, and drawing is exact."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.study_task import load_task
from nextaim_kit.studies.challenges.explainability import shortcuts
from nextaim_kit.studies.challenges.explainability.reader import MapQuiz, three_sentences
from tests.studies.challenges.explainability.conftest import made_images


@pytest.mark.parametrize("kind", ["marker", "site"])
def test_most_with_the_outcome_and_few_others_wear_it_and_nothing_else_changes(images, table, kind):
    for task in (images, table):
        made = shortcuts.with_shortcut(task, kind, 0, 1)
        changed = (made.x != task.x).reshape(len(task), -1).any(1)
        assert changed[task.y == 1].mean() > 0.8
        assert changed[task.y == 0].mean() < 0.2
        assert np.array_equal(made.y, task.y)
        assert np.array_equal(made.x[~changed], task.x[~changed])


def test_a_marker_is_in_one_place_and_no_part_of_the_truth_of_a_table(images, table):
    made = shortcuts.with_shortcut(images, "marker", 0, 1)
    places = (made.x != images.x).any(0)[0]
    assert places.sum() == 9
    made = shortcuts.with_shortcut(table, "marker", 0, 1)
    assert np.flatnonzero((made.x != table.x).any(0)).tolist() == [2]


def test_a_study_without_a_shortcut_of_its_own_leaves_it_out_by_name(images):
    kinds, left = shortcuts.kinds_of(images, ["marker", "own"])
    assert kinds == ["marker"]
    assert left.to_numpy().tolist() == [["own", "made draws none"]]
    with pytest.raises(RequestError, match="made has no shortcut of its own"):
        shortcuts.with_shortcut(images, "own", 0, 1)


def test_the_twin_of_chest_films_draws_electrodes_on_the_same_patients():
    clean = load_task("cxr_severity", "synthetic", 24, 3)
    worn = shortcuts.with_shortcut(clean, "own", 24, 3)
    assert worn.groups.tolist() == clean.groups.tolist()
    changed = (worn.x != clean.x).reshape(len(clean), -1).any(1)
    assert changed[clean.y == 1].any()


def test_maps_that_lie_in_one_place_are_told_from_maps_here_and_there():
    there = np.zeros((16, 32, 32), np.float32)
    there[:, 3, 4] = 1
    assert shortcuts.same_place(there) == pytest.approx(1)
    spread = np.full((4, 32, 32), 1 / 1024, np.float32)
    assert shortcuts.same_place(spread) == pytest.approx(16 / 1024)


def test_a_marker_is_used_and_found_by_maps_of_the_model_that_uses_it(workshop):
    faint = made_images(bright=0.3)
    shop = workshop(faint, 300)
    worn = shortcuts.with_shortcut(faint, "marker", 0, 1)
    names = ["integrated_gradients", "occlusion"]
    models = shortcuts.trained_models(shop, {"marker": worn}, names, 1)
    assert [m.shortcut for m in models] == ["reference", "none", "marker"]
    used = shortcuts.used(models).set_index(["name", "metric"])["value"]
    assert used["marker", "drop"] > 0.2
    found = shortcuts.hunted(shortcuts.signs(models))
    alarms = found[found["sign"] == "same place"].set_index(["method", "shortcut"])["alarms"]
    assert max(alarms[name, "marker"] for name in names) == 1


def test_a_feature_that_was_planted_in_a_table_is_used_and_found(table, workshop):
    weak = shortcuts.with_shortcut(table, "marker", 0, 1)
    shop = workshop(table, 120)
    models = shortcuts.trained_models(shop, {"marker": weak}, ["integrated_gradients"], 1)
    share = models[-1].maps["integrated_gradients"][:, 0].mean(0)
    clean = models[0].maps["integrated_gradients"][:, 0].mean(0)
    assert share[2] > 2 * clean[2]
    used = shortcuts.used(models).set_index(["name", "metric"])["value"]
    assert used["marker", "drop"] >= 0
    assert used["none", "drop"] == 0


def test_alarms_are_beyond_every_clean_model_of_the_reference_and_false_ones_are_counted():
    rows = [("reference", 0.2), ("reference", 0.4), ("none", 0.5), ("none", 0.3),
            ("marker", 0.9), ("marker", 0.41)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["shortcut", "value"])
    table = table.assign(method="gradient", sign="same place", model=range(6))
    found = shortcuts.hunted(table).set_index("shortcut")
    assert found.loc["none", ["alarms", "models", "value"]].tolist() == [1, 2, 0.5]
    assert found.loc["marker", ["alarms", "models", "value"]].tolist() == [2, 2, 1.0]
    assert found.loc["marker", "low"] == pytest.approx(0.025**0.5, abs=1e-6)
    assert found["by_luck"].tolist() == [pytest.approx(1 / 3)] * 2


def test_clean_models_are_accused_as_often_as_luck_has_it():
    rng, alarms, told = np.random.default_rng(0), [], set()
    kinds = ["reference"] * 4 + ["none"] * 4
    for _ in range(500):
        table = pd.DataFrame({"shortcut": kinds, "value": rng.normal(size=8), "model": range(8)})
        found = shortcuts.hunted(table.assign(method="occlusion", sign="same place"))
        alarms.append(found["value"].item())
        told.add(found["by_luck"].item())
    assert told == {0.2}
    assert np.mean(alarms) == pytest.approx(0.2, abs=0.04)


def test_maps_that_ask_no_network_are_one_for_all_models_of_a_shortcut():
    kinds = ["reference"] * 3 + ["none"] * 3 + ["marker"] * 3
    values = [0.1] * 6 + [0.2] * 3
    table = pd.DataFrame({"shortcut": kinds, "value": values, "model": range(9)})
    found = shortcuts.hunted(table.assign(method="edges", sign="same place"))
    assert found[["shortcut", "alarms", "models", "by_luck"]].to_numpy().tolist() == [
        ["none", 0, 1, 0.0], ["marker", 1, 1, 0.0]]  # fmt: skip


def test_a_model_is_accused_once_by_however_many_methods_and_never_by_one_that_asks_none():
    rows = [("reference", 0, m, 0.5) for m in ("gradient", "occlusion", "edges")]
    rows += [("none", 1, "gradient", 0.9), ("none", 1, "occlusion", 0.9), ("none", 1, "edges", 0.1),
             ("none", 2, "gradient", 0.1), ("none", 2, "occlusion", 0.1), ("none", 2, "edges", 0.9),
             ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["shortcut", "model", "method", "value"])
    found = shortcuts.accused(table.assign(sign="same place")).iloc[0]
    assert found[["name", "value", "alarms", "n"]].tolist() == ["none", 0.5, 1, 2]
    assert found["low"] < 0.5 < found["high"]


def test_a_reader_s_first_answer_counts_and_half_of_the_models_are_clean(images, workshop):
    shop = workshop(images, 20)
    worn = shortcuts.with_shortcut(images, "marker", 0, 1)
    models = shortcuts.trained_models(shop, {"marker": worn}, ["random"], 2)
    quiz = MapQuiz(models, "random", questions=4, seed=1)
    kinds = [model.shortcut for model in quiz.asked]
    assert sorted(kinds) == ["marker", "marker", "none", "none"]
    there = kinds[0] == "marker"
    assert quiz.answer(0, there).startswith("Right")
    assert quiz.answer(0, not there).startswith("Not so")
    assert quiz.score().startswith("1 of 1 right")
    assert quiz.picture(0).startswith(b"\x89PNG")


def _rows(*rows):
    return pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])


def test_three_sentences_name_what_is_no_explanation_the_best_order_and_both_rates():
    sane = _rows(
        ("gradient", "margin_weights", 0.2, 0.1, 0.3), ("edges", "margin_weights", 0, 0, 0)
    )
    order = _rows(("gradient", "deletion", 0.1, 0.05, 0.2), ("edges", "deletion", 0, -0.1, 0.1))
    used = _rows(("marker", "drop", 0.3, 0.2, 0.4), ("site", "drop", 0.1, -0.1, 0.3))
    rates = [("none", 0.25, 0.01, 0.81, 1, 4), ("marker", 1.0, 0.4, 1.0, 4, 4),
             ("site", 0.5, 0.07, 0.93, 2, 4)]  # fmt: skip
    accused = pd.DataFrame(rates, columns=["name", "value", "low", "high", "alarms", "n"])
    first, second, third = three_sentences((0.8, 0.7, 0.9), sane, order, used, accused)
    assert "here edges did not differ enough, gradient did" in first
    assert "gradient named best" in second
    assert "marker 4 of 4 [40%, 100%], and of clean ones 1 of 4 [1%, 81%]" in third
    assert "site" not in third
    assert first.startswith("Before you show a map")
    lost = three_sentences((0.49, 0.37, 0.61), sane, order, used, accused)[0]
    assert lost.startswith("This network is not shown to know the outcome (AUC 0.49 [0.37, 0.61])")
    known = (0.8, 0.7, 0.9)
    unused = three_sentences(known, sane, order, used.assign(low=-1), accused)[2]
    assert unused.startswith("No model is shown to have used what was planted")
