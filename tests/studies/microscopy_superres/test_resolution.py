"""Resolution: images whose band limit is known."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.errors import DataError
from nextaim_kit.studies.microscopy_superres.resolution import decorrelation, ring_correlation


def limited(cutoff, seed=0, edge=256):
    """White structure up to a frequency in cycles per pixel, and nothing beyond."""
    noise = np.fft.fft2(np.random.default_rng(seed).normal(size=(edge, edge)))
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(edge)] * 2))
    return np.fft.ifft2(noise * (f <= cutoff)).real


def noisy(image, seed, size):
    return image + size * image.std() * np.random.default_rng(seed).normal(size=image.shape)


@pytest.mark.parametrize("cutoff", [0.15, 0.2, 0.3])
def test_ring_correlation_finds_a_band_limit_within_two_percent(cutoff):
    image = limited(cutoff, edge=768)
    rings = ring_correlation(noisy(image, 1, 1.0), noisy(image, 2, 1.0), pixel=10.0)
    assert rings.resolution() == pytest.approx(10 / cutoff, rel=0.02)
    assert rings.resolution("half-bit") == pytest.approx(10 / cutoff, rel=0.02)


def test_ring_correlation_falls_where_signal_and_noise_say_so():
    edge, width = 512, 1.5
    f = np.hypot(*np.meshgrid(*[np.fft.fftfreq(edge)] * 2))
    white = np.fft.fft2(np.random.default_rng(0).normal(size=(edge, edge)))
    image = np.fft.ifft2(white * np.exp(-2 * (np.pi * width * f) ** 2)).real
    a, b = (image + 0.05 * np.random.default_rng(s).normal(size=image.shape) for s in (1, 2))
    # Correlation = S / (S + N) = 1/7 where S / N = exp(-4 pi^2 w^2 f^2) / 0.05^2 = 1/6.
    at = np.sqrt(np.log(6 / 0.05**2)) / (2 * np.pi * width)
    assert ring_correlation(a, b).resolution() == pytest.approx(1 / at, rel=0.03)


def test_half_a_bit_is_its_published_formula():
    rings = ring_correlation(limited(0.2), limited(0.2))
    n = rings.points[20]
    expected = (0.2071 + 1.9102 / np.sqrt(n)) / (1.2071 + 0.9102 / np.sqrt(n))
    assert rings.threshold("half-bit")[20] == pytest.approx(expected)


def test_an_image_with_itself_never_falls_and_noise_alone_shows_nothing_fine():
    image = noisy(limited(0.2), 1, 0.5)
    assert np.isnan(ring_correlation(image, image).resolution())
    a, b = (np.random.default_rng(s).normal(size=(256, 256)) for s in (1, 2))
    assert not ring_correlation(a, b).resolution() < 30  # or NaN


@pytest.mark.parametrize("cutoff", [0.1, 0.2, 0.3])
def test_decorrelation_finds_the_band_limit_of_a_single_image(cutoff):
    found = decorrelation(noisy(limited(cutoff), 1, 0.3), pixel=10.0)
    assert found == pytest.approx(10 / cutoff, rel=0.08)


def test_an_oblong_image_counts_by_its_middle_square():
    image = limited(0.2)
    wide = np.concatenate([image[:, :64] * 0, image, image[:, :64] * 0], axis=1)
    a, b = (noisy(wide, s, 0.5) for s in (1, 2))
    middle = (part[:, 64:-64] for part in (a, b))
    assert ring_correlation(a, b).resolution() == ring_correlation(*middle).resolution()


def test_what_has_no_spectrum_is_refused():
    with pytest.raises(DataError, match="one gray"):
        decorrelation(np.ones((64, 64)))
    with pytest.raises(DataError, match="fewer than 32"):
        decorrelation(np.eye(20))
    with pytest.raises(DataError, match="unequal size"):
        ring_correlation(np.eye(64), np.eye(65))
