"""Registration: T1 to diffusion, whatever the axes; other people are told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.space import apply, grid, register, sample

SHAPE, AFFINE = (36, 40, 32), np.diag([3.0, 3.0, 3.0, 1.0])


def rigid(degrees, shift):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


@pytest.fixture(scope="module")
def head():
    """A smooth picture with an outside, and its inside."""
    rng = np.random.default_rng(0)
    far = np.linalg.norm((grid(SHAPE, np.eye(4)) - np.array(SHAPE) / 2) / [14, 16, 12], axis=-1)
    values = gaussian_filter(rng.standard_normal(SHAPE), 2)
    return (100 + 300 * values / values.std()).clip(1) * (far < 1), far < 1


@pytest.mark.parametrize("kind", ["rigid", "affine"])
def test_a_moved_image_of_other_contrast_is_found_to_half_a_millimeter(head, kind):
    image, mask = head
    true = rigid([4, -6, 5], [7.0, -5.0, 4.0])
    back = apply(np.linalg.inv(true), grid(SHAPE, AFFINE))
    moving = sample((900 - image) * mask, AFFINE, back)
    found = register(image, AFFINE, moving, AFFINE, mask=mask, kind=kind)
    points = grid(SHAPE, AFFINE)[mask]
    assert np.linalg.norm(apply(found, points) - apply(true, points), axis=1).mean() < 0.5


def test_axes_of_the_file_and_oblique_grids_change_nothing(head):
    image, mask = head
    tilt = rigid([12, 8, -15], [5.0, 3.0, -9.0])
    oblique = tilt @ AFFINE
    flipped = np.array([[-3.0, 0, 0, 3 * (SHAPE[0] - 1)], [0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    for moving, affine, true in ((image, oblique, tilt), (image[::-1], flipped, np.eye(4))):
        found = register(image, AFFINE, moving, affine, mask=mask)
        points = grid(SHAPE, AFFINE)[mask]
        assert np.linalg.norm(apply(found, points) - apply(true, points), axis=1).mean() < 0.5


def test_an_empty_brain_is_refused(head):
    with pytest.raises(DataError, match="nothing to register"):
        register(head[0], AFFINE, head[0], AFFINE, mask=np.zeros(SHAPE, bool))


def test_the_same_images_are_registered_to_the_last_digit(head):
    image, mask = head
    moving = sample(image, AFFINE, grid(SHAPE, rigid([4, -6, 5], [7.0, -5.0, 4.0]) @ AFFINE))
    one, other = (register(image, AFFINE, moving, AFFINE, mask=mask) for _ in range(2))
    assert (one == other).all()
