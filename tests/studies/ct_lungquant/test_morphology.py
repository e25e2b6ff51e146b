"""Opening and closing by millimeters are those of a ball of voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from nextaim_kit.studies.ct_lungquant.morphology import around, ball, closed, grown, opened, worn

SPACING = (2.0, 1.0, 1.0)


@pytest.fixture
def mask():
    rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 40, 40)), 2)
    rough[:8], rough[-8:] = -1, -1
    rough[:, :8], rough[:, -8:] = -1, -1
    rough[:, :, :8], rough[:, :, -8:] = -1, -1
    return rough > 0


def test_they_do_what_a_ball_of_voxels_does(mask):
    element = ball(3.0, SPACING)
    assert np.array_equal(closed(mask, 3.0, SPACING), ndimage.binary_closing(mask, element))
    assert np.array_equal(opened(mask, 3.0, SPACING), ndimage.binary_opening(mask, element))


@pytest.mark.parametrize("spacing", [SPACING, (3.3, 0.7, 2.1), (9.0, 9.0, 9.0)])
@pytest.mark.parametrize("radius", [0.5, 3.0, 7.5])
def test_they_are_those_of_distances_to_the_end_of_the_field(spacing, radius):
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(9, 20, 23)), 1.5) > 0.02
    away, depth = (ndimage.distance_transform_edt(m, spacing) for m in (~mask, mask))
    assert np.array_equal(grown(mask, radius, spacing), away <= radius)
    assert np.array_equal(worn(mask, radius, spacing), depth > radius)


def test_what_reaches_the_end_of_the_field_is_not_worn_there():
    slab = np.zeros((10, 10, 10), bool)
    slab[:5] = True
    assert np.array_equal(opened(slab, 2.0, (1, 1, 1)), slab)
    assert not opened(slab & False, 2.0, (1, 1, 1)).any()


def test_a_ball_is_as_wide_in_millimeters_along_every_axis():
    assert ball(4.0, SPACING).shape == (5, 9, 9)
    assert ball(0.5, SPACING).sum() == 1


def test_a_box_is_wider_by_millimeters_and_ends_with_the_field():
    mask = np.zeros((20, 20, 20), bool)
    mask[10, 10, 1] = True
    assert around(mask, 2.0, SPACING) == (slice(9, 12), slice(8, 13), slice(0, 4))
