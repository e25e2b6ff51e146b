"""One slice of a patient: where its pixels lie in the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.twins.chest_ct import build as measures
from nextaim_kit.twins.chest_ct.build import ANGLES, Build, Ring
from nextaim_kit.twins.chest_ct.grid import Grid, Plane
from nextaim_kit.twins.chest_ct.tubes import Points, Tubes

AIR = -1000.0


@dataclass(frozen=True)
class Slice:
    """Places in a slice, and what has been painted there; planes have the shape (ny, nx).

    Parameters
    ----------
    build : Build
    z, edge, thick : float
        Height; edges of a voxel in the slice and along z; in mm.
    x, y : array
        In mm, as the patient is turned.
    from_back : array
        Angle around the rib cage's middle from the back, 0 to pi.
    out : array
        Distance outwards from the lungs' outer border.
    hu : array
    radius : array
        Distance from the rib cage's middle.
    at : array of int
        Which of `ANGLES` each pixel is at.
    """

    build: Build
    z: float
    edge: float
    thick: float
    x: Plane
    y: Plane
    from_back: Plane
    out: Plane
    hu: Plane
    radius: Plane
    at: NDArray[np.intp]

    @cached_property
    def deep(self) -> Plane:
        """Distance inwards from the skin."""
        return _ring(measures.trunk(self.build, self.z), self.at) - self.radius

    @cached_property
    def fat(self) -> Plane:
        """Thickness of skin and fat."""
        return _ring(measures.fat_ring(self.build, self.z), self.at)


def open_slice(grid: Grid, k: int, build: Build) -> Slice:
    """Find the places of slice `k`; nothing but air is painted yet."""
    z = float(grid.z[k])
    x, y = _into_patient(build, grid.x, grid.y)
    radius, angle = _polar(x, y - np.float32(measures.middle_y(build, z)))
    count = len(ANGLES)
    at = np.minimum(((angle + np.pi) * (count / (2 * np.pi))).astype(np.intp), count - 1)
    border, slant = (_ring(values, at) for values in measures.cage(build, z))
    hu = np.full(x.shape, AIR, np.float32)
    return Slice(
        build, z, grid.edges[0], grid.edges[2], x, y, np.abs(angle), (radius - border) * slant, hu,
        radius, at,
    )  # fmt: skip


def _ring(values: Ring, at: NDArray[np.intp]) -> Plane:
    return values.astype(np.float32)[at]


def _polar(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    return np.sqrt(x * x + y * y), np.arctan2(x, y)


def _into_patient(build: Build, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    cos, sin = np.float32(np.cos(build.turn)), np.float32(np.sin(build.turn))
    x = x - np.float32(build.shift)
    return cos * x + sin * y, cos * y - sin * x


def on_table(build: Build, points: Points) -> Points:
    """Points of the patient (n, 3) where they lie in the field, in mm."""
    cos, sin = np.cos(build.turn), np.sin(build.turn)
    x, y, z = points.T
    return np.stack([cos * x - sin * y + build.shift, cos * y + sin * x, z], axis=1)


def tubes_on_table(build: Build, tubes: Tubes) -> Tubes:
    return Tubes(on_table(build, tubes.starts), on_table(build, tubes.ends), tubes.radii)
