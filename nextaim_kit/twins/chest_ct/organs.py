"""The soft parts of a chest and its air, painted slice by slice."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.twins.chest_ct.build import (
    SKIN_MM,
    middle_y,
    narrowing,
    spine_y,
)
from nextaim_kit.twins.chest_ct.grid import Grid, Labels, Plane, cover, paint
from nextaim_kit.twins.chest_ct.patient_slice import AIR, Slice

FAT, MUSCLE, BLOOD, GULLET, LIVER, SPLEEN, STOMACH = -102.0, 52.0, 44.0, 34.0, 57.0, 49.0, 28.0
HEART, SKIN, LUNG = 45.0, 15.0, -926.0
_PLEURA_MM = 1.0
_FAR_MM = 99.0


def paint_table(s: Slice, grid: Grid) -> None:
    """The scanner's table: a thin shell around foam, which does not turn with the patient."""
    top = 0.87 * s.build.depth + 66 + 0.2 * s.build.fat
    below = grid.y - (top - grid.x**2 / 900)
    inside = np.maximum(np.maximum(-below, below - 34), np.abs(grid.x) - 205)
    paint(s.hu, cover(inside, s.edge), -930.0)
    paint(s.hu, cover(np.abs(inside + 1.2) - 1.2, s.edge), -250.0)


def paint_trunk(s: Slice, texture: Plane, middle: Plane, coarse: Plane) -> None:
    """Skin, fat and muscle, with fat between the muscles."""
    paint(s.hu, cover(-s.deep, s.edge), SKIN)
    paint(s.hu, cover(SKIN_MM - s.deep, s.edge), FAT + 6 * texture)
    muscle = cover(s.fat - s.deep, s.edge)
    paint(s.hu, muscle, MUSCLE + 5 * texture)
    # The thicker the wall, the more fat lies in it: armpit and neck.
    thick = np.clip((np.minimum(s.out, s.deep - s.fat) - 2) / 14, 0, 1)
    armpit = np.exp(-(((s.from_back - 0.58 * np.pi) / 0.35) ** 2)) * np.clip((s.z - 20) / 50, 0, 1)
    within = (s.deep - s.fat) / 24 + 0.30 * coarse
    layer = np.abs(within - np.rint(within))
    planes = np.clip(1.6 - layer / (0.06 + 0.14 * armpit), 0, 1) * np.clip(0.6 + middle, 0, 1)
    paint(s.hu, muscle * thick * planes, FAT)
    paint(s.hu, cover(s.out, s.edge), FAT)


def paint_abdomen(s: Slice, under: Plane) -> None:
    """Liver, spleen and stomach below the diaphragm; `under` is the distance below it in mm."""
    if not (under > -s.edge).any():
        return
    here = np.minimum(cover(-under, s.edge), cover(s.out, s.edge))
    paint(s.hu, here, FAT)
    dome = s.build.dome
    edge = s.x - 22 + 0.5 * (s.y + 10) - 12 * np.sin((s.y + 0.5 * s.z) / 28)
    liver = np.minimum(here, cover(edge, 4))
    spleen = _ellipsoid(s, (86, 36, dome - 62), (30, 46, 46))
    stomach = _ellipsoid(s, (50, -18, dome - 58), (38, 46, 36))
    paint(s.hu, liver, LIVER)
    paint(s.hu, np.minimum(here, cover(spleen, s.edge)), SPLEEN)
    paint(s.hu, np.minimum(here, cover(stomach, s.edge)), STOMACH)
    gas = np.maximum(stomach + 4, s.y + 34)
    paint(s.hu, np.minimum(here, cover(gas, s.edge)), AIR + 40)
    paint(s.hu, np.minimum(here, cover(np.abs(under - 2) - 1.5, s.edge)), MUSCLE)


def paint_heart(s: Slice, heart: Plane, under: Plane) -> None:
    """The heart in its fat, by the distance from it."""
    above = np.maximum(heart, under)
    paint(s.hu, cover(above - 4, s.edge), FAT)
    paint(s.hu, cover(above, s.edge), HEART)
    paint(s.hu, cover(np.abs(heart - 4.5) - 0.8, s.edge) * (under < 0), 10.0)


def paint_pipes(s: Slice, blood: Labels, gullet: Labels) -> None:
    """Great vessels and gullet, by their share of each voxel in 255ths."""
    paint(s.hu, gullet / np.float32(255), GULLET)
    paint(s.hu, blood / np.float32(255), BLOOD)


def paint_lungs(s: Slice, share: Plane, texture: Plane) -> None:
    """Lung without its vessels; blood sinks to the back."""
    paint(s.hu, share, lung_hu(s.y) + 9 * texture)


