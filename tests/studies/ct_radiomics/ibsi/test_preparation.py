"""Interpolation, re-segmentation and gray levels as the IBSI manual has them."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import (
    levels_of_number,
    levels_of_width,
    prepare,
)
from nextaim_kit.studies.ct_radiomics.region import find_region


def made(volume, values, mask=None, spacing=(1.0, 1.0, 1.0)):
    values = np.asarray(values)
    mask = np.ones(values.shape, np.uint8) if mask is None else mask
    return find_region(volume(values, spacing), volume(mask, spacing), minimum_dimensions=1)


def test_a_voxel_belongs_to_the_region_where_half_of_it_does(volume):
    mask = np.zeros((1, 4, 8), np.uint8)
    mask[:, :, 2:6] = 1
    values = np.arange(32).reshape(1, 4, 8)
    setup = Configuration("x", spacing=(0, 2, 2), bin_width=1)
    found = prepare(made(volume, values, mask), setup)
    assert found.outline.shape == (1, 2, 2)
    assert found.outline.all()


@pytest.mark.parametrize("noise", [-1e-7, 1e-7])
def test_half_of_a_voxel_is_half_of_it_however_a_file_rounds_its_spacing(volume, ball, noise):
    mask = ball((30, 40, 40), (15, 20, 20), (6, 7, 8))
    values = np.arange(mask.size).reshape(mask.shape) % 700
    setup = Configuration("x", spacing=(2, 2, 2), bin_width=25)
    exact = prepare(made(volume, values, mask, (1.0, 1.0, 3.0)), setup)
    noisy = prepare(made(volume, values, mask, (1.0 + noise, 1.0 - noise, 3.0 + noise)), setup)
    assert np.array_equal(exact.outline, noisy.outline)


def test_the_region_is_the_same_whatever_image_surrounds_it(volume, tissue, ball):
    image, mask = tissue((30, 40, 40)), ball((30, 40, 40), (15, 20, 20), (6, 7, 8))
    setup = Configuration("x", spacing=(2, 2, 2), spline=3, bin_count=8)
    found = prepare(made(volume, image, mask), setup)
    turned = prepare(made(volume, image[:, ::-1, ::-1], mask[:, ::-1, ::-1]), setup)
    assert np.array_equal(found.kept, turned.kept[:, ::-1, ::-1])
    assert np.abs(found.values - turned.values[:, ::-1, ::-1]).max() <= 1  # a half rounds to even


def test_both_ways_of_resegmentation_start_from_the_whole_region(volume):
    values = np.array([[[0] * 19 + [1, 100, -75]]])
    both = prepare(made(volume, values), Configuration("x", keep=(-200, 50), sigmas=3, bin_width=1))
    # Standard deviation 27 with the 100, which the range takes away, and 16 without.
    assert both.inside.min() == -75
    assert both.inside.size == 21
    assert both.outline.sum() == 22


def test_an_outlier_is_cut_from_the_intensity_mask_alone(volume):
    values = np.zeros((2, 5, 5))
    values[0, 0, 0], values[1, 4, 4] = 1, 1000
    found = prepare(made(volume, values), Configuration("x", sigmas=3, bin_width=1))
    assert found.kept.sum() == 49
    assert found.outline.sum() == 50


def test_a_region_out_of_the_range_is_refused_with_its_numbers(volume, tissue):
    region = made(volume, tissue((4, 4, 4)))
    with pytest.raises(DataError, match=r"nothing of the region is left to measure[\s\S]*of 64"):
        prepare(region, Configuration("x", keep=(5000, 6000), bin_width=25))


def test_a_region_finer_than_half_a_new_voxel_is_refused(volume, tissue):
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[8, 8, 8:10] = 1
    region = made(volume, tissue((20, 20, 20)), mask)
    with pytest.raises(DataError, match="nothing of the region is left after interpolation"):
        prepare(region, Configuration("x", spacing=(9, 9, 9), bin_width=25))


def test_levels_of_fixed_width_count_from_the_ranges_lower_end():
    values = np.array([-1000.0, -976, -975, 0, 400])
    assert list(levels_of_width(values, 25, -1000)) == [1, 1, 2, 41, 57]
    assert list(levels_of_width(values[3:], 25)) == [1, 17]


def test_a_fixed_number_of_levels_ends_with_the_maximum():
    values = np.array([10.0, 12.4, 12.5, 17.5, 20])
    assert list(levels_of_number(values, 4)) == [1, 1, 2, 4, 4]
