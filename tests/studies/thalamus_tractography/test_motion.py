"""Motion whose size is known, found again, and what it does to gradient directions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from nextaim_kit.studies.thalamus_tractography.distortion import Field
from nextaim_kit.studies.thalamus_tractography.motion import Motion, find_motion, taken_back
from nextaim_kit.studies.thalamus_tractography.space import apply, grid

SHAPE = (30, 32, 28)
AFFINE = np.diag([2.5, 2.5, 2.5, 1.0])
AFFINE[:3, 3] = -37, -40, -35
Y = np.array([0.0, 1.0, 0.0])


def turned(degrees, shift, shear=(0, 0, 0)):
    """A rotation about a slanted axis, then a stretch and shear along y, then a shift."""
    matrix = np.eye(4)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([1, -2, 2]) / 3).as_matrix()
    matrix[:3, :3], matrix[:3, 3] = (np.eye(3) + np.outer(Y, shear)) @ turn, shift
    return matrix


def scanned(image, place):
    """What is seen of a head that lies at `place`."""
    at = apply(np.linalg.inv(AFFINE), apply(np.linalg.inv(place), grid(SHAPE, AFFINE)))
    return map_coordinates(image, np.moveaxis(at, -1, 0), order=3, mode="nearest")


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(0)
    return 100 + 400 * gaussian_filter(rng.standard_normal(SHAPE), 2.0)


PLACES = [np.eye(4), turned(2.0, (1.0, -0.5, 0.7)), turned(-1.0, (0, 1.5, 0))]
BENT = [
    np.eye(4),
    turned(1.5, (0.5, 1, 0), (0.015, -0.01, 0.02)),
    turned(0, (0, 1, 0), (0, 0.02, 0)),
]
INSIDE = np.zeros(SHAPE, bool)
INSIDE[4:-4, 4:-4, 4:-4] = True


@pytest.mark.parametrize(("places", "along"), [(PLACES, None), (BENT, Y)])
def test_known_motion_is_found_to_a_part_of_a_mm_with_noise(head, places, along):
    noise = np.random.default_rng(1).normal(0, 5, (*SHAPE, 3))
    data = np.stack([scanned(head, place) for place in places], -1) + noise
    still = np.repeat(head[..., None], 3, -1)
    start = Motion(Motion.none(3).places, along)
    found = find_motion(data, AFFINE, still, INSIDE, start)
    points = grid(SHAPE, AFFINE)[INSIDE]
    for place, known in zip(found.places, places, strict=True):
        assert np.abs(apply(place, points) - apply(known, points)).max() < 0.15


def test_a_stretch_along_the_phase_s_axis_is_no_rotation():
    motion = Motion(np.stack(BENT), Y)
    wanted = [turned(0, (0, 0, 0)), turned(1.5, (0, 0, 0)), np.eye(4)]
    np.testing.assert_allclose(motion.rotations, [m[:3, :3] for m in wanted], atol=1e-9)


def test_gradients_turn_against_the_head():
    place = turned(30, (5, 0, 0))
    felt = Motion(place[None]).felt(np.array([[0.6, 0.0, 0.8]]))
    np.testing.assert_allclose(place[:3, :3] @ felt[0], [0.6, 0, 0.8], atol=1e-9)


def test_volumes_are_taken_back_to_where_the_head_lay_first(head):
    data = np.stack([scanned(head, place) for place in PLACES], -1)
    found = taken_back(data, AFFINE, Motion(np.stack(PLACES)), INSIDE)
    for k in range(3):
        assert np.abs(found[..., k] - head)[INSIDE].mean() < 0.01 * head.std()


def test_motion_and_distortion_are_undone_in_one_reading(head):
    shift = np.zeros(SHAPE, np.float32) + 1.5
    data = np.roll(head, 1, axis=1)[..., None]
    found = taken_back(data, AFFINE, Motion.none(1), INSIDE, Field(shift - 0.5, 1))
    np.testing.assert_allclose(found[INSIDE][:, 0], head[INSIDE], rtol=1e-3)
