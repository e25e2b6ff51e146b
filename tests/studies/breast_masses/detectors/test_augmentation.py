"""Augmentation held against painted pixels: a box lies where its paint is."""

from __future__ import annotations

import pytest
import torch

from nextaim_kit.studies.breast_masses.detectors.augmentation import (
    Augmentation,
    MassPictures,
    clipped,
    looked_at,
    padded,
)

EDGE = 64


def painted(n, flips=True, how=None):
    """Black pictures with a white rectangle each, which is the box."""
    draw = torch.Generator().manual_seed(5)
    pictures, boxes = torch.zeros(n, EDGE, EDGE), []
    for picture in pictures:
        x, y, w, h = torch.randint(4, 30, (4,), generator=draw).tolist()
        picture[y : y + h, x : x + w] = 1
        boxes.append(torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32))
    return MassPictures(pictures, boxes, [flips] * n, how)


@pytest.mark.parametrize("seed", range(12))
def test_each_box_of_a_mosaic_is_the_paint_that_is_left_of_it(seed):
    torch.manual_seed(seed)
    data = painted(6)
    canvas, boxes = data.mosaic(0)
    left = canvas.clone()
    for x0, y0, x1, y1 in boxes.int().tolist():
        assert canvas[y0:y1, x0:x1].all()
        assert x1 - x0 >= 2
        assert y1 - y0 >= 2
        left[y0:y1, x0:x1] = 0
    # What has no box: up to four remains, each too small to be one.
    most = max(max(2 * EDGE, 0.1 * float(picture.sum())) for picture in data.pictures)
    assert left.sum() <= 4 * most


def test_a_box_with_less_than_a_tenth_or_two_pixels_left_is_dropped():
    boxes = torch.tensor([[-9.5, 0, 1, 10], [-8, 0, 2, 10], [-8.5, 0, 1.5, 10], [0, 0, 10, 10]])
    cut, keep = clipped(boxes, (0, 0, 20, 20))
    assert keep.tolist() == [False, True, False, True]
    assert cut[1].tolist() == [0, 0, 2, 10]
    assert not clipped(torch.tensor([[-95.0, 0, 5, 10]]), (0, 0, 20, 20))[1].any()  # 5 % left


@pytest.mark.parametrize("seed", range(6))
def test_boxes_follow_the_window_s_scale_and_shift(seed):
    torch.manual_seed(seed)
    data = painted(4, how=Augmentation(mosaic=0.0, contrast=1.0))
    for k in range(4):
        picture, masses = data[k]
        assert picture.shape == (3, EDGE, EDGE)
        rows, columns = (picture[0] > 0.5).nonzero(as_tuple=True)
        if len(masses):
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert masses[0, 1:].tolist() == pytest.approx([float(v) for v in found], abs=1.01)


def test_a_window_of_the_picture_itself_changes_nothing():
    data = painted(1)
    picture, boxes = looked_at(
        data.pictures[0], data.boxes[0], (EDGE / 2, EDGE / 2), 1.0, (EDGE, EDGE)
    )
    assert torch.allclose(picture, data.pictures[0], atol=1e-5)
    assert torch.equal(boxes, data.boxes[0])


def test_only_views_that_may_be_are_turned_upside_down_and_none_is_mirrored():
    for flips, most in ((True, 2), (False, 1)):
        data = painted(1, flips, Augmentation(mosaic=0.0, scale=0.0, shift=0.0, contrast=1.0))
        seen = {tuple(data[0][1][0].tolist()) for _ in range(30)}
        assert len(seen) == most
        x = data.boxes[0][0, [0, 2]].tolist()
        assert all([one[1], one[3]] == x for one in seen)


def test_the_same_seed_gives_the_same_picture():
    data = painted(6, how=Augmentation())
    pairs = []
    for _ in range(2):
        torch.manual_seed(3)
        pairs.append(data[2])
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1], pairs[1][1])


def test_targets_of_unequal_number_are_padded_and_the_largest_kept():
    picture = torch.zeros(3, 8, 8)
    many = torch.tensor([[0.0, 0, 0, 1, 1], [0, 0, 0, 4, 4], [0, 0, 0, 2, 2]])
    pictures, target = padded([(picture, many), (picture, many[:0])], 2)
    assert pictures.shape == (2, 3, 8, 8)
    assert target[0, :, 3].tolist() == [4, 2]
    assert (target[1, :, 0] == -1).all()
