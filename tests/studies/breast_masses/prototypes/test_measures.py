"""Measures of prototypes on maps made by hand, whose values are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nextaim_kit.studies.breast_masses.prototypes import measures
from nextaim_kit.studies.breast_masses.prototypes.measures import (
    Seen,
    about,
    activation_box,
    consistency,
    faithfulness,
    parts_within,
    peaks_of,
    purity,
    scaled_edge,
    specialization,
    stability,
)
from nextaim_kit.studies.breast_masses.prototypes.parts import parts_of
from nextaim_kit.studies.breast_masses.prototypes.protopnet import ProtoPNet, contributions

SIZE, CELLS, N = 56, 14, 20


def peaked(cell: tuple[int, int]) -> torch.Tensor:
    """A map that is 1 in a cell and falls off around it."""
    along = torch.arange(CELLS)
    away = (along[:, None] - cell[0]) ** 2 + (along[None] - cell[1]) ** 2
    return torch.exp(-away / 4)


def disk(radius: float, at: float = SIZE / 2) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - at
    return np.hypot(y, x) <= radius


@pytest.fixture
def seen() -> Seen:
    """20 crops with the mass in the middle; prototype 0 sees it, prototype 1 a corner."""
    maps = torch.stack([torch.stack([peaked((7, 7)), peaked((0, 0))])] * N)
    parts = parts_of(np.stack([disk(10)] * N))
    y = np.arange(N) % 2
    return Seen(maps, parts, y, np.arange(N), np.array([0, 1]), np.array([0, 1]))


def test_a_peak_is_the_middle_of_its_cell():
    assert peaks_of(peaked((3, 12))[None, None], SIZE).tolist() == [[[14, 50]]]


def test_squares_are_those_published_scaled_to_the_crop():
    assert (scaled_edge(72, 224), scaled_edge(72, 112), scaled_edge(32, 112)) == (72, 36, 16)


def test_parts_within_a_square_are_counted_as_by_hand():
    parts = np.zeros((1, 8, 8), np.uint8)
    parts[0, :4] = 1  # upper half: mass
    parts[0, 7, 7] = 3  # one pixel: marker
    at = np.array([[[2, 2], [6, 6]]])
    found = parts_within(parts, at, 4)
    assert found[0, 0].tolist() == [False, True, False, False]
    # Half of 16 pixels would be needed of `outside`; the marker lies in it as a whole.
    assert found[0, 1].tolist() == [True, False, False, True]


def test_only_the_prototype_of_the_mass_is_consistent(seen):
    (value, low, high), by_chance = consistency(seen, n_boot=50)
    assert (value, low, high) == (0.5, 0.5, 0.5)
    assert by_chance <= 0.5


def test_purity_less_chance_is_large_for_the_mass_and_below_0_for_a_corner(seen):
    mass = purity(replace(seen, kept=np.array([0])), permutations=100)
    corner = purity(replace(seen, kept=np.array([1])), permutations=100)
    assert mass[0] == 1
    assert mass[1][1] > 0.3
    assert corner[0] == 0
    assert corner[1][0] < 0


def test_prototypes_of_no_knowledge_have_no_purity_of_their_own(seen):
    torch.manual_seed(0)
    blind = replace(seen, maps=torch.rand(N, 2, CELLS, CELLS))
    _, (gain, low, high) = purity(blind, permutations=200)
    assert low <= 0 <= high
    assert abs(gain) < 0.2


def test_a_prototype_of_one_category_is_special(seen):
    margin = np.where(np.arange(N) < 10, "spiculated", "circumscribed")
    maps = seen.maps.clone()
    maps[:10] *= 2  # most similar where spiculated
    value, (gain, low, _), coverage = specialization(
        replace(seen, maps=maps), margin, top=5, permutations=100
    )
    assert value == 1
    assert low > 0
    assert gain == pytest.approx(1 - 0.67, abs=0.1)
    assert coverage == 0.5
    assert np.isnan(specialization(seen, np.array([""] * N))[0])


@pytest.fixture(scope="module")
def net() -> ProtoPNet:
    torch.manual_seed(0)
    return ProtoPNet(2, 8, width=0.125, cut="layer1").eval()


def of(net, n=6):
    torch.manual_seed(1)
    films = torch.rand(n, 1, SIZE, SIZE) * 2 - 1
    parts = parts_of(np.stack([disk(10)] * n))
    return films, Seen.of(net, films, parts, np.arange(n) % 2, np.arange(n))


def test_without_noise_every_prototype_is_stable(net, monkeypatch):
    films, seen = of(net)
    monkeypatch.setattr(measures, "_NOISE", 0.0)
    assert stability(net, films, seen, n_boot=50)[0] == 1


def test_noise_is_drawn_from_the_seed(net):
    films, seen = of(net)
    found = [stability(net, films, seen, n_boot=50, seed=s)[0] for s in (1, 1)]
    assert found[0] == found[1] <= 1


def test_the_box_holds_the_top_twentieth_of_the_map():
    top, bottom, left, right = activation_box(peaked((7, 3)), SIZE)
    assert top <= 30 < bottom
    assert left <= 14 < right
    assert (bottom - top) * (right - left) < 0.15 * SIZE**2


def test_the_box_on_a_lone_spot_is_what_the_prediction_is_lost_with(net, monkeypatch):
    films = -torch.ones(6, 1, SIZE, SIZE)
    films[:, :, 26:30, 26:30] = 1.0
    maps = torch.stack([torch.stack([peaked((6, 6))] * 4)] * 6)
    classes = net.classes
    seen = Seen(maps, parts_of(np.stack([disk(9)] * 6)), np.ones(6, int), np.arange(6), classes,
                np.arange(4))  # fmt: skip
    bright = lambda net, films: films.amax((1, 2, 3)).double().numpy()  # noqa: E731
    added = contributions(net, torch.from_numpy(seen.strength)).sum(1).numpy()
    monkeypatch.setattr(measures, "_odds", bright)
    gain, low, _ = faithfulness(net, films, seen, draws=20, n_boot=50)
    assert np.allclose(added, 0, atol=1e-6)
    assert gain > 0.5
    assert low > 0


def test_a_box_is_about_the_marker_the_mass_or_neither():
    parts = parts_of(disk(10)[None].repeat(3, 0), disk(4, at=8)[None].repeat(3, 0))
    boxes = [(2, 14, 2, 14), (20, 36, 20, 36), (44, 56, 0, 12)]
    assert about(parts, boxes) == ["marker", "mass", "background"]
