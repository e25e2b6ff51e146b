"""The soft parts of a chest and its air: trunk, lungs, heart, diaphragm, airways, vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.cxr_severity.phantom.shapes import (
    Film,
    Grid,
    Interval,
    beads,
    curve,
    ellipsoid,
    hull,
    length,
    tubes,
)


@dataclass(frozen=True)
class Build:
    """A patient's measures, in mm.

    Parameters
    ----------
    half : float
        Half the width of both lungs.
    apex, dome : float
        Heights (z) of the lungs' tops and of the right half of the diaphragm.
    lower : float
        By how much the left half of the diaphragm lies lower.
    depth : float
        Depth of the chest over the average.
    slope : float
        By how much the shoulders lie below the neck.
    fat : float
        Thickness of the chest's wall at its side.
    breast : float
        Thickness of each breast; 0 for none that shows.
    heart : float
        Size of the heart over the average.
    knob : float
        Radius of the aortic arch.
    turn : float
        By how much the mediastinum lies to the film's right.
    """

    half: float
    apex: float
    dome: float
    lower: float
    depth: float
    slope: float
    fat: float
    breast: float
    heart: float
    knob: float
    turn: float

    @property
    def bottom(self) -> float:
        """Height of the lungs' lower ends, behind the diaphragm."""
        return self.dome + self.lower + 62


def draw_build(rng: np.random.Generator) -> Build:
    """Draw a patient's measures."""
    return Build(
        half=float(np.clip(rng.normal(142, 11), 116, 160)),
        apex=float(np.clip(rng.normal(-126, 8), -146, -108)),
        dome=float(np.clip(rng.normal(62, 20), 10, 98)),
        lower=float(np.clip(rng.normal(13, 5), 0, 26)),
        depth=float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2)),
        slope=float(rng.uniform(8, 36)),
        fat=float(np.clip(rng.gamma(4, 8), 12, 70)),
        breast=float(max(0.0, rng.uniform(-18, 18))),
        heart=float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.25)),
        knob=float(rng.uniform(12, 20)),
        turn=float(rng.normal(0, 4)),
    )


@dataclass(frozen=True)
class Lung:
    """One lung as the ribs bound it, before heart and diaphragm take their place.

    Parameters
    ----------
    inside : Interval
    across : array
        -1 at the mediastinum, 1 at the chest's wall.
    down : array of shape (size, 1)
        0 at the top, 1 at the lower end.
    """

    inside: Interval
    across: Film
    down: Film


def outer_border(build: Build, down: Film) -> Film:
    """Distance of a lung's outer border from the midline."""
    return 46 + (build.half - 46) * np.sqrt(np.maximum(1 - (1 - np.clip(down, 0, 1)) ** 2.8, 0))


def draw_lung(grid: Grid, build: Build, side: int) -> Lung:
    """Draw the right lung (`side` -1, on the film's left) or the left one (1)."""
    down = (grid.z - build.apex) / (build.bottom - build.apex)
    v = np.clip(down, 0, 1)
    outer = outer_border(build, v)
    inner = 20 + side * 0.4 * build.turn + 24 * np.exp(-v / 0.04)
    across = (side * grid.x - (outer + inner) / 2) / np.maximum((outer - inner) / 2, 1)
    # Flat at the mediastinum, round at the ribs.
    square = across**2
    inside = 1 - np.where(across > 0, square, square * square * square)
    half = (
        84
        * build.depth
        * (0.3 + 0.7 * np.sqrt(np.maximum(1 - (1 - np.minimum(v / 0.5, 1)) ** 2, 0)))
    )
    half = half * np.sqrt(np.maximum(1 - v**14, 0)) * ((down > 0) & (down < 1))
    t = half * np.sqrt(np.clip(inside, 0, None))
    return Lung((-t, t), np.clip(across, -1, 1), v)


def draw_trunk(grid: Grid, build: Build) -> Film:
    """Thickness of the body: trunk, neck, upper arms, breasts."""
    beside, wide = np.abs(grid.x), build.half + build.fat
    top = build.apex - 52 + build.slope * (beside / 150) ** 2
    below = np.clip((grid.z - top) / 60, 0, 1)
    half = (96 + 0.6 * build.fat) * build.depth * np.sqrt(np.maximum(1 - (1 - below) ** 2, 0))
    trunk = 2 * half * np.sqrt(np.clip(1 - (beside / (wide + 6)) ** 5, 0, None))
    neck = 110 * np.sqrt(np.clip(1 - (grid.x / 56) ** 2, 0, None)) * (grid.z < build.apex)
    body = np.maximum(trunk, neck)
    arms = [
        np.array([(side * (wide - 4), build.apex + 26), (side * (wide + 20), 110)])
        for side in (-1, 1)
    ]
    body = np.maximum(body, tubes(grid, arms, [np.array([46, 38])] * 2))
    for side in (-1, 1) if build.breast else ():
        place = (side * 0.58 * build.half, build.dome + 8)
        body += length(ellipsoid(grid, place, (66, 60), (0, 0.5))) ** 2 * build.breast
    return body


