"""The field that parts two images of opposite phase encoding, and what it does to brightness."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import approx_fprime

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography import distortion

SHAPE = (24, 36, 20)


def seen(image, shift, axis=1):
    """What is seen of an image whose signal is moved by `shift` voxels along an axis."""
    y = np.arange(image.shape[axis], dtype=float)
    image, shift = (np.moveaxis(a, axis, -1) for a in (image, shift))
    found = np.empty_like(image)
    for at in np.ndindex(image.shape[:-1]):
        edges = np.interp(np.arange(len(y) + 1) - 0.5, y, shift[at]) + np.arange(len(y) + 1) - 0.5
        total = np.concatenate([[0.0], image[at].cumsum()])
        found[at] = np.diff(np.interp(np.arange(len(y) + 1) - 0.5, edges, total))
    return np.moveaxis(found, -1, axis)


@pytest.fixture(scope="module")
def scene():
    """A head with detail, a field of up to 3 voxels, and the two images it makes."""
    x, y, z = np.indices(SHAPE) - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    head = (x / 9) ** 2 + (y / 13) ** 2 + (z / 8) ** 2 < 1
    detail = gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 1.5)
    image = gaussian_filter(head * (100 + 400 * detail), 0.7)
    shift = 3 * np.exp(-((x / 6) ** 2) - ((y - 5) / 6) ** 2 - ((z + 2) / 6) ** 2)
    return image, head, shift, seen(image, shift), seen(image, -shift)


def test_the_field_between_two_images_is_found_to_a_third_of_a_voxel(scene):
    image, head, shift, first, second = scene
    field = distortion.estimate_field(first, second, 1)
    assert np.sqrt(np.mean((field.shift - shift)[head] ** 2)) < 0.33
    before, after = (np.abs(one - image)[head].mean() for one in (first, field.correct(first)))
    assert after < 0.5 * before


def test_a_known_field_is_taken_back_with_place_and_brightness(scene):
    image, head, shift, first, second = scene
    field = distortion.Field(shift.astype(np.float32), 1)
    for sign, one in ((1, first), (-1, second)):
        found = field.correct(one, sign)
        assert np.abs(found - image)[head].mean() < 0.03 * image[head].mean()
        assert found.sum() == pytest.approx(image.sum(), rel=0.02)


def test_two_equal_images_have_no_field(scene):
    field = distortion.estimate_field(scene[0], scene[0], 1)
    assert np.abs(field.shift).max() < 0.02


def test_the_mismatch_s_slope_is_its_derivative():
    rng = np.random.default_rng(1)
    pair = [gaussian_filter(rng.random((3, 6, 4)), 1) for _ in range(2)]
    shift, weight = rng.uniform(-0.4, 0.4, (3, 6, 4)), np.ones((3, 6, 4))

    def cost(flat):
        return distortion.mismatch(pair, flat.reshape(shift.shape), 1, weight)[0]

    _, slope = distortion.mismatch(pair, shift, 1, weight)
    assert slope.ravel() == pytest.approx(approx_fprime(shift.ravel(), cost, 1e-7), abs=1e-7)


def test_images_of_two_grids_or_without_signal_are_refused(scene):
    with pytest.raises(DataError, match="no pair of opposite phase"):
        distortion.estimate_field(scene[0], scene[0][1:], 1)
    with pytest.raises(DataError, match="no pair of opposite phase"):
        distortion.estimate_field(scene[0], 0 * scene[0], 1)
