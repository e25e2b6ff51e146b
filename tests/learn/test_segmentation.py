"""Masks are compared by values worked out by hand, and means by patients, not by films."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import mean_interval
from nextaim_kit.learn.segmentation import agreement, dice, largest_parts, mean_dice


def square(top, left, edge, size=40):
    mask = np.zeros((size, size), bool)
    mask[top : top + edge, left : left + edge] = True
    return mask


@pytest.mark.parametrize(("tolerance", "surface"), [(0.5, 32 / 72), (1, 40 / 72), (2, 1)])
def test_a_square_that_is_two_pixels_off_agrees_as_counted_by_hand(tolerance, surface):
    found = agreement(square(10, 10, 10), square(10, 12, 10), tolerance=tolerance)
    assert found["dsc"] == pytest.approx(2 * 80 / 200)
    assert found["surface_dsc"] == pytest.approx(surface)
    assert found["hd95"] == pytest.approx(2)


def test_a_smaller_square_within_a_larger_one_parts_from_it_at_the_corners():
    found = agreement(square(10, 10, 10), square(11, 11, 8), tolerance=1)
    assert found["dsc"] == pytest.approx(2 * 64 / 164)
    assert found["surface_dsc"] == pytest.approx(60 / 64)  # its corners are 1.4 pixels away
    assert found["hd95"] == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("found", [square(4, 4, 9), square(12, 4, 9), square(0, 0, 0)])
@pytest.mark.parametrize("truth", [square(5, 5, 10), square(0, 0, 0)])
def test_the_dice_coefficient_of_two_masks_is_monai_s(truth, found):
    from monai.metrics import compute_dice

    pair = (torch.from_numpy(mask)[None, None] for mask in (found, truth))
    assert dice(truth, found) == pytest.approx(float(compute_dice(*pair, ignore_empty=False)))


def test_one_stray_pixel_moves_the_worst_distance_but_not_the_95th_percentile():
    truth = square(0, 0, 20)
    predicted = truth.copy()
    predicted[39, 39] = True
    found = agreement(truth, predicted, tolerance=1)
    assert found["hd95"] == 0
    assert found["surface_dsc"] == pytest.approx(152 / 153)


@pytest.mark.parametrize(("shape", "diagonal"), [((40, 40), 40 * np.sqrt(2)), ((30, 40), 50)])
def test_empty_masks_agree_with_each_other_and_with_nothing_else(shape, diagonal):
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    same = {"dsc": 1, "surface_dsc": 1, "hd95": 0}
    assert agreement(empty, empty, tolerance=1) == same
    assert agreement(full, full, tolerance=0) == same
    for pair in ((empty, full), (full, empty)):
        found = agreement(*pair, tolerance=1)
        assert found == pytest.approx({"dsc": 0, "surface_dsc": 0, "hd95": diagonal})


def test_with_spacing_distances_and_tolerance_are_in_its_unit():
    one, other = np.zeros((2, 12, 12, 12), bool)
    one[2:8, 2:8, 2:8], other[3:9, 2:8, 2:8] = True, True  # one voxel off along the first axis
    wide = agreement(one, other, tolerance=2.9, spacing=(3.0, 1.0, 1.0))
    near = agreement(one, other, tolerance=3.0, spacing=(3.0, 1.0, 1.0))
    assert wide["hd95"] == near["hd95"] == pytest.approx(3)
    assert wide["surface_dsc"] < near["surface_dsc"] == 1
    assert wide["dsc"] == agreement(one, other, tolerance=1)["dsc"]
    nothing = agreement(one, other & False, tolerance=1, spacing=(3.0, 4.0, 0.0))
    assert nothing["hd95"] == pytest.approx(12 * 5)


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(DataError, match=r"cannot be compared(.|\n)*\(40, 40\) and \(20, 20\)"):
        agreement(square(0, 0, 5), square(0, 0, 5, size=20), tolerance=1)


def test_the_two_largest_parts_are_kept_filled_and_numbered_from_the_left():
    left, right = square(5, 2, 10), square(20, 20, 12)
    mask = left | right | square(2, 30, 4)
    mask[8:10, 5:8] = mask[25, 25] = False
    assert np.array_equal(largest_parts(mask, 2), left + 2 * right.astype(int))
    assert np.array_equal(largest_parts(mask, 1), right.astype(int))


def test_fewer_parts_than_asked_for_are_all_there_are():
    assert np.array_equal(largest_parts(square(3, 3, 6), 2), square(3, 3, 6).astype(int))
    assert not largest_parts(np.zeros((9, 9), bool), 2).any()


def test_an_island_in_a_hole_belongs_to_what_surrounds_it():
    mask = square(2, 2, 30) & ~square(4, 4, 26) | square(10, 6, 5)
    assert np.array_equal(largest_parts(mask, 2), square(2, 2, 30).astype(int))


def test_the_interval_of_a_mean_is_as_wide_as_known():
    values = np.random.default_rng(0).normal(0.9, 0.1, 400)
    mean, low, high = mean_interval(values)
    assert mean == pytest.approx(values.mean())
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert mean_interval(values) == (mean, low, high)
    assert np.isnan(mean_interval(values, n_boot=0)[1:]).all()


def test_many_films_of_one_patient_make_nobody_surer():
    values = np.random.default_rng(0).normal(0.9, 0.1, 50)
    films, patients = np.repeat(values, 4), np.repeat(np.arange(50), 4)
    expected = mean_interval(values)
    assert mean_interval(films, groups=patients) == pytest.approx(expected)
    _, low, high = mean_interval(films)
    assert high - low < 0.6 * (expected[2] - expected[1])


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.9, np.nan],
    ],
)
def test_there_is_no_mean_of_nothing_or_of_a_missing_value(values):
    with pytest.raises(DataError, match="at least one value, and none missing"):
        mean_interval(values)


def test_the_mean_dice_of_items_counts_two_empty_masks_as_agreeing():
    truth = torch.zeros(2, 1, 4, 4, 4)
    truth[0, :, :2] = 1
    logits = torch.full_like(truth, -5)
    logits[0, :, 1:3] = 5
    assert mean_dice(logits, truth) == pytest.approx((0.5 + 1) / 2)
    classes = torch.cat([-logits, logits - 1, logits], 1)  # which foreground it is does not matter
    assert mean_dice(classes, 2 * truth) == pytest.approx((0.5 + 1) / 2)
