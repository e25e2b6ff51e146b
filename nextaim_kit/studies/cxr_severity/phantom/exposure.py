"""How a hospital takes a film of a chest: scatter, exposure, noise, processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nextaim_kit.studies.cxr_severity.phantom.chest import Chest, tilted
from nextaim_kit.studies.cxr_severity.phantom.shapes import FIELD_MM, Film, Mask, blurred
from nextaim_kit.studies.cxr_severity.phantom.wires import draw_wires


@dataclass(frozen=True)
class Room:
    """A hospital's X-ray room.

    Parameters
    ----------
    photons : float
        That reach a pixel of a film of 256 pixels behind nothing; a larger pixel gets more.
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
    "A": Room(54000, 0.35, 0.5, 1.00, 0.10),
    "B": Room(30000, 0.55, 0.8, 0.85, 0.20),
    "C": Room(42000, 0.45, 0.6, 1.10, 0.45),
    "D": Room(48000, 0.65, 0.9, 0.95, 0.30),
    "E": Room(36000, 0.50, 0.7, 1.20, 0.60),
    "F": Room(48000, 0.40, 0.6, 0.90, 0.30),
}


class Exposure(NamedTuple):
    """A film and what is known of it, all of shape (size, size) and tilted alike.

    Parameters
    ----------
    film : array of uint8
        Bones bright (MONOCHROME2).
    lungs : array of uint8
        0, 1 (the patient's right), 2, as in `Chest`.
    metal : array of bool
        Electrodes and cables.
    whole : array of uint8
        `lungs` with what the heart covers.
    lesions : array of bool
    """

    film: NDArray[np.uint8]
    lungs: NDArray[np.uint8]
    metal: Mask
    whole: NDArray[np.uint8]
    lesions: Mask


def expose(
    chest: Chest, room: Room, *, cables: int, tilt: float, rng: np.random.Generator
) -> Exposure:
    """Take the film.

    Parameters
    ----------
    chest : Chest
    room : Room
    cables : int
        Electrodes with their cables, beside the lungs: there the film is the same without them.
    tilt : float
        Degrees.
    rng : Generator
        Of exposure and noise. Electrodes are placed by a child of it.
    """
    attenuation = tilted(chest.attenuation, tilt, order=1)
    # All masks turn at once: two bits each for the lungs, one for the others.
    flags = chest.lesions.astype(np.uint8) << 4 | chest.body.astype(np.uint8) << 5
    masks = tilted(chest.lungs | chest.whole << 2 | flags, tilt, order=0)
    lungs, whole = ((masks >> shift & 3).astype(np.uint8) for shift in (0, 2))
    body, lesions = masks >> 5 > 0, (masks >> 4 & 1) > 0
    wires = draw_wires(whole, body, cables, rng.spawn(1)[0])
    counts = _counts(attenuation, room, rng)
    blur = room.sharpness_mm / FIELD_MM * len(counts)
    # Exposure, window and local contrast are the patient's: metal changes what is below it only.
    clean = -np.log(gaussian_filter(counts, blur))
    signal = -np.log(gaussian_filter(counts * np.exp(-wires), blur)) if cables else clean
    film = _processed(signal, clean, room.gamma)
    return Exposure(film, lungs, wires > 0.05, whole, lesions)


def _counts(attenuation: Film, room: Room, rng: np.random.Generator) -> Film:
    """Photons at the detector."""
    size, direct = len(attenuation), np.exp(-attenuation)
    # Rays beside the body are not scattered.
    scattered = room.scatter * blurred(np.minimum(direct, 0.2), size / 14)
    dose = room.photons * (256 / size) ** 2 * float(np.exp(rng.normal(0, 0.25)))
    return rng.poisson(dose * (direct + scattered) / (1 + room.scatter)) + 1.0


def _processed(signal: Film, clean: Film, gamma: float) -> NDArray[np.uint8]:
    """What a console makes of the signal: window on the chest, crisper edges, eight bits.

    Window and local means come from `clean`, the signal without metal.
    """
    size = len(clean)
    chest = slice(size // 7, -size // 10), slice(size // 8, -size // 8)
    low, high = np.quantile(clean[chest], [0.01, 0.98])
    even = np.clip((clean - low) / (high - low), -0.3, 1.1)
    mean = 0.35 * blurred(even, size / 9) + 0.6 * blurred(even, size / 50)
    bottom, top = np.quantile((1.6 * even - mean)[chest], [0.005, 0.985])
    local = 1.6 * np.clip((signal - low) / (high - low), -0.3, 1.3) - mean
    # Some of the scale is left for what is denser than the body.
    level = np.clip(0.84 * (local - bottom) / (top - bottom), 0, 1)
    return np.rint(255 * level**gamma).astype(np.uint8)