def lung_hu(y: Plane) -> Plane:
    """HU of lung tissue without vessels, by how far back it lies (mm)."""
    return LUNG + np.float32(0.26) * (y + 70)


def sides(s: Slice) -> Labels:
    """1 in the right half of the patient, 2 in the left."""
    return np.where(s.x < 0, 1, 2).astype(np.uint8)


def below_diaphragm(s: Slice) -> Plane:
    """Distance below the diaphragm in mm, negative above it."""
    build = s.build
    half, depth, y = 0.62 * build.half, 0.98 * build.depth, s.y + 8
    tops = np.where(s.x < 0, build.dome, build.dome - build.lower).astype(np.float32)
    away = np.sqrt(((np.abs(s.x) - 0.5 * build.half) / half) ** 2 + (y / depth) ** 2)
    height = tops - 74 * away * away * np.sqrt(away)
    # In the middle it is a sheet under the heart.
    sheet = build.dome - 24 - 0.5 * build.lower - ((s.x - 10) / 12) ** 2
    sheet = sheet - 0.011 * np.maximum(y, 0) ** 2
    return 0.75 * (np.maximum(height, sheet) - s.z)


def heart_distance(s: Slice) -> Plane:
    """Distance from the heart: its left and right half as one."""
    build, size = s.build, s.build.heart
    if not build.dome - 60 < s.z < build.carina + 30:
        return np.full(s.x.shape, _FAR_MM, np.float32)
    z = 0.42 * build.carina + 0.58 * build.dome - 6
    y = middle_y(build, z) - 0.34 * build.depth
    left = _ellipsoid(
        s, (27, y - 2, z - 10), (68 * size, 49 * size, 48 * size), along=(0.72, -0.50, -0.48)
    )
    right = _ellipsoid(s, (-18, y + 4, z), (36 * size, 40 * size, 50 * size))
    blend = np.clip(0.5 + (left - right) / 24, 0, 1)
    return left + blend * (right - left) - 12 * blend * (1 - blend)


def mediastinum_distance(s: Slice) -> Plane:
    """Distance from what lies between the lungs, heart and great vessels not counted."""
    build = s.build
    front = middle_y(build, s.z) - 0.9 * build.depth * narrowing(build, s.z)
    spine = spine_y(build, s.z)
    upper = _rise(s.z, build.carina + 48, 9.0)
    behind = _rise(s.y, 0.5 * front + 2, 6.0)
    narrow = 4 + 18 * behind - 3.0 * np.exp(-(((s.y - spine + 26) / 12) ** 2))
    wide = narrow * (1 - upper) + (26 - 4 * behind) * upper
    wide += 5 * _rise(s.y, spine + 12, 4.0)
    wide += 12 * np.exp(-(((s.z - build.carina + 16) / 26) ** 2 + ((s.y - spine + 48) / 20) ** 2))
    lean = 5 * (1 - behind)
    return np.abs(s.x - lean) - wide


def lungs_distance(s: Slice, heart: Plane, under: Plane) -> tuple[Plane, Plane]:
    """Distance from the lungs (negative inside), and depth below ribs or diaphragm, in mm."""
    outer = _PLEURA_MM + _corner(s.out, under)
    inner = np.minimum(mediastinum_distance(s), heart - 5.5)
    return np.maximum(outer, -inner), -outer


def _corner(one: Plane, other: Plane) -> Plane:
    """The larger of two distances, rounded so that no sliver is left between two borders."""
    return np.maximum(one, other) + np.maximum(7 - np.abs(one - other), 0) ** 2 / 28


def _rise(value: Plane | float, at: float, width: float) -> Plane:
    return 1 / (1 + np.exp(-(np.asarray(value, np.float32) - at) / width))


def _ellipsoid(
    s: Slice,
    center: tuple[float, float, float],
    radii: tuple[float, float, float],
    along: tuple[float, float, float] = (1.0, 0.0, 0.0),
) -> Plane:
    """Distance, near its surface, from an ellipsoid whose first radius lies `along`."""
    x, y, z = s.x - center[0], s.y - center[1], s.z - center[2]
    axes = _axes(along) / np.array(radii)[:, None]
    parts = [np.float32(a) * x + np.float32(b) * y + np.float32(c * z) for a, b, c in axes]
    norm = np.sqrt(sum(part * part for part in parts))
    return (norm - 1) * np.float32(np.mean(radii))


@lru_cache(maxsize=8)
def _axes(along: tuple[float, float, float]) -> NDArray[np.floating]:
    """Three unit vectors at right angles, the first one `along`, the second one level."""
    first = np.array(along) / np.linalg.norm(along)
    second = np.cross((0.0, 0.0, 1.0), first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])
