"""Strangers are told apart where they differ, and two numbers know nothing of what has theirs."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.challenges.reliability import strangers
from nextaim_kit.studies.challenges.reliability.spoiling import Scale, spoiled


def test_two_numbers_find_noisy_images_and_deep_detectors_shifted_ones(learned):
    task, parts, model = learned["image"]
    scale = Scale.of(task, parts.known)
    inputs = {name: spoiled(task, parts.test, name, 5, scale) for name in ("noise", "exposure")}
    guards = strangers.detectors(model, task, parts.known)
    found = strangers.told_apart(guards, task.x[parts.test], inputs, n_boot=50)
    auc = found.set_index(["strangers", "name"])["value"]
    assert auc["noise", strangers.BASELINE] > 0.99
    assert auc["exposure", "Mahalanobis"] > 0.8


def test_those_who_are_no_strangers_are_not_told_apart(learned):
    task, parts, model = learned["table"]
    guards = strangers.detectors(model, task, parts.known)
    found = strangers.told_apart(guards, task.x[parts.test], {"held": task.x[parts.held]})
    assert ((found["low"] < 0.55) & (found["high"] > 0.45)).all()
    base = found[found["name"] == strangers.BASELINE]
    assert (base[["above", "above_low", "above_high"]] == 0).all(axis=None)


def test_the_distance_of_a_normal_sample_is_chi_square_and_the_nearest_mean_counts():
    rng = np.random.default_rng(0)
    known = np.concatenate([rng.normal(0, 1, (3000, 4)), rng.normal(9, 1, (3000, 4))])
    far = strangers.Distance(known, np.repeat([0, 1], 3000))
    assert far(rng.normal(9, 1, (3000, 4))).mean() == pytest.approx(4, rel=0.07)
    assert far(np.full((1, 4), 4.5))[0] > 40


def test_the_energy_of_one_logit_is_its_confidence_of_the_other_sign(learned):
    task, parts, model = learned["table"]
    guards = strangers.detectors(model, task, parts.known)
    x = task.x[parts.test]
    assert np.allclose(guards["energy"](x), -np.abs(model.logits(x)))


def test_matched_images_have_the_means_and_spreads_of_the_others():
    rng = np.random.default_rng(1)
    x, like = rng.gamma(2, 3, (6, 1, 8, 8)), rng.normal(5, 2, (9, 1, 8, 8))
    found = strangers.matched(x.astype(np.float32), like.astype(np.float32))
    for of in ("mean", "std"):
        wanted = getattr(like, of)((1, 2, 3))
        got = getattr(found, of)((1, 2, 3))
        assert np.abs(got[:, None] - wanted).min(axis=1).max() < 1e-4


def test_a_table_has_no_other_study_s_columns_and_says_so(table):
    scale = Scale.of(table, np.arange(len(table)))
    found, out = strangers.strange_inputs(table, np.arange(30), scale, 10)
    assert out["name"].tolist() == ["another study", "unseen finding"]
    assert len(found) == 8


def test_another_study_s_images_are_brought_to_size(images):
    scale = Scale.of(images, np.arange(len(images)))
    found, out = strangers.strange_inputs(images, np.arange(10), scale, 12)
    assert out.empty
    other = found["another study"]
    assert other.shape[1:] == images.x.shape[1:]
    same = found["another study, same mean and SD"]
    assert same.shape == other.shape


def test_an_unseen_finding_lies_where_the_image_holds_something_and_is_as_wide_as_asked():
    x = np.zeros((8, 1, 64, 64), np.float32)
    x[..., 20:60, 20:60] = np.random.default_rng(0).normal(5, 1, (8, 1, 40, 40))
    wide = [(strangers.with_finding(x, radius) != x).sum((1, 2, 3)) for radius in (1 / 16, 1 / 8)]
    assert (wide[0] > 0).all()
    assert wide[1].mean() > 2 * wide[0].mean()
    changed = strangers.with_finding(x, 1 / 8) != x
    assert not changed[..., :20, :].any()
    assert (strangers.with_finding(x, 1 / 8) >= x).all()
    assert np.array_equal(strangers.with_finding(x, 1 / 8), strangers.with_finding(x, 1 / 8))


def test_strangers_have_a_panel_for_each_detector_and_say_their_ends(learned):
    from nextaim_kit.show.style import alt_of

    task, parts, model = learned["image"]
    inputs = {"ring": strangers.with_finding(task.x[parts.test], 1 / 4)}
    guards = strangers.detectors(model, task, parts.known)
    found = strangers.told_apart(guards, task.x[parts.test], inputs, n_boot=50)
    figure = strangers.apart_picture(found)
    assert [axis.get_title("left") for axis in figure.axes] == list(guards)
    assert f"{strangers.BASELINE} {found['value'].iloc[0]:.2f}" in alt_of(figure)
