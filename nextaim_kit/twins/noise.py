"""Noise that is correlated over a distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def smooth_noise(
    shape: Sequence[int], sigma: float | Sequence[float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of mean 0 and variance 1 that is correlated over `sigma` pixels; its ends join."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return (field - field.mean()) / field.std()
