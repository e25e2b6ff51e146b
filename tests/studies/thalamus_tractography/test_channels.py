"""The box around a thalamus: left and right, with directions that turn and mirror."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import channels as box
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, box_affine
from nextaim_kit.studies.thalamus_tractography.space import grid, rotation_of
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

AFFINE = np.array([[2.0, 0, 0, -44], [0, 2, 0, -54], [0, 0, 2, -26], [0, 0, 0, 1.0]])
SHAPE = (45, 45, 36)


def moved(degrees=12.0):
    """A rotation about a slanted axis and a shift, in mm."""
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([2, -1, 2]) / 3)
    matrix[:3, :3], matrix[:3, 3] = turn.as_matrix(), (3, -2, 1)
    return matrix


def sticks(direction):
    """A head with one fiber direction everywhere."""
    rows, columns = np.tril_indices(3)
    matrix = 0.3e-3 * np.eye(3) + 1.4e-3 * np.outer(direction, direction)
    return Tensors(np.tile(matrix[rows, columns].astype(np.float32), (*SHAPE, 1)))


def test_each_voxel_of_the_box_shows_its_place_in_the_head():
    places = grid(SHAPE, AFFINE)
    for side, away in (("left", 1), ("right", -1)):
        for axis in range(3):
            found = box.boxed(places[..., axis], AFFINE, np.eye(4), side)
            wanted = grid(BOX_SHAPE, box_affine("left"))[..., axis] * (away if axis == 0 else 1)
            np.testing.assert_allclose(found, wanted, atol=1e-3)
    values, affine = box.unboxed(box.boxed(places[..., 0], AFFINE, np.eye(4), "right"), "right")
    np.testing.assert_allclose(values, grid(BOX_SHAPE, affine)[..., 0], atol=1e-3)


def test_directions_turn_with_the_registration():
    fiber, matrix = np.array([0.6, 0.0, 0.8]), moved()
    found = box.boxed_tensors(sticks(fiber), AFFINE, matrix).direction[19, 30, 24]
    assert abs(found @ rotation_of(matrix).T @ fiber) == pytest.approx(1, abs=1e-5)


def test_a_mirrored_head_s_right_side_looks_like_its_left():
    mirror = np.diag([-1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    elements = Tensors(1e-3 * rng.random((*SHAPE, 6)).astype(np.float32))
    flipped = Tensors(elements.turned(mirror).elements[::-1])  # AFFINE's x is symmetric about 0
    left = box.boxed_tensors(elements, AFFINE, np.eye(4), "left")
    right = box.boxed_tensors(flipped, AFFINE, np.eye(4), "right")
    np.testing.assert_allclose(right.elements, left.elements, atol=1e-8)


@pytest.fixture
def thalamus():
    mask = np.zeros(BOX_SHAPE, np.float32)
    mask[10:28, 15:45, 12:36] = 1
    return mask


def test_channels_are_those_of_the_paper_or_the_tensor_s(thalamus):
    tensors = box.boxed_tensors(sticks([0.6, 0.0, 0.8]), AFFINE, np.eye(4))
    found = box.channels(tensors, thalamus)
    assert found.shape == (len(box.TENSOR), *BOX_SHAPE)
    assert found[4, 19, 30, 24] == pytest.approx(1.4 * 0.6 * 0.8, abs=1e-4)  # Dxz
    paper = box.channels(tensors, thalamus, "published")
    assert paper.shape == (len(box.PUBLISHED), *BOX_SHAPE)
    assert paper.min() >= 0
    assert paper.max() <= 1
    assert (paper[0] == thalamus).all()


def test_a_thalamus_outside_the_box_is_refused(thalamus):
    with pytest.raises(DataError, match="no voxel of it"):
        box.require_inside(0 * thalamus)
    with pytest.raises(DataError, match=r"(?s)does not lie in the box.*720 voxels on its border"):
        box.require_inside(np.roll(thalamus, 10, axis=0))
