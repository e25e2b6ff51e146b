"""The losses on pictures of a few cells, against values found by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nextaim_kit.studies.breast_masses.detectors.yolo import ANCHORS, BINS, anchored_boxes
from nextaim_kit.studies.breast_masses.detectors.yolo_losses import AnchorLoss, FreeLoss

PUBLISHED = torch.tensor(ANCHORS, dtype=torch.float32)


def targets(*boxes, most=3):
    found = torch.zeros(1, most, 5)
    found[..., 0] = -1
    for k, box in enumerate(boxes):
        found[0, k] = torch.tensor([0.0, *box])
    return found


# Generation 8, 32 x 32 pixels: 16 cells of 8, 4 of 16, 1 of 32. In the box below lie the
# centers of cells 5 (12, 12), 16 (8, 8) and 20 (16, 16).
BOX, INSIDE = (4.0, 4, 20, 20), [5, 16, 20]


def test_cells_whose_center_is_in_the_box_answer_for_it():
    loss = FreeLoss((32, 32))
    boxes = torch.tensor(BOX).expand(1, 21, 4)
    chosen, share = loss.assign(boxes, torch.zeros(1, 21, 1), targets(BOX))
    assert share[0].nonzero().flatten().tolist() == INSIDE
    assert share[0, INSIDE].tolist() == pytest.approx([1, 1, 1])
    assert chosen[0, INSIDE].tolist() == [0, 0, 0]


def test_a_worse_aligned_cell_gets_a_smaller_target_by_the_sixth_power_of_its_overlap():
    loss = FreeLoss((32, 32))
    boxes = torch.tensor(BOX).repeat(1, 21, 1)
    boxes[0, 5] = torch.tensor([4.0, 4, 20, 12])  # IoU 0.5
    logits = torch.zeros(1, 21, 1)
    logits[0, 16] = math.log(0.25 / 0.75)
    _, share = loss.assign(boxes, logits, targets(BOX))
    shape = 4 / math.pi**2 * (math.atan(1) - math.atan(2)) ** 2
    overlap = 0.5 - 16 / 512 - shape**2 / (0.5 + shape)
    assert share[0, INSIDE].tolist() == pytest.approx([overlap**6, 0.5**0.5, 1], rel=1e-4)


def test_only_the_best_aligned_cells_are_taken():
    loss = FreeLoss((32, 32), top=1)
    boxes = torch.tensor(BOX).expand(1, 21, 4)
    logits = torch.zeros(1, 21, 1)
    logits[0, 16] = 1.0
    _, share = loss.assign(boxes, logits, targets(BOX))
    assert share[0].nonzero().flatten().tolist() == [16]


def test_a_cell_that_two_masses_want_goes_to_the_one_that_it_overlaps_more():
    loss = FreeLoss((32, 32))
    other = (4.0, 4, 28, 28)
    boxes = torch.tensor(other).expand(1, 21, 4)
    chosen, share = loss.assign(boxes, torch.zeros(1, 21, 1), targets(BOX, other))
    assert (chosen[0, INSIDE] == 1).all()
    assert share[0, INSIDE].tolist() == pytest.approx([1, 1, 1])


def test_without_a_mass_only_the_classes_cost_and_the_sum_is_over_one():
    output = torch.zeros(1, 21, 4 * BINS + 1)
    parts = FreeLoss((32, 32))(output, targets())
    assert parts["class"].item() == pytest.approx(0.5 * 21 * math.log(2), rel=1e-5)
    assert parts["box"].item() == parts["distribution"].item() == 0


def test_a_distance_between_two_bins_costs_the_cross_entropy_to_both():
    loss = FreeLoss((32, 32))
    numbers = torch.zeros(1, 21, 4 * BINS)
    truth = torch.tensor([12 - 18.0, 12 - 18, 12 + 18, 12 + 18]).expand(1, 21, 4)  # 2.25 strides
    assert loss.distribution(numbers, truth)[0, 5].item() == pytest.approx(math.log(16), rel=1e-5)
    numbers = torch.full((1, 21, 4, BINS), -50.0)
    numbers[..., 2], numbers[..., 3] = math.log(0.75), math.log(0.25)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    found = loss.distribution(numbers.flatten(2), truth)
    assert found[0, 5].item() == pytest.approx(entropy, rel=1e-5)


# Generation 5, 64 x 64 pixels. The center (21, 34) is in the cell (20, 36) of 8 pixels; nearer
# are the cells to the right (28, 36) and above (20, 28). 12 x 12 is within a factor of 4 of the
# three finest anchors only.
MASS = (15.0, 28, 27, 40)
NEAR = {(20.0, 36.0), (28.0, 36.0), (20.0, 28.0)}


def test_the_cell_and_two_neighbors_answer_with_every_anchor_of_nearly_the_size():
    loss = AnchorLoss((64, 64), PUBLISHED)
    found, index = loss.matches(targets(MASS))
    flat = index[found]
    assert found.sum() == 9
    assert {tuple(c) for c in loss.centers[flat].tolist()} == NEAR
    assert {tuple(s) for s in loss.sizes[flat].tolist()} == {(10, 13), (16, 30), (33, 23)}
    assert set(loss.strides[flat].flatten().tolist()) == {8}


def test_there_is_no_neighbor_beyond_the_border():
    loss = AnchorLoss((64, 64), PUBLISHED)
    found, index = loss.matches(targets((0.0, 0, 6, 6)))  # center (3, 3): left and above is nothing
    assert {tuple(c) for c in loss.centers[index[found]].tolist()} == {(4.0, 4.0)}


def test_with_zeros_something_costs_ln_2_balanced_by_stride():
    loss = AnchorLoss((64, 64), PUBLISHED)
    parts = loss(torch.zeros(1, 3 * 84, 6), targets(MASS))
    expected = (4 + 1 + 0.4) * math.log(2) * 64 * 64 / 640**2
    assert parts["object"].item() == pytest.approx(expected, rel=1e-5)
    assert set(parts) == {"box", "object"}  # one class has no loss of its own


def test_cells_that_box_the_mass_exactly_cost_nothing():
    loss = AnchorLoss((64, 64), PUBLISHED)
    middle, edge = torch.tensor([21.0, 34]), 12.0
    place = ((middle - loss.centers) / loss.strides + 1) / 2
    size = (edge / loss.sizes).sqrt() / 2
    told = torch.cat([place, size], 1).clamp(1e-4, 1 - 1e-4).logit()
    found, index = loss.matches(targets(MASS))
    cell = (one[index[found]] for one in (loss.centers, loss.strides, loss.sizes))
    boxes = anchored_boxes(told[index[found]], *cell)
    assert torch.allclose(boxes, torch.tensor(MASS).expand(9, 4), atol=1e-2)
    output = torch.cat([told, torch.zeros(len(told), 2)], 1)[None]
    assert loss(output, targets(MASS))["box"].item() == pytest.approx(0, abs=1e-4)


def test_the_target_of_something_is_the_overlap_of_its_own_box():
    loss = AnchorLoss((64, 64), PUBLISHED)
    output = torch.zeros(1, 3 * 84, 6, requires_grad=True)
    loss(output, targets(MASS))["object"].backward()
    found, index = loss.matches(targets(MASS))
    grad = output.grad[0, :, 4]
    higher = grad < grad[: 3 * 64].max() - 1e-9  # sigmoid(0) - target, all at the finest stride
    assert set(higher[: 3 * 64].nonzero().flatten().tolist()) <= set(index[found].tolist())
    assert higher[: 3 * 64].any()


def test_several_classes_have_a_loss_of_their_own():
    parts = AnchorLoss((64, 64), PUBLISHED, classes=2)(torch.zeros(1, 3 * 84, 7), targets(MASS))
    assert parts["class"].item() == pytest.approx(2 / 160 * math.log(2), rel=1e-5)


@pytest.mark.parametrize("loss", [FreeLoss((32, 32)), AnchorLoss((32, 32), PUBLISHED)])
def test_gradients_are_finite_with_and_without_masses(loss):
    channels = 4 * BINS + 1 if isinstance(loss, FreeLoss) else 6
    for target in (targets(), targets(BOX), targets((0, 0, 2, 2), (0, 0, 32, 32))):
        output = torch.randn(1, len(loss.centers), channels, requires_grad=True)
        sum(loss(output, target).values()).backward()
        assert torch.isfinite(output.grad).all()
