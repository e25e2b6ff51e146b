"""The two networks: numbers of weights as published, shapes, and what their numbers mean."""

from __future__ import annotations

import math

import pytest
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.detectors.yolo import (
    BINS,
    Yolo,
    anchored_boxes,
    cells,
    free_boxes,
)

# The published counts; those of generation 8 hold the 16 fixed numbers of its bins.
COUNTS = {
    ("v5", "n"): (1_872_157, 1_765_270), ("v5", "s"): (7_235_389, 7_022_326),
    ("v5", "m"): (21_190_557, 20_871_318), ("v8", "n"): (3_157_200, 3_011_043),
    ("v8", "s"): (11_166_560, 11_135_987), ("v8", "m"): (25_902_640, 25_856_899),
}  # fmt: skip
V5N = [1760, 4672, 4800, 18560, 29184, 73984, 156928, 295424, 296448, 164608,
       33024, 90880, 8320, 22912, 36992, 74496, 147712, 296448, 8118]  # fmt: skip
V8N = [464, 4672, 7360, 18560, 49664, 73984, 197632, 295424, 460288, 164608,
       148224, 37248, 36992, 123648, 147712, 493056, 751491]  # fmt: skip


def weights(module):
    return sum(w.numel() for w in module.parameters())


@pytest.mark.parametrize(("generation", "size"), COUNTS)
def test_a_network_has_as_many_weights_as_published(generation, size):
    fixed = BINS if generation == "v8" else 0
    found = tuple(weights(Yolo(generation, size, n)) + fixed for n in (80, 1))
    assert found == COUNTS[generation, size]


@pytest.mark.parametrize(("generation", "expected"), [("v5", V5N), ("v8", V8N)])
def test_each_layer_has_as_many_weights_as_published(generation, expected):
    net = Yolo(generation, "n", 1)
    pairs = zip(net.backbone.down, net.backbone.blocks, strict=True)
    layers = [net.backbone.stem, *(one for pair in pairs for one in pair), net.backbone.pool]
    layers += [*net.neck.children(), net.head]
    assert [n for n in map(weights, layers) if n] == expected


@pytest.mark.parametrize("classes", [1, 80])
def test_the_answer_has_a_row_for_each_cell_and_three_with_anchors(classes):
    picture = torch.zeros(2, 3, 96, 64)
    n = (12 * 8) + (6 * 4) + (3 * 2)
    assert Yolo("v8", "n", classes)(picture).shape == (2, n, 4 * BINS + classes)
    assert Yolo("v5", "n", classes)(picture).shape == (2, 3 * n, 5 + classes)


@pytest.mark.parametrize("generation", ["v5", "v8"])
def test_features_have_the_strides_and_widths_of_the_table(generation):
    levels = Yolo(generation, "s").backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(one.shape[1:]) for one in levels] == [(128, 8, 8), (256, 4, 4), (512, 2, 2)]


def test_a_picture_that_32_does_not_divide_is_refused():
    with pytest.raises(DataError, match="pictures of this size"):
        Yolo("v8")(torch.zeros(1, 3, 100, 64))


def test_cells_lie_in_the_middle_of_their_squares_finest_first():
    centers, strides = cells((32, 64))
    assert centers[1].tolist() == [12, 4]
    assert centers[8].tolist() == [4, 12]
    assert centers[-1].tolist() == [48, 16]
    assert strides.unique(return_counts=True)[1].tolist() == [32, 8, 2]


def test_distances_are_means_of_their_bins_in_strides():
    numbers = torch.full((1, 4 * BINS), -50.0)
    for side, bin_ in enumerate((2, 3, 1, 0)):
        numbers[0, side * BINS + bin_] = 50
    found = free_boxes(numbers, torch.tensor([[20.0, 28]]), torch.tensor([[8.0]]))
    assert found[0].tolist() == pytest.approx([4, 4, 28, 28], abs=1e-4)


def test_an_anchor_with_zeros_is_itself_round_the_cell_s_center():
    cell = torch.tensor([[20.0, 28]]), torch.tensor([[8.0]]), torch.tensor([[10.0, 13]])
    assert anchored_boxes(torch.zeros(1, 4), *cell)[0].tolist() == [15, 21.5, 25, 34.5]


def test_before_training_few_cells_say_something():
    older, newer = Yolo("v5", "n", 80), Yolo("v8", "n", 80)
    bias = older.head.levels[0].bias.view(3, -1)
    assert bias[:, 4].mean().item() == pytest.approx(math.log(8 / 80**2), abs=0.2)
    told = newer.head.classes[2][-1].bias
    assert told.unique().tolist() == pytest.approx([math.log(5 / 80 / 20**2)])


def test_with_one_class_generation_5_scores_by_something_alone():
    net = Yolo("v5", "n", 1)
    output = torch.randn(1, 3 * (64 + 16 + 4), 6)
    _, scores = net.decode(output, (64, 64))
    assert torch.equal(scores, output[..., 4].sigmoid())
