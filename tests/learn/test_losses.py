"""Losses of segmentation: by hand, beside MONAI's, and without a look at values."""

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import DiceCELoss
from torch import nn

from nextaim_kit.learn.losses import SegmentationLoss
from nextaim_kit.memory.predict import predict


def test_dice_of_four_voxels_is_as_worked_out_by_hand():
    logits = torch.tensor([100.0, 100.0, -100.0, -100.0]).reshape(1, 1, 4)
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 1, 4)
    found = SegmentationLoss(cross_entropy=False)(logits, target)
    assert float(found) == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))


def test_cross_entropy_adds_what_it_is_where_nothing_is_known():
    logits, target = torch.zeros(1, 1, 6), torch.tensor([1.0, 0, 0, 1, 1, 0]).reshape(1, 1, 6)
    dice, both = (SegmentationLoss(cross_entropy=ask)(logits, target) for ask in (False, True))
    assert float(both - dice) == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_agrees_with_monai_over_the_batch(channels):
    torch.manual_seed(0)
    logits = torch.randn(2, channels, 6, 5, 4)
    target = torch.randint(max(2, channels), (2, 1, 6, 5, 4)).float()
    options = (
        {"sigmoid": True}
        if channels == 1
        else {"softmax": True, "to_onehot_y": True, "include_background": False}
    )
    theirs = DiceCELoss(batch=True, smooth_nr=1, smooth_dr=1, **options)
    assert float(SegmentationLoss()(logits, target)) == pytest.approx(
        float(theirs(logits, target)), rel=1e-5
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_perfect_answer_costs_nothing_and_its_opposite_much(channels):
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2] = 1
    logits = torch.full((1, channels, 4, 4), -50.0)
    if channels == 1:
        logits[target > 0] = 50
    else:
        logits[:, 1] = torch.where(target[:, 0] > 0, 50.0, -50.0)
        logits[:, 0] = -logits[:, 1]
    loss = SegmentationLoss()
    assert float(loss(logits, target)) < 0.04  # the second of two parts is empty, and smoothed
    assert float(loss(-logits, target)) > 1


def test_the_memory_of_a_training_with_it_can_be_predicted():
    found = predict(
        lambda: nn.Conv3d(1, 3, 3, padding=1), (1, 8, 8, 8), target=((1, 8, 8, 8), "float32"),
        loss=SegmentationLoss(), device="cpu",
    )  # fmt: skip
    assert found.peak > 0
