"""From attenuation to a picture: blur, quantum noise, two vendors' processing, film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from nextaim_kit.studies.breast_masses.phantom.breast import FAT, Projection


@dataclass(frozen=True)
class Room:
    """A hospital's mammography.

    Attributes
    ----------
    film : bool
        Scanned film of 8 bits; else digital, 12 bits.
    blur : float
        mm, standard deviation.
    quanta : float
        Detected without a breast, of a mm².
    equalized : float
        Share of the breast's thickness that processing takes out.
    sharper : float
        Weight of the unsharp mask.
    coarser : float
        Edge of a pixel over that asked for.
    """

    film: bool
    blur: float
    quanta: float
    equalized: float
    sharper: float
    coarser: float


ROOMS = {
    "A": Room(False, 0.15, 150_000, 0.92, 0.4, 1.0),
    "B": Room(False, 0.25, 200_000, 1.0, 0.8, 1.125),
    "C": Room(True, 0.20, 60_000, 0.0, 0.0, 1.0),
}
LARGEST = {True: 255, False: 4095}


def expose(
    view: Projection, tissue: NDArray[np.float32], room: Room, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What the hospital shows of a view, 0 to 1.

    Parameters
    ----------
    view : Projection
    tissue : array of shape (rows, columns)
        Attenuation beyond fat.
    room : Room
    rng : Generator
        Exposure, noise, and the window.
    """
    path = FAT * view.thickness + tissue
    beam = gaussian_filter(np.exp(-path), room.blur / view.spacing)
    quanta = room.quanta * view.spacing**2
    seen = beam + np.sqrt(beam / quanta) * rng.standard_normal(beam.shape, dtype=np.float32)
    log = -np.log(np.clip(seen, 1e-4, None))
    level, wide = rng.normal(0, 0.05), rng.uniform(0.9, 1.15)
    thick = (view.skin_distance > 0.3 * view.body.thickness) & (tissue < 2)  # no metal
    if room.film:  # automatic exposure sets the mean; what the beam reaches freely is black
        density = 1 / (1 + np.exp(-(log - log[thick].mean() - level) / (0.24 * wide)))
        grain = gaussian_filter(rng.standard_normal(beam.shape, dtype=np.float32), 0.7)
        return np.clip(density + 0.025 * grain * (0.3 + density), 0, 1)
    flat = log - room.equalized * gaussian_filter(FAT * view.thickness, 2 / view.spacing)
    flat += room.sharper * (flat - gaussian_filter(flat, 1.5 / view.spacing))
    low, high = np.percentile(flat[thick], (3, 97))
    middle = 0.5 * (low + high) + level
    shown = 1 / (1 + np.exp(-(flat - middle) / (0.34 * wide * max(high - low, 0.35))))
    return np.clip(1.15 * shown - 0.05, 0, 1) * np.clip(view.skin_distance, 0, 1)


def metal_ring(view: Projection, at: tuple[float, float]) -> NDArray[np.float32]:
    """Attenuation of a ring of wire, 7 mm wide, that marks a place on the skin."""
    x, y = view.grid
    off = np.abs(np.hypot(x - at[0], y - at[1]) - 3.0)
    return (2.5 * np.clip(1.2 - off / 0.5, 0, 1)).astype(np.float32)


def film_marks(
    picture: NDArray[np.float32], side: str, view: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A film's letters of lead, near the axilla and away from the chest wall, and its dust."""
    rows, columns = picture.shape
    canvas = Image.fromarray((picture * 255).astype(np.uint8))
    pen = ImageDraw.Draw(canvas)
    left = rng.uniform(0.7, 0.76) if side == "L" else rng.uniform(0.02, 0.06)
    font = ImageFont.load_default(size=max(9, rows // 22))
    pen.text((columns * left, rows * rng.uniform(0.02, 0.07)), f"{side} {view}", 235, font)
    for x, y in rng.uniform(0, (columns, rows), (int(rng.poisson(4)), 2)):
        pen.point((x, y), fill=250)
    if rng.random() < 0.3:
        pen.rectangle((0, 0, columns - 1, 1), fill=245)
    return np.asarray(canvas).astype(np.float32) / np.float32(255)
