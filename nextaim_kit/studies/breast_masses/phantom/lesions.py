"""Synthetic masses: BI-RADS descriptors that tell malignancy in probability, and their shadow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SHAPES = ("round", "oval", "irregular")
MARGINS = ("circumscribed", "obscured", "microlobulated", "indistinct", "spiculated")
DENSITIES = ("low", "equal", "high")
# Shares of the words among benign and malignant masses; the words are drawn independently, so the
# sum of their log ratios is all that they tell.
_SHARES = {
    "shape": (SHAPES, (0.30, 0.54, 0.16), (0.16, 0.26, 0.58)),
    "margin": (MARGINS, (0.54, 0.24, 0.08, 0.10, 0.04), (0.10, 0.17, 0.14, 0.28, 0.31)),
    "density": (DENSITIES, (0.20, 0.55, 0.25), (0.08, 0.47, 0.45)),
}
_MEDIAN_MM, _SPREAD, _LARGER = 14.0, 0.42, 0.28  # of the diameter; spread and shift of its log
_LARGEST_MM = 40.0
# Of the border's distance from the center, by number round it: their size.
_WAVES = {
    "round": {2: 0.03},
    "oval": {2: 0.18, 3: 0.03},
    "irregular": {2: 0.12, 3: 0.12, 4: 0.09, 5: 0.07},
}
# What a mm of the mass attenuates more than what it replaces, in 1/mm.
_CONTRAST = {"low": 0.020, "equal": 0.030, "high": 0.043}


@dataclass(frozen=True)
class Mass:
    """A mass of a breast, which is seen in each view.

    Attributes
    ----------
    name : str
    malignant : bool
    shape, margin, density : str
    diameter : float
        mm, of the circle of the same area.
    place : tuple of float
        Depth behind the nipple (0 there, 1 at the chest wall), and how far it lies to the side (CC)
        and up or down (MLO), as shares of the breast's half width, -1 to 1.
    """

    name: str
    malignant: bool
    shape: str
    margin: str
    density: str
    diameter: float
    place: tuple[float, float, float]


def draw_mass(name: str, malignant: bool, smallest: float, rng: np.random.Generator) -> Mass:
    """Draw a mass of at least `smallest` mm."""
    words = {
        what: str(rng.choice(names, p=shares[malignant]))
        for what, (names, *shares) in _SHARES.items()
    }
    diameter = 0.0
    while not smallest <= diameter <= _LARGEST_MM:
        shift = _LARGER * malignant
        diameter = float(_MEDIAN_MM * np.exp(rng.normal(shift, _SPREAD)))
    place = (rng.uniform(0.2, 0.85), rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.6))
    return Mass(name, malignant, **words, diameter=diameter, place=place)


def apart(one: Mass, other: Mass) -> tuple[Mass, Mass]:
    """Two masses of a breast, the second small and across the nipple's axis in every view."""
    behind, *first = one.place
    sideways, upwards = (float(np.copysign(max(abs(p), 0.4), p)) for p in first)
    small = min(other.diameter, 16.0)
    across = (other.place[0], -sideways, -upwards)
    return replace(one, place=(behind, sideways, upwards)), replace(
        other, diameter=small, place=across
    )


def oracle(lesions: pd.DataFrame) -> NDArray[np.float64]:
    """Log odds of malignancy that the words and the size of the twin's masses tell.

    No reader can separate the twin's masses better than by this, as prior odds are the same for
    all; the picture shows the words through noise.

    Parameters
    ----------
    lesions : DataFrame
        With ``shape``, ``margin``, ``density`` and ``diameter_mm``.

    Examples
    --------
    >>> words = {"shape": "irregular", "margin": "spiculated", "density": "high"}
    >>> bool(oracle(pd.DataFrame([words | {"diameter_mm": 20.0}]))[0] > 2)
    True
    """
    z = np.log(lesions["diameter_mm"].to_numpy(float) / _MEDIAN_MM)
    odds = (z**2 - (z - _LARGER) ** 2) / (2 * _SPREAD**2)
    for what, (names, benign, malignant) in _SHARES.items():
        ratio = dict(zip(names, np.log(np.divide(malignant, benign)), strict=True))
        odds = odds + lesions[what].map(ratio).to_numpy(float)
    return odds


