"""Noise whose size is known, taken out as dipy's slow routine does."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography import denoising


@pytest.fixture(scope="module")
def series():
    """Twelve volumes of two patterns: clean, with noise of 5, and all of it as the mask."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 10)[:, None, None, None] * np.ones((10, 9, 8, 1))
    clean = 100 + 50 * x * rng.random(12) + 30 * x[::-1] * rng.random(12)
    return clean, clean + rng.normal(0, 5, clean.shape), np.ones((10, 9, 8), bool)


def test_noise_is_measured_and_taken_out(series):
    clean, noisy, mask = series
    found, sigma = denoising.denoise(noisy, mask)
    assert sigma == pytest.approx(5, rel=0.1)
    before, after = (np.sqrt(np.mean((one - clean) ** 2)) for one in (noisy, found))
    assert after < 0.6 * before
    assert np.isfinite(found).all()  # at the border as well


def test_with_a_stride_of_one_it_is_dipy_s(series, monkeypatch):
    from dipy.denoise.localpca import mppca

    monkeypatch.setattr(denoising, "_STRIDE", 1)
    _, noisy, mask = series
    found, sigma = denoising.denoise(noisy, mask)
    known, noise = mppca(noisy, mask=mask, patch_radius=1, return_sigma=True)
    inner = np.s_[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(found[inner], known[inner], rtol=1e-4)
    assert sigma == pytest.approx(np.median(noise), rel=0.02)


def test_outside_the_mask_the_data_stay(series):
    _, noisy, mask = series
    part = mask.copy()
    part[5:] = False
    found, _ = denoising.denoise(noisy, part)
    assert (found[5:] == noisy[5:].astype(np.float32)).all()
