"""Microscopes: what is known of spots, photons and localizations by calculation."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.microscopy_superres.phantom import microscopes
from nextaim_kit.studies.microscopy_superres.phantom.microscopes import Optics, Storm, blink


def spot(z, optics, size=32):
    middle = np.array([[(size / 2) * optics.pixel, (size / 2) * optics.pixel, z]])
    return microscopes.expected_photons(np.repeat(middle, 1000, 0), size, optics)


def width(image, pixel):
    """Full width at half maximum of the middle row and of its neighbor's mean, in nm."""
    line = image[len(image) // 2 - 1 : len(image) // 2 + 1].sum(0)
    fine = np.interp(np.linspace(0, len(line) - 1, 4001), np.arange(len(line)), line)
    return (fine > fine.max() / 2).mean() * len(line) * pixel


def test_a_spot_in_focus_is_half_a_wavelength_over_the_aperture_wide():
    optics = Optics(pixel=25.0, wavelength=600.0, aperture=1.4)
    seen = width(spot(50.0, optics, 64), 25.0)
    assert seen == pytest.approx(0.51 * 600 / 1.4, rel=0.08)


def test_a_spot_out_of_focus_is_wider_and_keeps_its_light():
    near, far = spot(0.0, Optics()), spot(900.0, Optics())
    assert far.max() < 0.4 * near.max()
    assert near.sum() == pytest.approx(1000 * Optics().photons, rel=0.04)  # the rest is outside


def test_light_beyond_the_cutoff_is_not_seen():
    optics = Optics(pixel=50.0)
    passed = microscopes.transfer(0.0, (128, 128), 25.0, optics.wavelength, optics.aperture)
    f = np.hypot(np.fft.fftfreq(128, 25.0)[:, None], np.fft.rfftfreq(128, 25.0))
    assert np.abs(passed[f > 2.05 * optics.aperture / optics.wavelength]).max() < 1e-3
    assert np.abs(passed[0, 0]) == pytest.approx(1)


def test_a_camera_has_gain_offset_shot_and_read_noise():
    rng, optics = np.random.default_rng(0), Optics(background=0.0)
    dark = microscopes.expose(np.zeros((200, 200)), optics, rng).astype(float)
    assert dark.mean() == pytest.approx(optics.offset, abs=0.1)
    assert dark.std() == pytest.approx(optics.gain * optics.read_noise, rel=0.03)
    lit = microscopes.expose(np.full((200, 200), 400.0), optics, rng).astype(float)
    assert lit.var() == pytest.approx(optics.gain**2 * (400 + optics.read_noise**2), rel=0.05)


def test_localization_precision_falls_with_the_root_of_the_photons():
    few, many = microscopes.localization_precision(np.array([500.0, 2000.0]), 0.0, Optics(), 0.0)
    assert few / many == pytest.approx(2)
    assert few == pytest.approx(np.sqrt((Optics().width ** 2 + 100**2 / 12) / 500))


def test_blinks_scatter_by_their_precision_and_end_at_the_depth():
    rng = np.random.default_rng(0)
    dyes = np.tile([[5000.0, 5000.0, 0.0], [5000.0, 5000.0, 500.0]], (2000, 1))
    seen = blink(dyes, 1e4, Optics(), Storm(drift=0.0, false=0.0), rng)
    assert set(seen.dye % 2) == {0}
    off = (seen.xy - 5000) / seen.precision[:, None]
    assert off.std() == pytest.approx(1, rel=0.03)
    assert len(seen.xy) == pytest.approx(2000 * 0.7 * 4, rel=0.1)


def test_false_localizations_lie_anywhere_and_belong_to_no_dye():
    rng = np.random.default_rng(0)
    seen = blink(np.full((1000, 3), 100.0), 1e4, Optics(), Storm(false=0.5), rng)
    wrong = seen.dye < 0
    assert wrong.sum() == pytest.approx(0.5 * (~wrong).sum(), rel=0.15)
    assert seen.xy[wrong].mean() == pytest.approx(5000, rel=0.1)


def test_structured_illumination_is_twice_as_fine():
    rng, dye = np.random.default_rng(0), np.array([[1600.0, 1600.0, 0.0]])
    optics = Optics(pixel=50.0, photons=1e5, background=0.0)
    fine = microscopes.structured(dye, 64, optics, rng)
    wide = microscopes.expected_photons(dye, 64, optics)
    assert fine.shape == (128, 128)
    assert width(wide, 50.0) / width(fine, 25.0) == pytest.approx(2, rel=0.2)
