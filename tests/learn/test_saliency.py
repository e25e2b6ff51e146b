"""Grad-CAM lights what speaks for the outcome, and maps are measured by known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.saliency import (
    by_chance,
    energy_inside,
    faithfulness,
    grad_cam,
    pointing_hits,
)

BRIGHT, DARK = (slice(4, 10), slice(4, 10)), (slice(20, 28), slice(18, 26))


class Spots(nn.Module):
    """Bright spots speak for the outcome, dark ones against it; `turn` can swap them."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(2, 1)
        signs = torch.tensor([[1.0, -1.0]])
        with torch.no_grad():
            self.features[0].weight.copy_(signs.T[..., None, None].expand(2, 1, 3, 3) / 9)
            self.features[0].bias.zero_()
            self.head.weight.copy_(signs)

    def forward(self, films, turn=None):
        logit = self.head(self.features(films).mean((2, 3)))
        return logit if turn is None else logit * turn


def films(n=1, bright=1.0, dark=1.0):
    found = torch.zeros(n, 1, 32, 32)
    found[:, 0, *BRIGHT], found[:, 0, *DARK] = bright, -dark
    return found


def test_grad_cam_lights_the_patch_that_speaks_for_the_outcome():
    (found,) = grad_cam(Spots(), films(), layer="features")
    assert found.shape == (32, 32)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert found[BRIGHT].sum() > 0.6  # a blurred border lies around it
    assert found[2:13, 2:13].sum() == pytest.approx(1, abs=1e-5)


def test_where_nothing_speaks_for_the_outcome_the_map_is_empty():
    found = grad_cam(Spots(), films(bright=0), layer="features")
    assert not found.any()


def test_each_film_is_explained_with_the_values_beside_it_however_many_there_are():
    turn = torch.tensor([1.0, -1.0, -1.0])[torch.arange(40) % 3][:, None]
    found = grad_cam(Spots(), films(40), layer="features", turn=turn)
    for k in range(40):
        lit, out = (BRIGHT, DARK) if turn[k] > 0 else (DARK, BRIGHT)
        assert found[k][lit].sum() > 0.6, k
        assert found[k][out].sum() == 0, k


def test_the_network_gives_the_same_after_it_was_explained_and_keeps_no_hooks():
    net = Spots()
    before = net(films())
    grad_cam(net, films(), layer="features")
    assert torch.equal(net(films()), before)
    hooks = [h for m in net.modules() for h in (*m._forward_hooks, *m._backward_hooks)]
    assert hooks == []


def test_a_layer_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(DataError, match=r"no layer 'conv5'(.|\n)*features, head"):
        grad_cam(Spots(), films(), layer="conv5")


def test_energy_and_pointing_are_those_of_maps_made_by_hand():
    maps, region = np.zeros((4, 4, 4)), np.zeros((4, 4, 4), bool)
    region[:, :2, :2] = True
    maps[0, 0, 0], maps[0, 3, 3] = 3, 1
    maps[1, 0, 1], maps[1, 2, 2], maps[1, 3, 3] = 2, 2, 2
    maps[2] = 1
    assert energy_inside(maps, region) == pytest.approx([0.75, 1 / 3, 0.25, np.nan], nan_ok=True)
    assert pointing_hits(maps, region) == pytest.approx([1, 1 / 3, 0.25, np.nan], nan_ok=True)


def test_a_map_without_knowledge_has_the_energy_of_chance():
    rng = np.random.default_rng(0)
    region, within = rng.random((3, 20, 20)) < 0.3, rng.random((3, 20, 20)) < 0.6
    within[2] = False
    chance = by_chance(region, within)
    assert chance == pytest.approx(energy_inside(within, region), nan_ok=True)
    assert chance == pytest.approx([0.3, 0.3, np.nan], abs=0.06, nan_ok=True)


@pytest.mark.parametrize("measure", [energy_inside, pointing_hits])
@pytest.mark.parametrize("maps", [np.ones((2, 4, 5)), np.ones((4, 4)), -np.ones((2, 4, 4))])
def test_maps_of_another_size_or_below_zero_are_refused(measure, maps):
    with pytest.raises(DataError, match="maps and regions do not match"):
        measure(maps, np.ones((2, 4, 4), bool))


def test_the_right_map_deletes_sooner_and_inserts_sooner_than_its_reverse():
    region = np.zeros((8, 8), bool)
    region[2:6, 3:7] = True  # a quarter: its score is gone, or whole, after a quarter of the steps

    def predict(seen):
        return seen[:, 0, region].mean(1).numpy()

    seen, right = torch.ones(3, 1, 8, 8), np.broadcast_to(region, (3, 8, 8)).astype(float)
    for kind, first, last in (("deletion", 0.125, 0.875), ("insertion", 0.875, 0.125)):
        curves, areas = faithfulness(predict, seen, right, kind=kind, steps=16)
        assert areas == pytest.approx([first] * 3)
        assert curves.shape == (3, 17)
        ends = [1, 0] if kind == "deletion" else [0, 1]
        assert curves[0, [0, -1]].tolist() == ends
        assert faithfulness(predict, seen, 1 - right, kind=kind, steps=16)[1] == pytest.approx(last)


def test_what_is_taken_away_becomes_the_filling():
    curves, _ = faithfulness(
        lambda seen: seen.mean((1, 2, 3)).numpy(), torch.ones(1, 2, 4, 4), np.ones((1, 4, 4)),
        steps=4, fill=-1.0,
    )  # fmt: skip
    assert curves[0] == pytest.approx([1, 0.5, 0, -0.5, -1])


@pytest.mark.parametrize(("kind", "size"), [("erosion", 4), ("deletion", 5)])
def test_another_way_or_maps_of_another_size_are_refused(kind, size):
    with pytest.raises(DataError, match=f"no {kind} of "):
        faithfulness(lambda seen: seen, torch.ones(1, 1, 4, 4), np.ones((1, size, 4)), kind=kind)