def shadow(
    mass: Mass, center: tuple[float, float], grid: tuple[NDArray, NDArray], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a mass adds to the attenuation along the beam, and where it is.

    Parameters
    ----------
    mass : Mass
    center : tuple of float
        x and y in mm.
    grid : tuple of array
        x and y of the pixels in mm, of shapes (1, columns) and (rows, 1).
    rng : Generator

    Returns
    -------
    attenuation : array of shape (rows, columns)
        Thickness along the beam times the difference in attenuation; spicules go beyond the mass.
    inside : array of bool of the same shape
        The mass without its spicules.
    """
    reach = 1.8 * mass.diameter
    near = [
        np.flatnonzero(np.abs(g.ravel() - c) < reach) for g, c in zip(grid, center, strict=True)
    ]
    columns, rows = (slice(int(index[0]), int(index[-1]) + 1) for index in near)
    x, y = grid[0][:, columns] - center[0], grid[1][rows] - center[1]
    attenuation = np.zeros((grid[1].size, grid[0].size), np.float32)
    inside = np.zeros(attenuation.shape, bool)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    edge = _edge(mass, angle, rng)
    thick = _thickness(mass, angle, radius / edge, rng)
    if mass.margin == "spiculated":
        thick = np.maximum(thick, _spicules(angle, radius, edge, rng))
    attenuation[rows, columns] = _CONTRAST[mass.density] * thick
    inside[rows, columns] = radius <= edge
    return attenuation, inside


def _thickness(mass: Mass, angle: NDArray, part: NDArray, rng: np.random.Generator) -> NDArray:
    """Along the beam in mm, without spicules; `part` is 1 at the border."""
    depth = 0.75 * mass.diameter**0.6 * _MEDIAN_MM**0.4  # compression flattens the large ones more
    thick = depth * np.sqrt(np.clip(1 - part**2, 0, None))
    if mass.margin == "indistinct":
        thick *= np.clip(1.25 * (1 - part**2), 0, 1) ** 0.8
    if mass.margin == "obscured":  # a part of the border is lost in what lies above it
        hidden = np.clip(1.5 * np.cos((angle - rng.uniform(-np.pi, np.pi)) / 1.3) - 0.2, 0, 1)
        thick *= 1 - 0.9 * hidden * np.clip(1.6 * part - 0.5, 0, 1)
    return thick


def _edge(mass: Mass, angle: NDArray, rng: np.random.Generator) -> NDArray:
    """Distance of the border from the center, by angle; the area is that of the diameter."""
    turned = angle - rng.uniform(0, np.pi)
    wave = np.zeros_like(angle)
    steps = np.linspace(-np.pi, np.pi, 721)
    flat = np.zeros_like(steps)
    waves = dict(_WAVES[mass.shape])
    if mass.margin == "microlobulated":
        waves[int(rng.integers(8, 13))] = 0.08
    if mass.margin == "spiculated":
        waves[int(rng.integers(6, 9))] = 0.06
    for k, size in waves.items():
        phase = 0.0 if k == 2 else rng.uniform(0, 2 * np.pi)
        wave += size * np.cos(k * turned + phase)
        flat += size * np.cos(k * steps + phase)
    return mass.diameter / 2 * (1 + wave) / np.sqrt(np.mean((1 + flat) ** 2))


def _spicules(angle: NDArray, radius: NDArray, edge: NDArray, rng: np.random.Generator) -> NDArray:
    """Thickness in mm of thin strands that go out from the border."""
    count = int(rng.integers(12, 20))
    at = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count - np.pi
    reach, strong = rng.uniform(1.3, 2.3, count), rng.uniform(2, 6, count)
    thick = np.zeros(radius.shape)
    ring = (radius > 0.6 * edge) & (radius < 2.3 * edge)
    gaps = np.abs(angle[ring][:, None] - at)
    gaps = np.minimum(gaps, 2 * np.pi - gaps)
    which = gaps.argmin(1)
    off = gaps.min(1) * radius[ring]
    left = np.clip(reach[which] - radius[ring] / edge[ring], 0, 1)
    thick[ring] = strong[which] * left**0.7 * np.exp(-((off / (0.35 + 0.5 * left)) ** 2))
    return thick
