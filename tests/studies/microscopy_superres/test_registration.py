"""Registration: maps that were made are found again, and what is not one field is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres.registration import (
    find_scale,
    register,
)


def spoiled(wide, matrix, shift):
    matrix = np.asarray(matrix, float)
    middle = np.array(wide.shape) / 2
    return ndimage.affine_transform(wide, matrix, middle - matrix @ middle + shift, order=3,
                                    mode="nearest")  # fmt: skip


def error(found, matrix, shift, shape):
    matrix, middle = np.asarray(matrix, float), np.array(shape) / 2
    corners = np.array([(r, c) for r in (0, shape[0]) for c in (0, shape[1])])
    seen = corners @ found.matrix.T + found.shift
    back = seen @ matrix.T + middle - matrix @ middle + shift
    return np.hypot(*(back - corners).T).max()


def test_an_aligned_pair_is_left_as_it_is(lines):
    fine, wide = lines()
    found = register(wide, fine, 4)
    np.testing.assert_array_equal(found.apply(wide, wide.shape), wide)
    assert found.agreement > 0.8


@pytest.mark.parametrize("shift", [(0.5, -0.3), (2.3, -1.4), (-6.0, 5.0)])
def test_a_shift_is_found_within_a_fifth_of_a_pixel(lines, shift):
    fine, wide = lines()
    found = register(spoiled(wide, np.eye(2), shift), fine, 4)
    assert error(found, np.eye(2), shift, wide.shape) < 0.2
    assert not found.residual > 0.6  # or NaN


def test_an_affine_map_is_found_within_half_a_pixel(lines):
    fine, wide = lines(160)
    matrix, shift = [[1.01, 0.02], [-0.015, 0.99]], [1.5, -2.0]
    found = register(spoiled(wide, matrix, shift), fine, 4)
    assert error(found, matrix, shift, wide.shape) < 0.5


def test_the_scale_is_found_where_the_sizes_of_the_files_mislead(lines):
    fine, wide = lines(160, 5)
    larger = np.pad(wide, ((30, 10), (20, 20)), mode="edge")
    found = register(larger, fine, 4)
    assert found.scale == 5
    np.testing.assert_allclose(found.shift, [30, 20], atol=0.2)
    assert find_scale(larger, fine, [4])[2] < found.agreement / 2


def test_two_fields_are_refused(lines):
    with pytest.raises(DataError, match="do not seem to show one field"):
        register(lines(seed=1)[1], lines(seed=2)[0], 4)


def test_a_mirrored_image_is_refused(lines):
    fine, wide = lines()
    with pytest.raises(DataError, match="turned or mirrored"):
        register(wide[:, ::-1], fine, 4)
