"""Ground glass and consolidation of a known volume, where COVID-19 puts them: low and outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.twins.chest_ct.anatomy import Chest
from nextaim_kit.twins.chest_ct.grid import Labels, Texture, Volume
from nextaim_kit.twins.chest_ct.organs import lung_hu

GLASS, CONSOLIDATION = 1, 2  # in masks
GLASS_HU, CONSOLIDATION_HU = -540.0, 22.0
_SHARES = ("involvement", "consolidation", "paving")
_FADE = 0.09  # of the field, over which a lesion fades: some mm


@dataclass(frozen=True)
class Disease:
    """What is planted into a chest.

    Parameters
    ----------
    involvement : float
        Share of both lungs' volume that is ill, 0 to 0.95.
    consolidation : float
        Share of the lesions' volume that is consolidation; the rest is ground glass.
    peripheral : float
        How much more likely lesions are at the pleura than deep inside; 0 for no difference.
    lower : float
        How much more likely they are at the bottom than at the top.
    left : float
        How much more likely in the left lung; about -6 or 6 for one side only.
    paving : float
        Strength of the lines in ground glass ("crazy paving"), 0 to 1.

    Raises
    ------
    RequestError
        If a share is none.
    """

    involvement: float
    consolidation: float
    peripheral: float = 1.5
    lower: float = 0.8
    left: float = 0.0
    paving: float = 0.0

    def __post_init__(self) -> None:
        for name in _SHARES:
            high = 0.95 if name == "involvement" else 1.0
            if not 0 <= getattr(self, name) <= high:
                raise RequestError(
                    f"the lesions' {name} is a share",
                    expected=f"0 to {high:g}",
                    found=f"{getattr(self, name):g}",
                )


def plant(chest: Chest, disease: Disease, rng: np.random.Generator) -> Labels:
    """Enter lesions into a chest's HU, in place; its vessels and airways are not there yet.

    Parameters
    ----------
    chest : Chest
    disease : Disease
    rng : Generator
        Only its children are used.

    Returns
    -------
    array of int, shape (z, y, x)
        1: ground glass, 2: consolidation, within the lungs. Their share of the lungs is that of
        the disease to a voxel. HU fade over some mm: at a mask's border, half of the
        change from lung to lesion is reached.
    """
    place, density, grain = rng.spawn(3)
    mask = np.zeros(chest.lungs.shape, np.uint8)
    # At the border a voxel holds some lung that is ill too, though the lungs' mask ends there.
    airy = chest.air > 0
    lungs = chest.lungs[airy] > 0
    field = _likely(chest, disease, place)
    glass = _highest(field, lungs, disease.involvement)
    if glass == np.inf:
        return mask
    ill = lungs & (field >= glass)
    core = field + _values(chest, Texture.draw(9.0, density))
    solid = _highest(core, ill, disease.consolidation)
    healthy = np.broadcast_to(lung_hu(chest.grid.y), airy.shape)[airy]
    hu = healthy + _fade(field, glass, _FADE) * (_glass(chest, disease, grain) - healthy)
    hu += np.sqrt(_fade(field, glass, _FADE)) * _fade(core, solid, _FADE) * (CONSOLIDATION_HU - hu)
    chest.hu[airy] += chest.air[airy] / np.float32(255) * (hu - healthy)
    mask[airy] = np.where(ill & (core >= solid), CONSOLIDATION, ill * GLASS)
    return mask


def _likely(chest: Chest, disease: Disease, rng: np.random.Generator) -> Volume:
    """How likely each voxel with some lung is ill: patches, where the disease prefers to be."""
    grid = chest.grid
    field = _values(chest, Texture.draw(17.0, rng, nodes=64))
    field += 0.35 * _values(chest, Texture.draw(6.0, rng))
    field += disease.peripheral * np.exp(-np.maximum(chest.depth, 0) / 20)
    k, row, column = np.nonzero(chest.air)
    field -= disease.lower * grid.z[k] / 80
    # A lying patient's lungs are ill at the back more often.
    field += 0.5 * grid.y[row, 0] / 80
    field += disease.left * (grid.x[0, column] > chest.build.shift)
    return field.astype(np.float32)


def _highest(field: Volume, among: NDArray[np.bool_], share: float) -> np.float32:
    """The value from which on the field takes the given share of some voxels; inf for none."""
    there = field[among]
    first = len(there) - round(share * len(there))
    return np.float32(np.inf if first == len(there) else np.partition(there, first)[first])


def _fade(field: Volume, cut: np.float32, soft: float) -> Volume:
    """0 far below a value, 0.5 at it, 1 far above it."""
    return 1 / (1 + np.exp(np.minimum(-(field - cut) / np.float32(soft), 80)))


def _glass(chest: Chest, disease: Disease, rng: np.random.Generator) -> Volume:
    """HU of ground glass."""
    coarse, fine = Texture.draw(9.0, rng), Texture.draw(2.6, rng)
    lines = _values(chest, fine)
    hu = GLASS_HU + 60 * _values(chest, coarse) + 25 * lines
    if disease.paving:
        hu += disease.paving * 190 * np.clip(1 - np.abs(lines) / 0.35, 0, 1) ** 2
    return np.clip(hu, -690, -310).astype(np.float32)


def _values(chest: Chest, texture: Texture) -> Volume:
    """A texture's values where there is some lung."""
    slices = zip(chest.grid.z, chest.air, strict=True)
    return np.concatenate([texture.plane(chest.grid, float(z))[air > 0] for z, air in slices])
