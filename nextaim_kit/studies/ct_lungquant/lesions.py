"""Ground glass and consolidation of a known volume, where COVID-19 puts them: low and outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.anatomy import Chest
from nextaim_kit.studies.ct_lungquant.grid import Labels, Texture, Volume
from nextaim_kit.studies.ct_lungquant.tree import LEFT

GLASS, CONSOLIDATION = 1, 2  # in masks
GLASS_HU, CONSOLIDATION_HU = -540.0, 22.0
_SHARES = ("involvement", "consolidation", "paving")


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
        the disease to half a voxel. HU fade over some mm: at a mask's border, half of the
        change from lung to lesion is reached.
    """
    place, density, grain = rng.spawn(3)
    inside = chest.lungs > 0
    mask = np.zeros(chest.lungs.shape, np.uint8)
    field = _likely(chest, disease, place)
    ill, share = _highest(field, disease.involvement, 0.10)
    if not ill.any():
        return mask
    core = field + _values(chest, Texture.draw(9.0, density))
    dense = np.zeros_like(ill)
    solid = np.zeros_like(share)
    dense[ill], solid[ill] = _highest(core[ill], disease.consolidation, 0.12)
    hu = chest.hu[inside]
    hu += share * (_glass(chest, disease, grain) - hu)
    hu += np.sqrt(share) * solid * (CONSOLIDATION_HU - hu)
    chest.hu[inside] = hu
    mask[inside] = np.where(dense, CONSOLIDATION, np.where(ill, GLASS, 0))
    return mask


def _likely(chest: Chest, disease: Disease, rng: np.random.Generator) -> Volume:
    """How likely each voxel of the lungs is ill: patches, where the disease prefers to be."""
    grid, lungs = chest.grid, chest.lungs
    field = _values(chest, Texture.draw(17.0, rng, nodes=64))
    field += 0.35 * _values(chest, Texture.draw(6.0, rng))
    field += disease.peripheral * np.exp(-np.maximum(chest.depth, 0) / 20)
    k, row, column = np.nonzero(lungs)
    field -= disease.lower * grid.z[k] / 80
    # A lying patient's lungs are ill at the back more often.
    field += 0.5 * grid.y[row, 0] / 80
    field += disease.left * (lungs[k, row, column] == LEFT).astype(np.float32)
    return field.astype(np.float32)


def _highest(field: Volume, share: float, soft: float) -> tuple[NDArray[np.bool_], Volume]:
    """The given share of voxels, those of the highest values; and a soft edge that is 0.5 there."""
    count = round(share * len(field))
    if not count:
        return np.zeros(len(field), bool), np.zeros_like(field)
    order = np.partition(field, len(field) - count)
    cut = order[len(field) - count]
    return field >= cut, 1 / (1 + np.exp(-(field - cut) / np.float32(soft)))


def _glass(chest: Chest, disease: Disease, rng: np.random.Generator) -> Volume:
    """HU of ground glass."""
    coarse, fine = Texture.draw(9.0, rng), Texture.draw(2.6, rng)
    lines = _values(chest, fine)
    hu = GLASS_HU + 60 * _values(chest, coarse) + 25 * lines
    if disease.paving:
        hu += disease.paving * 190 * np.clip(1 - np.abs(lines) / 0.35, 0, 1) ** 2
    return np.clip(hu, -690, -310).astype(np.float32)


def _values(chest: Chest, texture: Texture) -> Volume:
    """A texture's values at the voxels of the lungs."""
    slices = zip(chest.grid.z, chest.lungs, strict=True)
    return np.concatenate([texture.plane(chest.grid, float(z))[lungs > 0] for z, lungs in slices])
