"""Boxes moved by chance: what has a direction moves with the head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nextaim_kit.studies.thalamus_tractography import augmentation
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

STILL = torch.zeros(3)
MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
ROWS, COLUMNS = np.tril_indices(3)


def turn(degrees, axis=(2, -1, 2)):
    way = np.deg2rad(degrees) * np.array(axis) / np.linalg.norm(axis)
    return torch.tensor(Rotation.from_rotvec(way).as_matrix(), dtype=torch.float32)


def sticks(direction, shape=(6, 7, 8)):
    """One fiber direction everywhere, as channels."""
    matrix = 0.3 * np.eye(3) + 1.4 * np.outer(direction, direction)
    elements = torch.tensor(matrix[ROWS, COLUMNS], dtype=torch.float32)
    return elements[:, None, None, None].expand(6, *shape).clone()


def test_a_fiber_turns_with_the_head():
    fiber, matrix = np.array([0.6, 0.0, 0.8]), turn(15)
    found = augmentation.moved(sticks(fiber), matrix, STILL, tensor=slice(-6, None))
    wanted = sticks(matrix.numpy() @ fiber)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    as_gray = augmentation.moved(sticks(fiber), matrix, STILL)
    np.testing.assert_allclose(as_gray, sticks(fiber), atol=1e-5)  # the published mistake


def test_tensors_turn_as_those_of_numpy_do():
    elements = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    matrix = turn(40)
    rotation = augmentation.rotation_of(1.2 * matrix)
    found = augmentation.turned(torch.from_numpy(np.moveaxis(elements, -1, 0)), rotation)
    wanted = Tensors(elements).turned(matrix.numpy()).elements  # a zoom changes no water
    np.testing.assert_allclose(np.moveaxis(found.numpy(), 0, -1), wanted, atol=1e-5)


def test_a_box_mirrored_twice_is_as_it_was():
    image = torch.randn(8, 6, 7, 8)
    once = augmentation.moved(image, MIRROR, STILL, tensor=slice(-6, None))
    np.testing.assert_allclose(once[:2], image[:2].flip(1), atol=1e-5)
    twice = augmentation.moved(once, MIRROR, STILL, tensor=slice(-6, None))
    np.testing.assert_allclose(twice, image, atol=1e-5)


def test_what_was_at_a_place_lies_where_the_matrix_and_the_shift_say():
    image = torch.zeros(1, 21, 21, 21)
    image[0, 14, 10, 10] = 1  # 4 voxels from the middle
    found = augmentation.carried(image, turn(90, (0, 0, 1)), torch.tensor([1.0, 0, -2]))
    assert np.unravel_index(int(found.argmax()), found.shape) == (0, 11, 14, 8)


def test_left_thalami_are_mirrored_in_the_published_way_only():
    torch.manual_seed(0)
    drawn = {
        how: {augmentation.drawn(how)[0] for _ in range(100)} for how in ("right", "published")
    }
    assert drawn["published"] - drawn["right"] == {"mirror"}
    assert augmentation.drawn("none")[0] == "none"


def test_inputs_and_target_move_alike_and_the_seed_decides_how():
    image, target = torch.randn(8, 12, 12, 12), torch.rand(2, 12, 12, 12)
    same = torch.cat([image[:1], target])

    def once():
        torch.manual_seed(3)
        return augmentation.augmented(image, same, "right", tensor=slice(-6, None))

    inputs, moved = once()
    np.testing.assert_array_equal(inputs, once()[0])
    if not torch.equal(moved, same):  # neither noise nor nothing
        np.testing.assert_allclose(inputs[0], moved[0], atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_no_way_of_changing_makes_numbers_that_are_none(seed):
    torch.manual_seed(seed)
    found = augmentation.augmented(
        torch.randn(8, 9, 10, 11), torch.rand(7, 9, 10, 11), "published", tensor=slice(2, 8)
    )
    assert all(torch.isfinite(one).all() for one in found)


def test_t1_of_another_contrast_keeps_the_order_of_tissues_and_its_range():
    torch.manual_seed(3)
    tissues = torch.linspace(0, 1, 5)[None, :, None, None].expand(1, 5, 12, 12)
    found = [augmentation.recolored(tissues) for _ in range(20)]
    assert all(float(one.min()) == 0 and float(one.max()) == pytest.approx(1) for one in found)
    means = torch.stack([one.mean((0, 2, 3)) for one in found])
    assert (means.diff() > 0).all()  # fluid stays darker than gray, gray than white matter
    assert means[:, 2].min() < 0.35  # gray matter, at 0.5 before
    assert means[:, 2].max() > 0.6
