"""A chest of ellipsoids, and what a frontal film sees of it.

Every organ is an interval along the ray at each point of the film, so that thicknesses, and
what one organ takes from another, are exact and cost milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from nextaim_kit.data.twins import smooth_noise

# Attenuation per mm at diagnostic energies, over that of water at about 0.02.
SOFT, LUNG, BONE, AIR = 0.0200, 0.0052, 0.0390, 0.0
FIELD_MM = 350.0  # edge of the film, which is square

Film = NDArray[np.float64]
Mask = NDArray[np.bool_]
Interval = tuple[Film, Film]


@dataclass(frozen=True)
class Disease:
    """What severity acts on.

    Parameters
    ----------
    extent : float
        Share of the lungs that is opaque, 0 to 1.
    density : float
        How much of the air in an opacity is lost, 0 to 1.
    """

    extent: float
    density: float


@dataclass(frozen=True)
class Chest:
    """Line integrals and outlines, all of shape (size, size), rows from head to foot.

    Parameters
    ----------
    attenuation : array
        Integral along each ray.
    lungs : array of int
        1: the patient's right lung (on the film's left), 2: the left one, 0: elsewhere. What the
        heart and the diaphragm cover does not count.
    """

    attenuation: Film
    lungs: NDArray[np.uint8]


def draw_chest(size: int, disease: Disease, rng: np.random.Generator) -> Chest:
    """Draw one patient.

    Parameters
    ----------
    size : int
        Edge of the film in pixels.
    disease : Disease
    rng : Generator
    """
    axis = (np.arange(size) + 0.5) / size * FIELD_MM - FIELD_MM / 2
    scale = rng.normal(1.0, 0.05, 2)
    x, z = axis[None, :] / scale[0] + rng.normal(0, 5), axis[:, None] / scale[1] + rng.normal(0, 6)
    depth = rng.normal(1.0, 0.08)
    body = _body(x, z, depth)
    heart = _ellipsoid(x, z, (22, 46), (58 * rng.normal(1, 0.08), 60), (-18, 56))
    dome = _ellipsoid(x, z, (0, 190), (150, 112 + rng.normal(0, 8)), (0, 95))
    vessels = _ellipsoid(x, z, (3, -46), (33, 74), (-5, 44))
    air = np.zeros((size, size))
    lungs = np.zeros((size, size), np.uint8)
    for label, side in ((1, -1), (2, 1)):
        center = (side * (70 + rng.normal(0, 2)), 0 + rng.normal(0, 3))
        lobe = _egg(x, z, center, (56 + rng.normal(0, 3), 132), 88 * depth, side)
        left = _length(lobe)
        for other in (heart, dome, vessels):
            left = left - _overlap(lobe, other)
        left = np.clip(left, 0, None)
        air += left
        free = (_length(heart) == 0) & (_length(dome) == 0) & (left > 25)
        lungs[free] = label
    bones = _bones(x, z, body, rng)
    solid = _opacities(size, air, disease, rng)
    lost = (SOFT - LUNG) * (air - solid)
    attenuation = SOFT * _length(body) - lost + (BONE - SOFT) * bones
    attenuation += 0.004 * _markings(size, air, rng)
    return Chest(np.clip(attenuation, 0, None), lungs)


def _body(x: Film, z: Film, depth: float) -> Interval:
    """Trunk with shoulders and neck; arms are out of the way."""
    shoulder = 1 / (1 + np.exp(-(z + 128) / 14))
    width = 62 + 118 * shoulder
    half = 108 * depth * (0.62 + 0.38 * shoulder)
    inside = np.clip(1 - (x / width) ** 4, 0, None)
    t = half * np.sqrt(inside)
    return -t, t


def _ellipsoid(
    x: Film, z: Film, center: tuple[float, float], radii: tuple[float, float], along: tuple
) -> Interval:
    """Interval along the ray; `along` is center and half depth."""
    inside = np.clip(
        1 - ((x - center[0]) / radii[0]) ** 2 - ((z - center[1]) / radii[1]) ** 2, 0, 1
    )
    t = along[1] * np.sqrt(inside)
    return along[0] - t, along[0] + t


def _egg(
    x: Film,
    z: Film,
    center: tuple[float, float],
    radii: tuple[float, float],
    half: float,
    side: int,
) -> Interval:
    """A lung: narrow at the apex, flat on the side of the spine."""
    u, w = (x - center[0]) / radii[0], (z - center[1]) / radii[1]
    taper = 0.62 + 0.38 / (1 + np.exp(-(w + 0.55) * 6))
    u = (u + side * 0.18 * (1 - taper) / 0.38) / taper
    inside = np.clip(1 - np.abs(u) ** 2.6 - np.abs(w) ** 3.2, 0, 1)
    t = half * np.sqrt(inside)
    return -t, t


def _length(interval: Interval) -> Film:
    return np.clip(interval[1] - interval[0], 0, None)


def _overlap(one: Interval, other: Interval) -> Film:
    return np.clip(np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]), 0, None)


def _bones(x: Film, z: Film, body: Interval, rng: np.random.Generator) -> Film:
    """Thickness of bone: spine with its discs, ribs in front and behind, clavicles."""
    there = _length(body) > 0
    spine = 15 * np.sqrt(np.clip(1 - (x / 20) ** 2, 0, None)) * (0.62 + 0.38 * (np.mod(z, 25) < 19))
    bones = spine * there
    tilt = rng.normal(0, 0.03)
    for k in range(10):
        top = -128 + 25 * k
        reach = 78 + 62 * np.sin(np.pi * min(1.0, (k + 2.5) / 9))
        u = np.abs(x) / reach
        inside = np.clip(1 - u**2, 0, None)
        behind = top + 34 * u**1.6 - 16 * u + tilt * x
        before = top + 62 - 46 * np.sqrt(inside) + tilt * x
        for line, width, thick in ((behind, 6.0, 8.5), (before, 6.5, 5.0)):
            edge = np.clip(1 - ((z - line) / width) ** 2, 0, None)
            # A rib that runs along the ray at the chest's border is longer in it.
            bones = bones + thick * np.sqrt(edge) * (u < 1) * np.minimum(
                1 / np.sqrt(inside + 0.06), 3
            )
    u = (np.abs(x) - 74) / 60
    clavicle = np.clip(1 - ((z + 112 + 5 * np.sin(3 * u) + 10 * u + tilt * x) / 6.5) ** 2, 0, None)
    return (bones + 11 * np.sqrt(clavicle) * (np.abs(u) < 1)) * there


def _field(size: int, scale_mm: float, rng: np.random.Generator) -> Film:
    """Smooth noise of unit variance."""
    return smooth_noise((size, size), scale_mm / FIELD_MM * size, rng).astype(float)


def _markings(size: int, air: Film, rng: np.random.Generator) -> Film:
    """Vessels: thin lines where smooth fields cross zero, denser near the hilum."""
    lines = sum(np.exp(-((_field(size, s, rng) / 0.10) ** 2)) for s in (7, 11, 16))
    row, column = np.indices((size, size)) / size - 0.5
    near = np.exp(-((np.abs(column) - 0.1) ** 2 / 0.012 + (row - 0.02) ** 2 / 0.03))
    return air * lines * (0.25 + 0.9 * near) / 3


def _opacities(size: int, air: Film, disease: Disease, rng: np.random.Generator) -> Film:
    """Thickness of lung that lost its air: patches, low and at the border first."""
    row, column = np.indices((size, size)) / size - 0.5
    field = _field(size, 22, rng) + 1.6 * row + 1.4 * np.abs(column)
    inside = air > 5
    if not inside.any() or disease.extent <= 0:
        return np.zeros_like(air)
    cut = np.quantile(field[inside], 1 - disease.extent)
    soft = 1 / (1 + np.exp(-(field - cut) / 0.35))
    grain = np.clip(1 + 0.16 * _field(size, 3, rng) + 0.16 * _field(size, 9, rng), 0.3, 1.7)
    return np.clip(air * disease.density * soft * grain, 0, air)


def tilted(image: NDArray, degrees: float, *, order: int) -> NDArray:
    """An image turned about its middle: no patient stands quite straight."""
    angle, middle = np.deg2rad(degrees), (len(image) - 1) / 2
    row, column = np.indices(image.shape) - middle
    turned = [
        np.cos(angle) * row - np.sin(angle) * column + middle,
        np.sin(angle) * row + np.cos(angle) * column + middle,
    ]
    return map_coordinates(image, turned, order=order, mode="nearest")
