"""Statistics, histograms and peaks on numbers small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.ct_radiomics.ibsi.configurations import Configuration
from nextaim_kit.studies.ct_radiomics.ibsi.intensity import intensity_features
from nextaim_kit.studies.ct_radiomics.ibsi.preparation import levels_of, prepare
from nextaim_kit.studies.ct_radiomics.region import find_region


@pytest.fixture(scope="session")
def measured(volume):
    """Intensity features of values in a line of voxels (mm), under a configuration's fields."""

    def of(values, mask=None, spacing=(1.0, 1.0, 1.0), **setup):
        values = np.atleast_3d(np.asarray(values, dtype=float))
        mask = np.ones(values.shape, np.uint8) if mask is None else mask
        setup = Configuration("x", **{"bin_width": 1, **setup})
        image, mask = volume(values, spacing), volume(mask, spacing)
        region = prepare(find_region(image, mask, minimum_dimensions=1), setup)
        return intensity_features(region, setup, levels_of(region, setup)[region.kept])

    return of


def test_statistics_of_five_numbers(measured):
    found = measured([1, 2, 3, 4, 10])
    assert found["stat_mean"] == 4
    assert found["stat_var"] == 10
    assert found["stat_skew"] == pytest.approx(180 / 5 / 10**1.5)
    assert found["stat_kurt"] == pytest.approx((81 + 16 + 1 + 0 + 1296) / 5 / 100 - 3)
    assert found["stat_medad"] == pytest.approx((2 + 1 + 0 + 1 + 7) / 5)
    assert found["stat_rmad"] == pytest.approx(2 / 3)  # of 2, 3 and 4
    assert found["stat_qcod"] == pytest.approx((4 - 2) / (4 + 2))
    assert found["stat_energy"] == 130
    assert found["stat_rms"] == pytest.approx(26**0.5)


def test_the_mode_of_several_is_the_one_next_to_the_mean(measured):
    assert measured([1, 1, 2, 5, 5, 6])["ih_mode"] == 5
    assert measured([1, 1, 3, 3])["ih_mode"] == 1


def test_entropy_uniformity_and_gradients_of_a_histogram(measured):
    found = measured([1, 1, 1, 1, 2, 2, 4, 4])
    assert found["ih_entropy"] == pytest.approx(1.5)
    assert found["ih_uniformity"] == pytest.approx(0.375)
    # Counts 4, 2, 0, 2.
    assert (found["ih_max_grad"], found["ih_max_grad_g"]) == (2, 4)
    assert (found["ih_min_grad"], found["ih_min_grad_g"]) == (-2, 1)


def test_the_volume_histogram_spans_the_range_that_is_kept(measured):
    values = [0, 10, 20, 30, 40]
    found = measured(values, keep=(-50, 50))
    assert found["ivh_v10"] == 1  # -40 and more
    assert found["ivh_v90"] == pytest.approx(0.2)  # 40 and more
    assert found["ivh_i90"] == 1  # 1 and more: four of five
    assert measured(values, keep=(-50, 50), ivh_width=2.5)["ivh_i90"] == pytest.approx(3.75)
    assert measured(values)["ivh_v10"] == pytest.approx(0.8)


def test_an_intensity_that_no_volume_has_lies_above_the_highest(measured):
    found = measured([0, 0, 0, 5])
    assert found["ivh_i10"] == 6
    assert found["ivh_diff_i10_i90"] == 6 - 1


def test_an_open_range_ends_with_the_region(measured):
    found = measured([0, 10, 20, 30, 40], keep=(-60, np.inf))
    assert found["ivh_v90"] == pytest.approx(0.4)  # 30 and more


def test_peaks_are_means_in_a_ball_of_one_cubic_centimeter(volume, measured, tissue):
    values = tissue((9, 12, 14)).astype(float)
    mask = np.zeros(values.shape, np.uint8)
    mask[2:6, 1:9, 5:14] = 1
    found = measured(values, mask, (2.0, 1.5, 3.0))
    at = np.argwhere(np.ones_like(mask)) * [3.0, 1.5, 2.0]
    radius = (3 / (4 * np.pi) * 1000) ** (1 / 3)
    near = {
        tuple(c): values.ravel()[np.linalg.norm(at - c * [3.0, 1.5, 2.0], axis=1) <= radius].mean()
        for c in np.argwhere(mask)
    }
    top = max(near, key=lambda c: values[c])
    assert found["loc_peak_glob"] == pytest.approx(max(near.values()))
    assert found["loc_peak_loc"] == pytest.approx(near[top])
