"""A chest in HU before disease and scanner: body, bones, mediastinum, lungs, vessels, airways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextaim_kit.twins.chest_ct import organs
from nextaim_kit.twins.chest_ct.bones import collar_bones, paint_bones
from nextaim_kit.twins.chest_ct.build import Build, draw_build
from nextaim_kit.twins.chest_ct.grid import (
    Grid,
    Labels,
    Plane,
    Texture,
    Volume,
    cover,
    paint,
)
from nextaim_kit.twins.chest_ct.patient_slice import Slice, open_slice, tubes_on_table
from nextaim_kit.twins.chest_ct.tree import LEFT, RIGHT, draw_pipes
from nextaim_kit.twins.chest_ct.tubes import Points, Tubes, draw_tubes

_SKETCH = (64, 52, 54)  # voxels of the sketch in which vessels find their way
_FROM_BORDER_MM = 6.0  # vessels end before they reach the pleura
_WHOLE = np.float32(255)


@dataclass(frozen=True)
class Chest:
    """A patient without disease; volumes have the shape (z, y, x).

    Parameters
    ----------
    grid : Grid
    build : Build
    hu : array
        The lungs hold no vessels and airways yet.
    lungs : array of int
        1: right, 2: left lung of the patient, vessels within them included; 0 elsewhere.
    air : array of int
        Share of each voxel that is lung, in 255ths; at the border also beyond the mask.
    depth : array, one value per voxel that holds some lung
        Distance from ribs or diaphragm in mm.
    vessels, walls, lumens : array of int
        Share of each voxel that is blood, wall of an airway, air in it, in 255ths.
    """

    grid: Grid
    build: Build
    hu: Volume
    lungs: Labels
    air: Labels
    depth: Volume
    vessels: Labels
    walls: Labels
    lumens: Labels


def draw_chest(size: tuple[int, int, int], rng: np.random.Generator) -> Chest:
    """Draw one patient.

    Parameters
    ----------
    size : (int, int, int)
        Voxels in x, y, z. A patient is the same at every size.
    rng : Generator
        Only its children are used.
    """
    shape, inside, grain = rng.spawn(3)
    build = draw_build(shape)
    pipes = draw_pipes(build, _places(build), inside)
    grid = Grid.of(size)

    def drawn(tubes: Tubes) -> Labels:
        return draw_tubes(grid, tubes_on_table(build, tubes))

    soft = {"great": pipes.great, "gullet": pipes.gullet, "main": pipes.main}
    fixed = {name: drawn(tubes) for name, tubes in soft.items()}
    fixed["bones"] = drawn(collar_bones(build))
    textures = [Texture.draw(scale, grain) for scale in (4.0, 10.0, 20.0)]
    hu, lungs, air, depth = _painted(grid, build, fixed, textures)
    lumens = drawn(pipes.lumens)
    # No branch crosses the heart or its fat.
    low = (grid.z < build.carina - 45)[:, None, None]
    lumens[(air == 0) & (fixed["main"] == 0) & (low | (hu > 0))] = 0
    vessels, walls = drawn(pipes.lung), drawn(pipes.walls)
    return Chest(grid, build, hu, lungs, air, depth, vessels, walls, lumens)


def _places(build: Build) -> dict[int, Points]:
    """Points in each lung where a vessel may end, in the patient's own mm."""
    grid = Grid.of(_SKETCH)
    found: dict[int, list[Points]] = {RIGHT: [], LEFT: []}
    for k in range(len(grid.z)):
        s = open_slice(grid, k, build)
        air, _ = _lungs(s)
        for side, points in found.items():
            at = (air < -_FROM_BORDER_MM) & (organs.sides(s) == side)
            points.append(np.stack([s.x[at], s.y[at], np.full(at.sum(), s.z)], axis=1))
    return {side: np.concatenate(points) for side, points in found.items()}


def _lungs(s: Slice) -> tuple[Plane, Plane]:
    return organs.lungs_distance(s, organs.heart_distance(s), organs.below_diaphragm(s))


def _painted(
    grid: Grid, build: Build, fixed: dict[str, Labels], textures: list[Texture]
) -> tuple[Volume, Labels, Labels, Volume]:
    """HU, lungs, their shares and depth, slice by slice so that little is in memory at a time."""
    hu, lungs = np.empty(grid.shape, np.float32), np.zeros(grid.shape, np.uint8)
    shares = np.zeros_like(lungs)
    depths = []
    for k in range(len(grid.z)):
        s = open_slice(grid, k, build)
        grain = [texture.plane(grid, s.z) for texture in textures]
        taken = np.maximum(np.maximum(fixed["great"][k], fixed["main"][k]), fixed["gullet"][k])
        air, depth = _paint_slice(s, grid, {name: v[k] for name, v in fixed.items()}, grain)
        lungs[k] = np.where((air <= 0) & (taken < 128), organs.sides(s), 0)
        shares[k] = np.rint(cover(air, s.edge) * (255 - taken))
        shares[k][lungs[k] > 0] = np.maximum(shares[k][lungs[k] > 0], 1)
        depths.append(depth[shares[k] > 0])
        hu[k] = s.hu
    return hu, lungs, shares, np.concatenate(depths)


def _paint_slice(
    s: Slice, grid: Grid, fixed: dict[str, Labels], grain: list[Plane]
) -> tuple[Plane, Plane]:
    """Paint one slice from the outside inwards; distance from the lungs, and depth in them."""
    heart, under = organs.heart_distance(s), organs.below_diaphragm(s)
    air, depth = organs.lungs_distance(s, heart, under)
    organs.paint_table(s, grid)
    organs.paint_trunk(s, *grain)
    organs.paint_abdomen(s, under)
    organs.paint_heart(s, heart, under)
    organs.paint_lungs(s, cover(air, s.edge), grain[0])
    organs.paint_pipes(s, fixed["great"], fixed["gullet"])
    paint_bones(s)
    paint(s.hu, fixed["bones"] / _WHOLE, 480.0)
    return air, depth


def add_branches(chest: Chest) -> None:
    """Enter vessels and airways, in place; what is denser already hides vessels."""
    for hu, vessels, walls, lumens in zip(
        chest.hu, chest.vessels, chest.walls, chest.lumens, strict=True
    ):
        for share, value in ((vessels, organs.BLOOD), (walls, -10.0)):
            at = np.nonzero((share > 0) & (hu < value))
            hu[at] += share[at] / _WHOLE * (value - hu[at])
        at = np.nonzero(lumens)
        hu[at] += lumens[at] / _WHOLE * (-985.0 - hu[at])