def draw_heart(grid: Grid, build: Build) -> list[Interval]:
    """Draw the heart with the great vessels above it, and the aorta's way down."""
    k, x, z = build.heart * build.half / 139, build.turn, build.dome
    ventricle = ellipsoid(grid, (x + 25 * k, z - 16), (73 * k, 43 * k), (-22, 50 * k), 37)
    atrium = ellipsoid(grid, (x - 14 * k, z - 26), (29 * k, 44 * k), (-6, 38 * k), -6)
    trunk = ellipsoid(grid, (x + 19, z - 80), (21 * k, 30), (-10, 22), 15)
    upper = ellipsoid(grid, (x - 2, z - 100), (27, 76), (-12, 36))
    knob = (x + 33 - build.knob, build.apex + 78)
    arch = ellipsoid(grid, knob, (build.knob, build.knob + 1), (0, 34))
    aorta = ellipsoid(grid, (x + 17, 40), (14, 130), (58, 13))
    above = hull(hull(trunk, upper), arch)
    return [hull(hull(ventricle, atrium), above), aorta]


def draw_diaphragm(grid: Grid, build: Build) -> list[Interval]:
    """Draw the two domes with what is below them."""
    domes = []
    for side, lower in ((-1, 0.0), (1, build.lower)):
        center = (side * 0.49 * build.half, build.dome + lower + 60)
        level = Grid(grid.x, np.minimum(grid.z, center[1]))
        radii = (0.58 * build.half, 60.0)
        domes.append(ellipsoid(level, center, radii, (-8, 86 * build.depth)))
    return domes


def draw_airways(grid: Grid, build: Build) -> Film:
    """Thickness of the air in the trachea and the main bronchi."""
    x = build.turn
    carina = (x + 2, build.apex + 92)
    trachea = curve((0.3 * x, -220), (0.6 * x, build.apex), (x + 5, build.apex + 60), carina)
    right = curve(carina, (x - 12, carina[1] + 14), (x - 27, carina[1] + 34))
    left = curve(carina, (x + 16, carina[1] + 14), (x + 36, carina[1] + 24))
    return 1.4 * tubes(grid, [trachea, right, left], [8.5, 5.5, 5.0])


def draw_bowel_gas(grid: Grid, build: Build, rng: np.random.Generator) -> Film:
    """Thickness of the air in the stomach, and in some patients in the colon beside it."""
    size = rng.uniform(0.4, 1.3)
    place = (rng.uniform(42, 66), build.dome + build.lower + 12 + 18 * size)
    gas = length(ellipsoid(grid, place, (27 * size, 15 * size), (-20, 20 * size), -8))
    for _ in range(rng.integers(0, 3)):
        place = (rng.uniform(60, 105), build.dome + build.lower + rng.uniform(45, 70))
        gas += length(ellipsoid(grid, place, (16, 11), (-30, 12), rng.uniform(-40, 40)))
    return gas


def draw_vessels(grid: Grid, build: Build, side: int, rng: np.random.Generator) -> Film:
    """Thickness of a lung's vessels: a tree that leaves the hilum and tapers outwards."""
    hilum = np.array([side * 36 + build.turn, build.apex + 118 - 9 * (side > 0)])
    angle = np.deg2rad(np.linspace(-84, 80, 7) + rng.normal(0, 7, 7))
    radius = rng.uniform(3.4, 5.6, 7)
    start = hilum + rng.normal(0, 4, (7, 2)) + np.stack([0 * angle, 14 * np.sin(angle)], axis=1)
    step, along = 0.15 * build.half, np.linspace(0, 1, 14)[:, None]
    root = np.linspace((-5 * side, -15), (2 * side, 18), len(along))[:, None]
    points, radii = [hilum + root], [np.full((len(along), 1), 8.0)]
    for _ in range(6):
        way = step * rng.uniform(0.7, 1.3, (len(start), 1))
        end = start + way * np.stack([side * np.cos(angle), np.sin(angle)], axis=1)
        points.append(start + along[..., None] * (end - start))
        radii.append(radius * (1 - 0.15 * along))
        start, angle, radius = _parted(end, angle, radius, rng)
        step *= 0.86
    shapes = np.concatenate(points, axis=1), np.concatenate(radii, axis=1)
    return 2 * np.sqrt(beads(grid, *shapes))


def _parted(
    end: NDArray, angle: NDArray, radius: NDArray, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Where each vessel ends, one goes on and another leaves to a side, if it still shows."""
    count = len(end)
    turn = np.deg2rad(rng.uniform((0, -50), (22, -20), (count, 2)))
    angle = angle[:, None] + turn * rng.choice((-1, 1), (count, 1))
    radius = radius[:, None] * rng.uniform((0.76, 0.45), (0.92, 0.75), (count, 2))
    seen = radius.ravel() > 0.7
    return np.repeat(end, 2, axis=0)[seen], angle.ravel()[seen], radius.ravel()[seen]
