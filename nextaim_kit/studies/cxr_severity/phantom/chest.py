"""A patient's chest, and what a frontal film sees of it.

Every organ is an interval along the ray at each point of the film, so that thicknesses, and
what one organ takes from another, are exact and cost milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from nextaim_kit.studies.cxr_severity.phantom import soft_tissue
from nextaim_kit.studies.cxr_severity.phantom.shapes import (
    FIELD_MM,
    Film,
    Grid,
    Mask,
    enlarged,
    length,
    meet,
    overlap,
    tubes,
)
from nextaim_kit.studies.cxr_severity.phantom.skeleton import draw_bones
from nextaim_kit.twins.noise import smooth_noise

# Attenuation per mm at diagnostic energies, over that of water at about 0.02.
SOFT, LUNG, BONE, LEAD = 0.0200, 0.0052, 0.0390, 2.0
# Of the air along a ray that an opacity takes at its border: half of what the thinnest ones
# (density 0.3) take in their middle, where an edge that fades is seen.
LESION_SHARE = 0.15
# Lung that is thinner than this along the ray looks like the chest's wall.
_THIN_MM = 15.0


@dataclass(frozen=True)
class Disease:
    """What severity acts on.

    Parameters
    ----------
    extent : float
        Share of the lungs that is opaque, 0 to 1.
    density : float
        How much of the air in an opacity is lost, 0 to 1.
    """

    extent: float
    density: float


@dataclass(frozen=True)
class Chest:
    """Line integrals and outlines, all of shape (size, size), rows from head to foot.

    Parameters
    ----------
    attenuation : array
        Integral along each ray.
    lungs : array of int
        1: the patient's right lung (on the film's left), 2: the left one, 0: elsewhere. What the
        heart with its vessels and the diaphragm cover does not count.
    whole : array of int
        The same with what the heart and its vessels cover.
    lesions : array of bool
        Within `whole`, where opacities take at least `LESION_SHARE` of the air. Their share of
        `lungs` is the disease's extent.
    body : array of bool
    """

    attenuation: Film
    lungs: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    lesions: Mask
    body: Mask


@dataclass(frozen=True)
class _Air:
    """Both lungs: air left along each ray, outlines, and how far out and down a point lies."""

    left: Film
    lungs: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    across: Film
    down: Film


def draw_chest(size: int, disease: Disease, rng: np.random.Generator) -> Chest:
    """Draw one patient.

    Parameters
    ----------
    size : int
        Edge of the film in pixels.
    disease : Disease
    rng : Generator
        Only its children are used, so that a patient's anatomy does not depend on the disease.
    """
    shape, inside, ill, outside = rng.spawn(4)
    build = soft_tissue.draw_build(shape)
    field = FIELD_MM * float(np.clip(shape.normal(1, 0.05), 0.9, 1.12))
    grid = Grid.of(size, shape.normal(0, 5), shape.normal(0, 5), field)
    trunk = soft_tissue.draw_trunk(grid, build)
    air = _air(grid, build)
    share = _opacities(air, disease, ill)
    lost = (SOFT - LUNG) * np.clip(air.left * (1 - share) - _vessels(grid, build, inside), 0, None)
    gas = soft_tissue.draw_airways(grid, build) + soft_tissue.draw_bowel_gas(grid, build, inside)
    bones = draw_bones(grid, build, shape) * (trunk > 0)
    solid = SOFT * (trunk - gas) + (BONE - SOFT) * bones
    attenuation = solid * _texture(size, inside) - lost
    attenuation = np.clip(attenuation, 0, None) + LEAD * _marker(grid, trunk, outside)
    lesions = (share >= LESION_SHARE) & (air.whole > 0)
    return Chest(attenuation, air.lungs, air.whole, lesions, trunk > 0)


def _air(grid: Grid, build: soft_tissue.Build) -> _Air:
    """Take heart and diaphragm from the lungs."""
    heart, domes = soft_tissue.draw_heart(grid, build), soft_tissue.draw_diaphragm(grid, build)
    clear = sum(map(length, domes)) == 0
    free = length(heart[0]) == 0
    left, across = grid.empty(), grid.empty()
    lungs, whole = (np.zeros(left.shape, np.uint8) for _ in range(2))
    for label, side in ((1, -1), (2, 1)):
        lung = soft_tissue.draw_lung(grid, build, side)
        behind = length(lung.inside) - sum(overlap(lung.inside, dome) for dome in domes)
        rest = behind - sum(overlap(lung.inside, part) for part in heart)
        # What heart and diaphragm both take is taken once.
        rest += sum(overlap(meet(lung.inside, heart[0]), dome) for dome in domes)
        rest = np.maximum(rest, 0)
        whole[clear & (behind > _THIN_MM)] = label
        lungs[clear & free & (rest > _THIN_MM)] = label
        left += rest
        across = np.where(side * grid.x > 0, lung.across, across)
    return _Air(left, lungs, whole, across, lung.down)


def _vessels(grid: Grid, build: soft_tissue.Build, rng: np.random.Generator) -> Film:
    both = [soft_tissue.draw_vessels(grid, build, side, rng) for side in (-1, 1)]
    return 2.8 * (both[0] + both[1])


def _texture(size: int, rng: np.random.Generator) -> Film:
    """Muscle and fat are not quite even."""
    return 1 + 0.012 * _field(size, 12, rng)


def _field(size: int, scale_mm: float, rng: np.random.Generator) -> Film:
    """Smooth noise of unit variance, drawn no finer than it needs."""
    count = min(size, round(3 * FIELD_MM / scale_mm))
    return enlarged(smooth_noise((count, count), scale_mm / FIELD_MM * count, rng), size)


def _opacities(air: _Air, disease: Disease, rng: np.random.Generator) -> Film:
    """Share of the air that is lost along each ray: hazy patches, low and at the ribs first."""
    size, seen = len(air.left), air.lungs > 0
    field = _field(size, 24, rng) + 0.45 * _field(size, 8, rng)
    field += 2.8 * air.down + 0.9 * air.across
    grain = 1 + 0.12 * _field(size, 6, rng)
    if not seen.any() or disease.extent <= 0 or disease.density <= 0:
        return np.zeros_like(air.left)
    cut = np.quantile(field[seen], 1 - disease.extent)
    border = min(LESION_SHARE, disease.density / 2)
    odds = border / (disease.density - border)
    share = disease.density / (1 + np.exp(-(field - cut) / 0.3) / odds)
    # The grain is in the middle only, so that the border stays where the extent puts it.
    share = np.where(share > border, border + (share - border) * np.clip(grain, 0.4, 1.6), share)
    return np.clip(share, 0, 1)


def _marker(grid: Grid, trunk: Film, rng: np.random.Generator) -> Film:
    """A leaden letter for the side, in a corner beside the body if there is room."""
    letter, side = grid.empty(), int(rng.choice([-1, 1]))
    shown, x, z = rng.random() < 0.7, side * rng.uniform(146, 156), rng.uniform(-156, -140)
    box = (np.abs(grid.x - x) < 9) & (np.abs(grid.z - z) < 11)
    if shown and not trunk[box].any():
        lines = [[(-4, -7), (-4, 7), (4, 7)]]
        if side < 0:
            lines = [[(-4, 7), (-4, -7), (3, -7), (4, -3), (3, 0), (-4, 0)], [(-1, 0), (4, 7)]]
        placed = [np.add(line, (x, z)) for line in lines]
        letter = tubes(grid, placed, [1.3] * len(placed))
    return letter


def tilted(image: NDArray, degrees: float, *, order: int) -> NDArray:
    """An image turned about its middle: no patient stands quite straight."""
    angle, middle = np.deg2rad(degrees), (len(image) - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = middle - turn @ (middle, middle)
    return affine_transform(image, turn, offset, order=order, mode="nearest")
