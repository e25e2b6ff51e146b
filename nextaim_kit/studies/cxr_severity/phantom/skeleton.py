"""The bones of a frontal film: spine, ribs, clavicles, scapulae, upper arms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.cxr_severity.phantom.shapes import (
    Film,
    Grid,
    beads,
    curve,
    hollowed,
    tubes,
)
from nextaim_kit.studies.cxr_severity.phantom.soft_tissue import Build, outer_border

_RIBS = 11


def draw_bones(grid: Grid, build: Build, rng: np.random.Generator) -> Film:
    """Thickness of bone along each ray.

    Parameters
    ----------
    grid : Grid
    build : Build
    rng : Generator
    """
    trunk = _spine(grid, rng) + _ribs(grid, build, rng)
    return trunk + _clavicles(grid, build, rng) + _scapulae(grid, build, rng) + _arms(grid, build)


def _spine(grid: Grid, rng: np.random.Generator) -> Film:
    """Vertebrae with their discs, pedicles and spinous processes."""
    bend, gap = rng.normal(0, 3), rng.uniform(0, 24)
    x = grid.x - bend * np.sin(grid.z / 80)
    wide = 15 + 0.018 * (grid.z + 175)
    bone = np.mod(grid.z + gap, 24) < 18
    shape = np.maximum(1 - ((x / wide) ** 2) ** 2, 0)
    column = 11 * np.sqrt(shape) * (0.6 + 0.4 * bone).astype(np.float32)
    level = np.arange(-200 - gap, 200, 24)
    middle = bend * np.sin(level / 80)
    pedicles = [np.stack([middle + aside, level + 9], axis=1) for aside in (-9, 9)]
    processes = [np.stack([middle, level + low], axis=1) for low in (13, 16, 19)]
    marks = hollowed(beads(grid, np.concatenate(pedicles), 3.8), 3.8, 0.6)
    return column + marks + 2 * np.sqrt(beads(grid, np.concatenate(processes), 3.0))


def _ribs(grid: Grid, build: Build, rng: np.random.Generator) -> Film:
    """Behind they run outwards, in front they come back, lower; each is a ring aslant."""
    tilt, long = rng.normal(0, 0.02), build.bottom - build.apex
    k = np.arange(_RIBS)[:, None]
    top = build.apex - 2 + long / 9.2 * k * (1 - 0.006 * k)
    drop = (52 + 5 * k) * long / 250
    reach = outer_border(build, (top + drop / 2 - build.apex) / long) + np.where(k, 3, -8)
    turn = np.linspace(0.12, 0.5 * np.pi, 64), np.linspace(0.5 * np.pi, 0.8 * np.pi, 40)
    behind, before = (
        np.concatenate(
            [_rings(side, reach[:n], top[:n], drop[:n], tilt, angle) for side in (-1, 1)]
        )
        for angle, n in zip(turn, (_RIBS, 8), strict=True)
    )
    # Scatter hides them below the diaphragm and behind the mediastinum.
    fade = 1 - 0.7 * np.clip((grid.z - build.dome) / 50, 0, 1)
    fade = fade * np.clip(np.abs(grid.x) / 60, 0.35, 1)
    far = hollowed(beads(grid, behind, 5.0), 5.0, 0.9)
    return fade * (4.0 * far + 1.7 * hollowed(beads(grid, before, 5.6), 5.6, 0.9))


def _rings(
    side: int, reach: NDArray, top: NDArray, drop: NDArray, tilt: float, angle: NDArray
) -> NDArray:
    """Points along ribs, of shape (ribs, angles, 2); the angle is 0 at the spine."""
    x = side * reach * np.sin(angle)
    z = top + drop * (1 - np.cos(angle)) / 2 - 5 * np.sin(2 * angle) + tilt * x
    return np.stack([x, z], axis=-1)


def _clavicles(grid: Grid, build: Build, rng: np.random.Generator) -> Film:
    top, wide = build.apex, build.half + build.fat
    lines = [
        curve(
            (side * 17, top + 38),
            (side * 55, top + 30),
            (side * 85, top - 14 - raised),
            (side * (0.82 * wide + 12), top + 4 - raised),
        )
        for side, raised in zip((-1, 1), rng.normal(0, 7, 2), strict=True)
    ]
    radii = np.interp(np.linspace(0, 1, 12), [0, 0.15, 0.6, 1], [8.0, 6, 5.5, 7])
    return 2.6 * tubes(grid, lines, [radii, radii], hollow=0.8)


def _scapulae(grid: Grid, build: Build, rng: np.random.Generator) -> Film:
    """Edges, and the thin blade between them."""
    top, wide = build.apex, build.half + 0.6 * build.fat
    share = np.linspace(0.1, 0.9, 7)[:, None, None]
    edges, blades = [], []
    for side, aside in zip((-1, 1), rng.normal(0, 6, 2), strict=True):
        upper = (side * (0.72 * wide + aside), top + 16)
        tip = (side * (0.92 * wide + aside), top + 138)
        socket = (side * (wide + 6), top + 36)
        edges += [
            curve(upper, (side * 0.74 * wide, top + 80), tip),
            curve(tip, (side * 0.97 * wide, top + 80), socket),
            curve(upper, (side * 0.9 * wide, top + 14), socket),
        ]
        across = np.linspace(0, 1, 9)[:, None] * np.subtract(socket, upper) + upper
        blades.append((1 - share) * across + share * np.array(tip))
    blade = np.sqrt(beads(grid, np.stack(blades), 10.0)) / 6
    return 2.4 * tubes(grid, edges, [2.0, 3.2, 3.0] * 2) + 4.5 * np.minimum(blade, 1)


def _arms(grid: Grid, build: Build) -> Film:
    """Heads and shafts of the upper arms' bones."""
    wide, top = build.half + build.fat, build.apex + 32
    shafts = [np.array([(s * (wide + 12), top), (s * (wide + 28), 110)]) for s in (-1, 1)]
    heads = hollowed(beads(grid, np.stack(shafts)[:, 0], 22.0), 22.0, 0.7)
    return 2.0 * np.maximum(heads, tubes(grid, shafts, [11.0, 11.0], hollow=0.8))
