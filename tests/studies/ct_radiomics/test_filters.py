"""Passes of the filters against ITK's and PyWavelets' on whole images."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from radiomics import imageoperations

from nextaim_kit.studies.ct_radiomics.laplacian import laplacian
from nextaim_kit.studies.ct_radiomics.region import as_box
from nextaim_kit.studies.ct_radiomics.wavelets import wavelets

BOXES = {
    "whole": (slice(0, 15), slice(0, 22), slice(0, 19)),
    "at the end": (slice(4, 15), slice(9, 22), slice(11, 19)),
    "inside": (slice(6, 9), slice(8, 14), slice(8, 11)),
}
WAVELETS = {
    "coif1": {},
    "of two levels after one": {"wavelet": "db3", "level": 2, "start_level": 1},
    "longer than the image": {"wavelet": "dmey"},
    "shortest": {"wavelet": "haar", "level": 3},
    "within slices": {"wavelet": "rbio3.1", "force2D": True, "force2Ddimension": 1},
}


@pytest.fixture(scope="module")
def values():
    """Noise beside a constant part, whose bands are 0 but for what rounding leaves."""
    made = np.rint(np.random.default_rng(4).normal(-300, 120, (15, 22, 19)))
    made[:, :9] = -1000
    return made


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("wavelet", WAVELETS)
def test_each_band_is_pywavelets_to_the_last_digit(values, wavelet, box, kind):
    image, chosen = values.astype(kind), WAVELETS[wavelet]
    image.setflags(write=False)  # as an image is seen that SimpleITK holds
    made = imageoperations.getWaveletImage(sitk.GetImageFromArray(image), None, **chosen)
    expected = {name: sitk.GetArrayFromImage(band)[BOXES[box]] for band, name, _ in made}
    mask = np.indices(image[BOXES[box]].shape).sum(axis=0) % 3 > 0
    found = dict(wavelets(image, BOXES[box], mask, chosen))
    assert list(found) == list(expected)
    for name, band in expected.items():
        assert found[name].dtype == band.dtype
        np.testing.assert_array_equal(found[name], band[mask], name)


def itk_laplacian(image, sigma, spacing):
    made = sitk.GetImageFromArray(image)
    made.SetSpacing(spacing[::-1])
    chosen = {"normalizeAcrossScale": True, "sigma": sigma}
    return sitk.GetArrayFromImage(sitk.LaplacianRecursiveGaussian(made, **chosen))


@pytest.mark.parametrize(("kind", "sigma"), [("int16", 0.6), ("float64", 1.5), ("float32", 5.0)])
def test_the_laplacian_is_itks_but_for_a_last_digit_here_and_there(tissue, kind, sigma):
    image, spacing = tissue((24, 40, 36)).astype(kind), (2.5, 0.8, 0.7)
    image.setflags(write=False)  # as an image is seen that SimpleITK holds
    whole = as_box(slice(0, n) for n in image.shape)
    found, expected = (
        laplacian(image, spacing, whole, sigma),
        itk_laplacian(image, sigma, spacing),
    )
    assert found.dtype == expected.dtype
    assert np.mean(found == expected) > 0.999
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_a_laplacian_of_a_part_looks_no_farther_than_its_margin(tissue):
    image, box = tissue((60, 64, 70)).astype(np.float32), as_box([slice(28, 33)] * 3)
    whole = laplacian(image, (1.0, 1.0, 1.0), as_box(slice(0, n) for n in image.shape), 0.8)
    image[:4] = image[:, -4:] = image[..., :3] = np.nan
    found = laplacian(image, (1.0, 1.0, 1.0), box, 0.8)
    assert np.mean(found == whole[box]) > 0.99
    np.testing.assert_allclose(found, whole[box], rtol=1e-6)


def test_a_band_of_a_part_looks_no_farther_than_its_taps(values):
    box, mask = BOXES["inside"], np.ones((3, 6, 3), bool)
    whole = dict(wavelets(values, box, mask, {}))
    far = np.full_like(values, np.nan)
    around = as_box(slice(b.start - 2, b.stop + 3) for b in box)
    far[around] = values[around]
    for name, band in wavelets(far, box, mask, {}):
        np.testing.assert_array_equal(band, whole[name])
