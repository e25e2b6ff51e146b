"""The signal: dipy's multi-tensor model, and Rice's noise."""

from __future__ import annotations

import numpy as np
import pytest

from nextaim_kit.studies.thalamus_tractography.phantom import scanner
from nextaim_kit.studies.thalamus_tractography.phantom.signal import (
    ACROSS,
    ALONG,
    Medium,
    signal_of,
    tensor_of,
)


def _crossing():
    directions = np.zeros((1, 3, 3), np.float32)
    directions[0, :2] = [[1, 0, 0], [0, np.sin(1.1), np.cos(1.1)]]
    return Medium({}, np.array([[0.6, 0.4, 0]], np.float32), directions)


@pytest.mark.parametrize("kind", ["clinical", "three_shells"])
def test_crossing_fibers_give_the_signal_that_dipy_simulates(kind):
    from dipy.core.gradients import gradient_table
    from dipy.sims.voxel import multi_tensor

    bvals, vectors = scanner.gradient_table(kind)
    medium = _crossing()
    found = [signal_of(medium, b, g)[0] for b, g in zip(bvals, vectors, strict=True)]
    table = gradient_table(bvals, bvecs=vectors, b0_threshold=10)
    values = np.tile([ALONG, ACROSS, ACROSS], (2, 1))
    angles = [tuple(v) for v in medium.directions[0, :2].astype(float)]
    expected, _ = multi_tensor(table, values, S0=1, angles=angles, fractions=[60, 40], snr=None)
    assert np.abs(np.array(found) - expected).max() < 1e-5


def test_one_fiber_gives_its_own_tensor():
    bvals, vectors = scanner.gradient_table("clinical")
    medium = Medium({}, np.array([[1, 0, 0]], np.float32), np.eye(3, dtype=np.float32)[None])
    signals = np.stack([signal_of(medium, b, g) for b, g in zip(bvals, vectors, strict=True)], 1)
    expected = [ALONG, 0, ACROSS, 0, 0, ACROSS]
    assert np.abs(tensor_of(signals, bvals, vectors)[0] - expected).max() < 1e-8


def test_a_magnitude_without_signal_has_rayleighs_mean():
    seen = scanner.noisy(np.zeros((40, 40, 40), np.float32), 3.0, np.random.default_rng(0))
    assert seen.mean() == pytest.approx(3 * np.sqrt(np.pi / 2), rel=0.01)


def test_directions_are_spread_over_the_whole_sphere():
    bvals, vectors = scanner.gradient_table("clinical")
    weighted = vectors[bvals > 0]
    cosines = np.abs(weighted @ weighted.T) - np.eye(32)
    assert np.degrees(np.arccos(cosines.max())) > 12
    assert np.linalg.eigvalsh(weighted.T @ weighted) == pytest.approx([32 / 3] * 3, rel=0.1)
