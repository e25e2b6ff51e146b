"""Which parts of what networks call lung or ill are taken."""

import numpy as np
import pytest

from nextaim_kit.studies.ct_lungquant.networks import regions

SPACING = (5.0, 5.0, 5.0)  # 8 voxels are 1 ml


def cube(edge, at=2, size=20):
    mask = np.zeros((size, size, size), bool)
    mask[at : at + edge, at : at + edge, at : at + edge] = True
    return mask


def test_a_lesion_below_a_milliliter_is_dropped_and_a_larger_one_is_left_as_it_was():
    small, large = cube(1), cube(2, at=10)
    found = regions.large_enough((0.7 * small + 0.8 * large).astype(np.float32), SPACING)
    assert not found[small].any()
    assert (found[large] == np.float32(0.8)).all()


def test_what_is_too_unlikely_to_be_called_ill_stays_with_a_large_lesion():
    rim = cube(6, at=8) & ~cube(4, at=9)
    found = regions.large_enough((0.3 * rim + 0.9 * cube(4, at=9)).astype(np.float32), SPACING)
    assert (found[rim] == np.float32(0.3)).all()


def test_a_lesion_makes_lung_only_of_what_may_be_lung_and_on_its_side():
    right, left = np.zeros((2, 1, 1, 4), np.float32)
    right[0, 0, :2], left[0, 0, 1] = (0.9, 0.25), 0.05
    lesions = np.array([[[0.1, 0.8, 0.9, 0.9]]], np.float32)
    more_right, more_left = regions.with_lesions(right, left, lesions)
    assert np.allclose(more_right, [[[0.9, 0.8, 0, 0]]])
    assert np.allclose(more_left, [[[0, 0.05, 0, 0]]])


def test_gas_and_specks_are_no_main_part():
    lung, gas, speck = cube(8), cube(8, at=11), cube(1, at=19)
    hu = np.where(gas, -1000, -800).astype(np.int16)
    assert (regions.main_parts(lung | gas | speck, hu, SPACING) == lung).all()


def test_around_lungs_are_two_voxels_with_the_label_of_the_nearer_one():
    labels = cube(4, at=2) + 2 * cube(4, at=12).astype(np.uint8)
    wider = regions.around(labels)
    assert (wider[labels > 0] == labels[labels > 0]).all()
    assert wider[0, 0, 0] == 1
    assert wider[17, 17, 17] == 2
    assert (wider > 0).sum() == 2 * 8**3


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.6])
def test_a_cut_becomes_a_half_and_order_and_ends_stay(cut):
    moved = regions.at_half(np.array([0, cut / 2, cut, 0.9, 1], np.float32), cut)
    assert moved[2] == pytest.approx(0.5)
    assert (moved[0], moved[-1]) == (0, 1)
    assert (np.diff(moved) > 0).all()
