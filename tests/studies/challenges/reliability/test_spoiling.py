"""Spoiled inputs are spoiled as said, more at a higher severity, and the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.challenges.reliability.judged import Fitted
from nextaim_kit.studies.challenges.reliability.spoiling import (
    SEVERITIES,
    SPOILS,
    Scale,
    robustness,
    spoiled,
    usable,
)


def made(task, name, severity, rows=None):
    rows = np.arange(40) if rows is None else rows
    return spoiled(task, rows, name, severity, Scale.of(task, np.arange(len(task))))


@pytest.mark.parametrize("name", SPOILS)
def test_a_severer_one_is_farther_from_what_it_was_and_the_same_again(learned, name):
    task = learned[SPOILS[name].modality][0]
    rows = np.arange(40)
    if name == "missing":
        far = [np.isnan(made(task, name, s)).mean() for s in SEVERITIES]
    else:
        far = [np.abs(made(task, name, s) - task.x[rows]).mean() for s in SEVERITIES]
    assert far[0] > 0
    assert all(np.diff(far) > 0)
    assert np.array_equal(made(task, name, 3), made(task, name, 3), equal_nan=True)


def test_what_is_for_the_other_kind_is_left_out_by_name_and_refused(table, images):
    for task, other in ((table, "blur"), (images, "scanner")):
        used, out = usable(task)
        assert sorted([*used["name"], *out["name"]]) == sorted(SPOILS)
        assert other in out["name"].tolist()
        with pytest.raises(RequestError, match=f"cannot be spoiled by '{other}'"):
            made(task, other, 1)
    with pytest.raises(RequestError, match="no severity 6"):
        made(images, "blur", 6)


def test_an_image_is_spoiled_alike_in_whatever_company(images):
    alone = made(images, "metal", 4, np.array([7]))
    assert np.array_equal(made(images, "metal", 4, np.arange(10))[7], alone[0])


def test_truncation_takes_a_side_of_the_share_that_is_said(images):
    low = images.x.min()
    gone = (made(images, "truncation", 5) == low)[:, 0]
    share = np.maximum(gone.all(1).mean(1), gone.all(2).mean(1))
    assert np.allclose(share, round(0.4 * 16) / 16)


def test_images_that_a_study_standardizes_one_by_one_are_so_after_they_are_spoiled(images):
    inside = np.zeros((16, 16), bool)
    inside[3:14, 2:12] = True
    x = np.zeros_like(images.x)
    for image, whole in zip(x[:, 0], images.x[:, 0], strict=True):
        image[inside] = (whole[inside] - whole[inside].mean()) / whole[inside].std()
    task = replace(images, x=x)
    assert Scale.of(task, np.arange(20)).alone
    assert not Scale.of(images, np.arange(20)).alone
    for name in ("exposure", "noise", "metal"):
        found = made(task, name, 4)[:, 0]
        assert np.abs(found[:, inside].mean(1)).max() < 1e-5
        assert found[:, inside].std(1) == pytest.approx(1, abs=1e-4)
        assert not found[:, ~inside].any()


def test_a_scanner_shifts_all_patients_alike(table):
    off = made(table, "scanner", 4) - table.x[:40]
    assert np.allclose(off, off[0], atol=1e-5)
    assert np.abs(off[0]).min() > 0


def test_rounding_leaves_steps(table):
    scale = Scale.of(table, np.arange(len(table)))
    steps = made(table, "rounding", 5) / (2.5 * scale.spread)
    assert np.allclose(steps, np.round(steps), atol=1e-4)


@pytest.mark.parametrize("kind", ["table", "image"])
def test_robustness_tells_what_noise_takes_with_an_interval(learned, kind):
    task, parts, model = learned[kind]
    fitted = Fitted.on(task.y[parts.held], model.logits(task.x[parts.held]))
    scale = Scale.of(task, parts.known)
    found = robustness(model, fitted, task, parts.test, scale, n_boot=50)
    assert len(found) == 5 * len(usable(task)[0])
    assert (found["lost_low"] <= found["lost"]).all()
    assert found["coverage"].between(0, 1).all()
    lost = found.set_index(["name", "severity"])["lost"]
    if kind == "table":
        assert lost["jitter", 5] > lost["jitter", 1]
