"""A chest and its lesions as Hounsfield units on a voxel grid, before any scanner saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.twins.noise import smooth_noise

AIR, LUNG, FAT, SOFT, BONE = -1000.0, -860.0, -90.0, 40.0, 450.0
GROUND_GLASS, CONSOLIDATION = -520.0, 0.0
FIELD_MM = (318.0, 246.0, 264.0)  # x to the patient's left, y to the back, z to the head
IN_PLANE_MM = 3.0

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Disease:
    """What severity acts on.

    Parameters
    ----------
    volume_ml : float
        Volume of all lesions.
    consolidation : float
        Share of it that is consolidation, the rest is ground glass.
    grain_mm : float
        Correlation length of the density within a lesion.
    """

    volume_ml: float
    consolidation: float
    grain_mm: float


def chest(
    spacing: tuple[float, float, float], disease: Disease, rng: np.random.Generator
) -> tuple[Volume, Mask, Mask]:
    """Draw one patient.

    Parameters
    ----------
    spacing : tuple of float
        Edges of a voxel in mm: x, y, z.
    disease : Disease
    rng : Generator

    Returns
    -------
    hu : array of shape (z, y, x)
        Hounsfield units.
    lesions, lungs : array of bool, same shape
        The lungs hold the lesions.
    """
    x, y, z = _coordinates(spacing)
    size = rng.normal(1.0, 0.045, 3)  # patients differ in width, depth and height
    x, y, z = x / size[0], y / size[1], z / size[2]
    body, inner, bones = _body(x, y, z)
    lungs = _lungs(x, y, z, rng) & inner
    hu = np.where(body, np.where(inner, SOFT, FAT), AIR).astype(np.float32)
    hu[bones & ~lungs] = BONE
    # Lungs are denser towards the back, where a lying patient's blood sinks.
    hu[lungs] = (LUNG + 0.5 * (y + 0 * x + 0 * z))[lungs]
    hu[lungs & _vessels(lungs, spacing, rng)] = SOFT - 60
    lesions = _lesions(lungs, spacing, disease, rng)
    hu[lesions] = _densities(lesions, spacing, disease, rng)
    return hu, lesions, lungs


def _coordinates(spacing: tuple[float, float, float]) -> tuple[NDArray, NDArray, NDArray]:
    """Voxel centers in mm from the middle of the field, shaped to broadcast as (z, y, x)."""
    axes = []
    for edge, field in zip(spacing, FIELD_MM, strict=True):
        count = round(field / edge)
        axes.append(((np.arange(count) - (count - 1) / 2) * edge).astype(np.float32))
    x, y, z = axes
    return x[None, None, :], y[None, :, None], z[:, None, None]


def _body(x: NDArray, y: NDArray, z: NDArray) -> tuple[Mask, Mask, Mask]:
    taper = 1 - 0.12 * np.clip(z / 130, 0, 1) ** 2
    radius = np.sqrt((x / (148 * taper)) ** 2 + (y / (108 * taper)) ** 2)
    body, inner = radius < 1, radius < 0.93
    spine = (x / 17) ** 2 + ((y - 78) / 16) ** 2 < 1
    # Ribs run obliquely around the wall.
    slanted = np.mod(z + 0.35 * y, 26) < 8
    ribs = (radius > 0.86) & (radius < 0.925) & slanted
    sternum = (np.abs(x) < 14) & (y < -88) & (radius < 0.93)
    return body, inner, (spine & body) | ribs | sternum


def _lungs(x: NDArray, y: NDArray, z: NDArray, rng: np.random.Generator) -> Mask:
    breath = rng.normal(0, 6)
    base = -105 - breath
    dome = base + 45 * np.exp(-((np.abs(x) - 65) ** 2 + y**2) / 2600)
    heart = ((x - 22) / 52) ** 2 + ((y + 28) / 46) ** 2 + ((z + 48) / 62) ** 2 < 1
    middle = (np.abs(x) < 24 + 6 * np.cos(z / 40)) & (y > -62)
    found = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)
    for side in (-1, 1):
        center = side * (68 + rng.normal(0, 1.5))
        upper = np.clip((z + 20) / 150, 0, 1)
        shape = np.abs((x - center) / (53 - 16 * upper)) ** 2.4
        shape = shape + np.abs((y - 4) / (84 - 22 * upper)) ** 2.4 + np.abs(z / 122) ** 4
        found |= shape < 1
    return found & ~heart & ~middle & (z > dome)


def _noise(
    shape: tuple[int, ...], scale_mm: float, spacing: tuple, rng: np.random.Generator
) -> Volume:
    """Smooth noise of unit variance with a correlation length in mm."""
    return smooth_noise(shape, [scale_mm / edge for edge in spacing[::-1]], rng)


def _vessels(lungs: Mask, spacing: tuple, rng: np.random.Generator) -> Mask:
    field = _noise(lungs.shape, 3.2, spacing, rng)
    return np.abs(field) < 0.035  # the thin sheets where a smooth field is near zero


def _lesions(lungs: Mask, spacing: tuple, disease: Disease, rng: np.random.Generator) -> Mask:
    """The part of the lungs where a random field is highest, of just the volume wanted."""
    field = _noise(lungs.shape, 13.0, spacing, rng)
    z, y, _ = np.indices(lungs.shape, dtype=np.float32)
    field += 1.0 * (y / lungs.shape[1]) - 0.8 * (z / lungs.shape[0])  # low and to the back
    inside = field[lungs]
    voxels = round(disease.volume_ml * 1000 / float(np.prod(spacing)))
    voxels = int(np.clip(voxels, 30, 0.85 * inside.size))
    return lungs & (field >= np.partition(inside, -voxels)[-voxels])


def _densities(
    lesions: Mask, spacing: tuple, disease: Disease, rng: np.random.Generator
) -> NDArray:
    grain = _noise(lesions.shape, disease.grain_mm, spacing, rng)[lesions]
    fine = _noise(lesions.shape, 2.0, spacing, rng)[lesions]
    dense = grain >= np.quantile(grain, 1 - disease.consolidation)
    glass = GROUND_GLASS + 75 * grain + 45 * fine
    return np.where(dense, CONSOLIDATION + 20 * fine, np.clip(glass, -720, -260)).astype(np.float32)
