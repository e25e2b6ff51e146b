"""Measures: known values, and those of scikit-image and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres import measures


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.random((192, 192)), 2).astype(np.float32)
    truth = (truth - truth.min()) / np.ptp(truth)
    return truth, np.clip(truth + 0.1 * rng.normal(size=truth.shape), 0, 1).astype(np.float32)


def test_psnr_is_that_of_scikit_image(two):
    assert measures.psnr(*two) == pytest.approx(
        peak_signal_noise_ratio(*two, data_range=1), abs=1e-4
    )
    assert measures.psnr(two[0], two[0]) == float("inf")


def test_ssim_of_an_image_with_itself_is_one_and_with_noise_below(two):
    assert measures.ssim(two[0], two[0]) == pytest.approx(1)
    assert measures.ssim(*two) < 0.9


def test_multi_scale_ssim_is_that_of_torchmetrics(two):
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    tensors = [torch.from_numpy(image)[None, None].double() for image in two]
    theirs = multiscale_structural_similarity_index_measure(*tensors, data_range=1.0)
    assert measures.ms_ssim(*two) == pytest.approx(float(theirs), abs=0.005)
    with pytest.raises(DataError, match="too small for five scales"):
        measures.ms_ssim(two[0][:100], two[1][:100])


def test_black_has_a_psnr_but_no_correlation(two):
    found = measures.compare(two[0] ** 8, np.zeros_like(two[0]))
    assert found["psnr"] > 15
    assert np.isnan(found["correlation"])
    assert found["psnr_foreground"] < found["psnr"]


def test_a_known_blur_and_intensity_are_found_again(lines):
    fine, _ = lines()
    coarse = measures.binned(fine, 4)
    wide = 3000 * ndimage.gaussian_filter(coarse, 1.4, mode="nearest") + 120
    found = measures.consistency(fine, wide, 4)
    assert found.width == pytest.approx(1.4, rel=0.02)
    assert found.rsp > 0.9999
    assert found.rse < 0.02 * wide.std()


def test_what_is_not_in_the_fine_image_is_bright_in_the_error_map(lines):
    fine, wide = lines()
    less = fine.copy()
    less[:200, :200] = 0
    error = np.abs(measures.consistency(less, wide, 4).error)
    assert error[:46, :46].mean() > 2 * error[56:, 56:].mean()


def test_images_of_unequal_size_or_with_nan_are_not_compared(two):
    with pytest.raises(DataError, match="unequal sizes"):
        measures.psnr(two[0], two[1][1:])
    with pytest.raises(DataError, match="no numbers"):
        measures.ssim(two[0], np.full_like(two[1], np.nan))
