"""Bright disks (benign) and stars (malignant) on noise, in place of masses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nextaim_kit.studies.breast_masses.masses import Masses


@pytest.fixture(scope="session")
def disks_and_stars():
    """Makes n crops, every second one a star."""
    return _disks_and_stars


def _disks_and_stars(n: int, size: int = 64, seed: int = 0) -> Masses:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    down, right = np.mgrid[:size, :size] - size / 2
    pictures = [_drawn(rng, down, right, bool(star)) for star in y]
    names = [f"L{k}" for k in range(n)]
    table = pd.DataFrame({"subject": names, "lesion": names, "site": "A", "label": y})
    table["patient"] = [f"P{k // 2}" for k in range(n)]
    return Masses(np.stack(pictures).astype(np.float32), table)


def _drawn(rng, down, right, star: bool) -> np.ndarray:
    y, x = rng.normal(0, 3, 2)
    r, angle = np.hypot(down - y, right - x), np.arctan2(down - y, right - x)
    edge = 10 + rng.uniform(-2, 4) + star * 4 * np.cos(7 * angle + rng.uniform(0, 6))
    picture = 0.3 + 0.4 / (1 + np.exp(r - edge)) + 0.05 * rng.normal(size=r.shape)
    return picture.clip(0, 1)
