"""How a hospital takes a film of a chest: scatter, exposure, noise, processing, cables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nextaim_kit.studies.cxr_severity.chest import FIELD_MM, Chest, Film, tilted


@dataclass(frozen=True)
class Room:
    """A hospital's X-ray room.

    Parameters
    ----------
    photons : float
        That reach a pixel behind nothing.
    scatter : float
        Scattered over direct radiation.
    sharpness_mm : float
        Width (sigma) of the detector's blur.
    gamma : float
        Of the processing; above 1 the lungs come out darker.
    inverted : float
        Share of films that are stored with bones dark (MONOCHROME1).
    """

    photons: float
    scatter: float
    sharpness_mm: float
    gamma: float
    inverted: float


ROOMS = {
    "A": Room(9000, 0.35, 0.5, 1.00, 0.10),
    "B": Room(5000, 0.55, 0.8, 0.85, 0.20),
    "C": Room(7000, 0.45, 0.6, 1.10, 0.45),
    "D": Room(4000, 0.65, 0.9, 0.95, 0.30),
    "E": Room(6000, 0.50, 0.7, 1.20, 0.60),
    "F": Room(8000, 0.40, 0.6, 0.90, 0.30),
}


def expose(
    chest: Chest, room: Room, *, cables: int, tilt: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Take the film.

    Parameters
    ----------
    chest : Chest
    room : Room
    cables : int
        Electrodes with their cables on the chest.
    tilt : float
        Degrees.
    rng : Generator

    Returns
    -------
    film : array of shape (size, size), uint8
        Bones bright (MONOCHROME2).
    lungs : array of the same shape
        0, 1 (the patient's right), 2.
    metal : array of bool of the same shape
        Electrodes and cables.
    """
    size = len(chest.attenuation)
    wires = _cables(size, cables, rng)
    attenuation = tilted(chest.attenuation, tilt, order=1) + wires
    lungs = tilted(chest.lungs, tilt, order=0)
    direct = np.exp(-attenuation)
    scattered = room.scatter * gaussian_filter(direct, size / 14)
    dose = room.photons * float(np.exp(rng.normal(0, 0.25)))
    counts = rng.poisson(dose * (direct + scattered) / (1 + room.scatter)) + 1.0
    blurred = gaussian_filter(counts, room.sharpness_mm / FIELD_MM * size)
    return _processed(-np.log(blurred), room.gamma), lungs, wires > 0.05


def _processed(signal: Film, gamma: float) -> NDArray[np.uint8]:
    """What a console makes of the signal: window on the body, contrast, eight bits."""
    low, high = np.quantile(signal, [0.02, 0.995])
    even = np.clip((signal - low) / (high - low), 0, 1)
    local = even - 0.35 * gaussian_filter(even, len(even) / 9)
    low, high = np.quantile(local, [0.01, 0.995])
    return np.rint(255 * np.clip((local - low) / (high - low), 0, 1) ** gamma).astype(np.uint8)


def _cables(size: int, count: int, rng: np.random.Generator) -> Film:
    """Attenuation of electrodes and of cables that hang from them."""
    metal = np.zeros((size, size))
    row, column = np.indices((size, size)) / size
    for _ in range(count):
        r, c = rng.uniform(0.25, 0.7), rng.choice([-1, 1]) * rng.uniform(0.08, 0.3) + 0.5
        metal += 0.9 * ((row - r) ** 2 + (column - c) ** 2 < 0.012**2)
        along = np.clip((row - r) / (1 - r), 0, 1)
        path = c + rng.uniform(-0.15, 0.15) * along + 0.03 * np.sin(5 * along + rng.uniform(0, 6))
        metal += 0.45 * ((np.abs(column - path) < max(0.004, 0.7 / size)) & (row > r))
    return gaussian_filter(metal, 0.4 * size / 256)
