"""Electrodes and their cables, which lie on the body and beside the lungs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from nextaim_kit.studies.cxr_severity.phantom.shapes import FIELD_MM, Film, Grid, Mask, curve, tubes

# As shares of the film's edge: free way to the lungs, radius of an electrode, half a cable.
MARGIN, _ELECTRODE, _CABLE = 0.02, 0.02, 0.0048
# Where electrodes are stuck, as shares of the film's edge to the side of the middle and down,
# and the borders over which the cable may leave: shoulder, side of the chest, flank, belly.
_SITES = (
    (0.38, 0.14, "up"),
    (0.46, 0.55, "up down"),
    (0.43, 0.86, "down"),
    (0.20, 0.93, "down"),
)
_TRIES = 40


def draw_wires(lungs: NDArray, body: Mask, count: int, rng: np.random.Generator) -> Film:
    """Attenuation of electrodes and cables, none of which crosses the lungs.

    Parameters
    ----------
    lungs : array of shape (size, size)
        The whole silhouette, as the film shows it; above 0 is lung.
    body : array of bool of the same shape
    count : int
        Electrodes. The first ones lie the same however many there are.
    rng : Generator
    """
    size = len(lungs)
    grid = Grid.of(size)
    discs, cables = grid.empty(), grid.empty()
    if not count:
        return discs
    clearance = distance_transform_edt(lungs == 0) / size - MARGIN
    taken = ~body | (_beside_border(size) < 2 * _ELECTRODE)
    for own in rng.spawn(count):
        aside, down, ways = _SITES[own.integers(len(_SITES))]
        target = (down + own.normal(0, 0.03), 0.5 + own.choice([-1, 1]) * own.normal(aside, 0.03))
        spot = _nearest(target, ~taken & (clearance > _ELECTRODE + 1 / size))
        if spot is None:
            break
        taken |= _distance(size, spot) < 5 * _ELECTRODE
        _electrode(discs, grid, spot)
        _cable(cables, grid, clearance, spot, str(own.choice(ways.split())), own)
    shade = np.minimum(cables / (_CABLE * FIELD_MM), 1)
    return np.maximum(discs, 0.9 * gaussian_filter(shade, 0.0012 * size))


def _beside_border(size: int) -> Film:
    axis = (np.arange(size) + 0.5) / size
    near = np.minimum(axis, 1 - axis)
    return np.minimum(near[:, None], near[None, :])


def _distance(size: int, spot: tuple[float, float]) -> Film:
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return np.sqrt((axis[:, None] - spot[0]) ** 2 + (axis[None, :] - spot[1]) ** 2)


def _nearest(target: tuple[float, float], allowed: Mask) -> tuple[float, float] | None:
    """Row and column, as shares of the edge, of the allowed place that is nearest."""
    if not allowed.any():
        return None
    size = len(allowed)
    far = np.where(allowed, _distance(size, target), np.inf)
    row, column = np.unravel_index(int(far.argmin()), far.shape)
    return (int(row) + 0.5) / size, (int(column) + 0.5) / size


def _mm(line: NDArray) -> NDArray:
    """From rows and columns as shares of the edge to x and z."""
    return (line[:, ::-1] - 0.5) * FIELD_MM


def _electrode(metal: Film, grid: Grid, spot: tuple[float, float]) -> None:
    """A thin disc with a snap of metal in its middle."""
    away = _distance(grid.size, spot)
    edge = 0.5 / grid.size
    for radius, value in ((_ELECTRODE, 0.9), (0.42 * _ELECTRODE, 2.0)):
        np.maximum(metal, value * np.clip((radius - away) / edge / 2 + 0.5, 0, 1), out=metal)


def _cable(
    metal: Film,
    grid: Grid,
    clearance: Film,
    spot: tuple[float, float],
    way: str,
    rng: np.random.Generator,
) -> None:
    """Lead the first curve that stays off the lungs; after many tries there is none."""
    size, end = grid.size, -0.03 if way == "up" else 1.03
    for attempt in range(_TRIES):
        spread = 0.14 * (1 + attempt / 10)
        bends = [
            (spot[0] + t * (end - spot[0]), spot[1] + rng.normal(0, spread)) for t in (0.3, 0.7)
        ]
        line = curve(spot, *bends, (end, spot[1] + rng.normal(0, spread)), count=24)
        pixel = np.clip((line * size).astype(int), 0, size - 1)
        if clearance[pixel[:, 0], pixel[:, 1]].min() > _CABLE + 1.5 / size:
            np.maximum(metal, tubes(grid, [_mm(line)], [_CABLE * FIELD_MM]), out=metal)
            return
