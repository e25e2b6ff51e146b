"""A patient's measures, and the outlines of rib cage and trunk that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_ANGLES = 1440
# Angles around the trunk: 0 at the back, positive to the patient's left, +-pi at the front.
ANGLES = ((np.arange(_ANGLES) + 0.5) / _ANGLES * 2 - 1) * np.pi
_FROM_BACK = np.abs(ANGLES)
WALL_MM = 10.0  # ribs and what is between them
SKIN_MM = 2.0
_WIDEST = -50.0  # height of the rib cage's widest part

Ring = NDArray[np.floating]  # one value at each of ANGLES


@dataclass(frozen=True)
class Build:
    """A patient's measures, in mm.

    Parameters
    ----------
    half, depth : float
        Half the width and half the depth of the rib cage, inside.
    apex, dome : float
        Heights of the lungs' tops and of the right half of the diaphragm.
    lower : float
        By how much the left half of the diaphragm lies lower.
    fat : float
        Thickness of the fat under the skin at the side.
    breast : float
        Thickness of each breast; 0 for none that shows.
    muscle : float
        Thickness of the muscles over the average.
    heart : float
        Size of the heart over the average.
    aorta : float
        Radius of the descending aorta.
    turn : float
        Angle in radians by which the patient is turned on the table.
    shift : float
        By how much the patient lies to the left of the field's middle.
    """

    half: float
    depth: float
    apex: float
    dome: float
    lower: float
    fat: float
    breast: float
    muscle: float
    heart: float
    aorta: float
    turn: float
    shift: float

    @property
    def carina(self) -> float:
        """Height where the trachea divides."""
        return self.apex - 74 + 0.15 * (self.dome + 56)

    @property
    def vertebra(self) -> float:
        """Distance from one vertebra, and one rib, to the next."""
        return 0.2 * self.apex


def draw_build(rng: np.random.Generator) -> Build:
    """Draw a patient's measures."""
    size = rng.normal()
    breath = float(np.clip(rng.normal(), -2, 2))
    woman = rng.random() < 0.45
    return Build(
        half=float(np.clip(131 + 6 * size - 7 * woman + rng.normal(0, 4), 106, 146)),
        depth=float(np.clip(94 + 4 * size - 5 * woman + rng.normal(0, 4) + 2 * breath, 78, 108)),
        apex=float(np.clip(119 + 4 * size - 3 * woman + rng.normal(0, 3), 104, 130)),
        dome=float(-56 + 4 * woman - 11 * breath),
        lower=float(np.clip(rng.normal(12, 4), 2, 24)),
        fat=float(np.clip(rng.gamma(5, 3.2), 5, 34)),
        breast=float(max(0.0, rng.normal(24, 12)) if woman else 0.0),
        muscle=float(np.clip(rng.normal(1.08 - 0.16 * woman, 0.12), 0.7, 1.4)),
        heart=float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.2)),
        aorta=float(np.clip(rng.normal(12.5, 1.5), 9.5, 17)),
        turn=float(np.clip(rng.normal(0, 0.05), -0.14, 0.14)),
        shift=float(np.clip(rng.normal(0, 5), -12, 12)),
    )


def narrowing(build: Build, z: float) -> float:
    """Size of the rib cage at a height over that of its widest part; 0 above the lungs."""
    t = (z - _WIDEST) / (build.apex - _WIDEST)
    if t <= 0:
        return 1 + 0.04 * min(-t, 1.0)
    return float(max(1 - t**2.3, 0) ** 0.53)


def spine_y(build: Build, z: float) -> float:
    """Where the middle of the vertebrae's bodies lies, front to back."""
    upper, lower = max(z - 45, 0) / 80, max(-45 - z, 0) / 100
    return float(0.87 * build.depth - 12 - 13 * upper**2 - 10 * lower**2)


def middle_y(build: Build, z: float) -> float:
    """Center of the rib cage's outline: its back stays at the spine, its front slopes."""
    return spine_y(build, z) + 12 - 0.87 * build.depth * narrowing(build, z)


def cage(build: Build, z: float) -> tuple[Ring, Ring]:
    """Radius of the lungs' outer border around `middle_y`, and mm outwards per mm of radius."""
    radius = narrowing(build, z) * _oval(build.half, build.depth, 0.13, 0.10)
    if not radius.any():
        return radius, np.ones_like(radius)
    rise = radius * (narrowing(build, z + 1) - narrowing(build, z - 1)) / narrowing(build, z) / 2
    turn = np.gradient(radius, ANGLES[1] - ANGLES[0]) / np.maximum(radius, 1)
    return radius, 1 / np.sqrt(1 + np.clip(rise, -3, 3) ** 2 + turn**2)


@lru_cache(maxsize=4)
def _oval(half: float, depth: float, back: float, front: float) -> Ring:
    """A rounded box with a dent at its back and its front."""
    across, along = np.abs(np.sin(ANGLES)) / half, np.abs(np.cos(ANGLES)) / depth
    radius = (across**2.4 + along**2.4) ** (-1 / 2.4)
    dents = back * _bump(0, 0.36) + front * _bump(np.pi, 0.42)
    return radius * (1 - dents)


@lru_cache(maxsize=16)
def _bump(at: float, width: float) -> Ring:
    return np.exp(-(((_FROM_BACK - at) / width) ** 2))


def _level(z: float, low: float, high: float, soft: float = 14.0) -> float:
    """1 between two heights, 0 beyond."""
    return float(1 / (1 + np.exp(-(z - low) / soft)) / (1 + np.exp((z - high) / soft)))


def fat_ring(build: Build, z: float) -> Ring:
    """Thickness of skin and fat."""
    sides = 0.45 + 0.55 * np.sin(_FROM_BACK) ** 2
    lower = 1 + 0.25 * _level(z, -200, -60, 25)
    ring = SKIN_MM + build.fat * sides * lower
    nipple = 0.74 * np.pi
    breast = build.breast * np.exp(-(((z + 8) / 48) ** 4))
    return ring + breast * _bump(nipple, 0.36)


def trunk(build: Build, z: float) -> Ring:
    """Radius of the skin around `middle_y`."""
    t = max((z - _WIDEST) / (build.apex - _WIDEST), 0)
    slimmer = 1 - 0.07 * min(t, 1.3) ** 3
    muscle = build.muscle * (
        6
        + 24 * _bump(0.0, 0.30)
        + 20 * _bump(0.30 * np.pi, 0.42) * _level(z, -15, 400)
        + 10 * _bump(0.45 * np.pi, 0.4)
        + 13 * _bump(0.76 * np.pi, 0.32) * _level(z, 5, 400)
    )
    shoulder = 26 * _level(z, 100, 400, 16) * _bump(0.5 * np.pi, 0.45)
    bony = slimmer * _oval(build.half, build.depth, 0.10, 0.06) + WALL_MM
    radius = bony + muscle + shoulder + fat_ring(build, z)
    return _around(radius, middle_y(build, _WIDEST) - middle_y(build, z))


def _around(radius: Ring, offset: float) -> Ring:
    """The same outline, from a center that lies `offset` mm before its own."""
    x, y = radius * np.sin(ANGLES), radius * np.cos(ANGLES) + offset
    angles = np.arctan2(x, y)
    return np.interp(ANGLES, angles, np.hypot(x, y), period=2 * np.pi)
