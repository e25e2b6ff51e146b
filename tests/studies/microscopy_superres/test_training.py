"""Generators learn by L1 and against a judge, and a kill in any stage changes no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.loop import Loop
from nextaim_kit.studies.microscopy_superres import training
from nextaim_kit.studies.microscopy_superres.networks import Features
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.training import (
    Patches,
    Set,
    Size,
    at_scale,
    predict,
    train_gan,
    train_psnr,
)

SMALL = Size(4, features=8, blocks=1, growth=4, edge=32, judge=4, batch=4)


@pytest.fixture(scope="module")
def fields(lines):
    """Pairs of lines, each of another field."""
    drawn = [lines(24, seed=k) for k in range(4)]
    return [Pair(f"f{k}", wide, fine, 4, 100.0) for k, (fine, wide) in enumerate(drawn)]


@pytest.fixture(scope="module")
def sets(fields):
    return [Set(name, fields[k : k + 2], fields[3:], 6) for k, name in enumerate("AB")]


def weights(fitted):
    return torch.cat([p.ravel() for p in fitted.net.parameters()]).detach()


class Killed(Exception):
    """The end of a process."""


@pytest.fixture
def killed(monkeypatch):
    """A function that ends a training in an epoch of its own, counted over all stages."""
    keep = Loop.on_validation_epoch_end

    def arrange(last):
        ended = []

        def ends(loop):
            keep(loop)
            ended.append(loop.current_epoch)
            if len(ended) == last:
                raise Killed

        monkeypatch.setattr(Loop, "on_validation_epoch_end", ends if last else keep)

    return arrange


@pytest.mark.parametrize("epoch", [2, 4])
@pytest.mark.parametrize("way", ["l1", "gan"])
def test_a_curriculum_that_is_killed_in_a_stage_ends_with_the_same_numbers(
    tmp_path, sets, killed, monkeypatch, way, epoch
):
    monkeypatch.setattr(training, "_EPOCH", 3)  # two epochs a stage

    def run(name):
        if way == "l1":
            return train_psnr(sets, SMALL, folder=tmp_path / name, seed=1)
        begun = SMALL.generator()
        torch.nn.init.zeros_(begun.last.bias)
        with torch.no_grad():
            for k, p in enumerate(begun.parameters()):
                p.copy_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(k)))
        return train_gan(sets, SMALL, begun, folder=tmp_path / name, seed=1)

    whole = run("whole")
    killed(epoch)
    with pytest.raises(Killed):
        run("killed")
    killed(0)
    again = run("killed")
    assert all(torch.equal(weights(a), weights(b)) for a, b in zip(whole, again, strict=True))
    assert not torch.equal(weights(whole[0]), weights(whole[1]))


def test_a_generator_learns_more_than_to_be_black(tmp_path, fields):
    size = replace(SMALL, batch=8, pixel="l2")
    one = Set("A", fields[:3], fields[3:], 60)
    (found,) = train_psnr([one], size, folder=tmp_path, rate=2e-3)
    checked = Patches(fields[3:], size, 32, chance=False)
    black = np.mean([float((checked[k][1] ** 2).mean()) for k in range(32)])
    assert found.history["val_psnr"].iloc[-1] > -10 * np.log10(black) + 0.2
    image = predict(found.net, fields[3].widefield)
    assert image.shape == fields[3].storm.shape
    assert np.corrcoef(image.ravel(), fields[3].storm.ravel())[0, 1] > 0.2


def test_a_judge_and_features_have_losses_of_their_own(tmp_path, sets):
    options = {"folder": tmp_path, "features": Features(width=4), "memory": 2.0}
    found = train_gan(sets[:1], SMALL, SMALL.generator(), **options)
    assert {"loss_l1", "loss_perceptual", "loss_fools", "loss_judge"} <= set(found[0].history)


def test_patches_are_the_same_place_of_both_images(fields):
    one = replace(fields[0], widefield=np.arange(576, dtype=np.float32).reshape(24, 24))
    fine = np.kron(training.normalized(one.widefield), np.ones((4, 4)))
    part = Patches([replace(one, storm=fine.astype(np.float32))], SMALL, 20)
    for coarse, wanted in (part[k] for k in range(20)):
        assert torch.allclose(wanted[:, ::4, ::4], coarse)


def test_fields_without_structure_and_no_steps_are_refused(fields, sets, tmp_path):
    with pytest.raises(DataError, match="no field has a patch with structure"):
        Patches([replace(fields[0], storm=0 * fields[0].storm)], SMALL, 4)
    with pytest.raises(RequestError, match="nothing is learned from A"):
        train_psnr([replace(sets[0], steps=0)], SMALL, folder=tmp_path)


@pytest.mark.parametrize(("scale", "wanted"), [(4, 4), (4, 2), (2, 4), (5, 4)])
def test_images_of_another_scale_keep_their_place(scale, wanted):
    ramp = np.tile((np.arange(20 * scale) + 0.5) / scale, (20 * scale, 1)).astype(np.float32)
    moved = at_scale(ramp, scale, wanted)
    assert moved.shape == (20 * wanted, 20 * wanted)
    expected = (np.arange(20 * wanted) + 0.5) / wanted
    np.testing.assert_allclose(moved[0, 2:-2], expected[2:-2], atol=0.03)


def test_judging_is_relative_to_the_mean_of_the_others():
    real, made = torch.tensor([2.0, 2.0]), torch.tensor([-1.0, -1.0])
    assert training.relativistic(real, made) == pytest.approx(np.log1p(np.exp(-3.0)), abs=1e-6)
    assert training.fooling(real, made) == pytest.approx(np.log1p(np.exp(3.0)), abs=1e-6)
