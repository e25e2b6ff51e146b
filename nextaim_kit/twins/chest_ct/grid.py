"""Voxels in the patient, soft edges, and noise that is the same whatever the voxels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.twins.noise import smooth_noise

FIELD_MM, HEIGHT_MM = 400.0, 340.0  # edge of the field in x, and in z
CENTER_MM = (0.0, 5.0, -12.0)

Volume = NDArray[np.float32]
Plane = NDArray[np.floating]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """Centers of voxels in mm.

    Parameters
    ----------
    x : array of shape (1, nx)
        To the patient's left.
    y : array of shape (ny, 1)
        To the back.
    z : array of shape (nz,)
        To the head.
    """

    x: Volume
    y: Volume
    z: Volume

    @classmethod
    def of(cls, size: tuple[int, int, int]) -> Grid:
        """Grid of `size` voxels in x, y, z: square in the slice, the field always as wide."""
        edges = (FIELD_MM / size[0], FIELD_MM / size[0], HEIGHT_MM / size[2])
        x, y, z = (
            ((np.arange(n) - (n - 1) / 2) * edge + center).astype(np.float32)
            for n, edge, center in zip(size, edges, CENTER_MM, strict=True)
        )
        return cls(x[None, :], y[:, None], z)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return len(self.z), len(self.y), self.x.shape[1]

    @property
    def edges(self) -> tuple[float, float, float]:
        """Edges of a voxel in mm: x, y, z."""
        edge = FIELD_MM / self.shape[2]
        return edge, edge, HEIGHT_MM / self.shape[0]

    @property
    def origin(self) -> tuple[float, float, float]:
        """Center of the first voxel in mm: x, y, z."""
        return float(self.x[0, 0]), float(self.y[0, 0]), float(self.z[0])

    @property
    def voxel_ml(self) -> float:
        return float(np.prod(self.edges)) / 1000


def cover(distance: Plane, edge: float) -> Plane:
    """Share of a voxel within a shape, by the signed distance (mm, negative inside) of its center.

    Parameters
    ----------
    distance : array
    edge : float
        Of a voxel, in mm.
    """
    return np.clip(0.5 - distance / np.float32(edge), 0, 1)


def paint(hu: Plane, share: Plane, value: Plane | float) -> None:
    """Mix `value` into `hu`, in place."""
    hu += share * (value - hu)


@dataclass(frozen=True)
class Texture:
    """Smooth noise of mean 0 and variance 1 that repeats, to be looked up anywhere.

    Parameters
    ----------
    values : array of shape (n, n, n)
        z, y, x.
    edge : float
        Distance of its nodes in mm.
    """

    values: Volume
    edge: float

    @classmethod
    def draw(cls, scale_mm: float, rng: np.random.Generator, *, nodes: int = 48) -> Texture:
        """Noise correlated over `scale_mm`; it repeats after ``nodes * scale_mm / 2.5``."""
        return cls(smooth_noise((nodes,) * 3, 2.5, rng), scale_mm / 2.5)

    def plane(self, grid: Grid, z: float) -> Plane:
        """Its values in a slice, of shape (ny, nx), linear between the nodes."""
        below, above, share = self._nodes(np.array([z], np.float32))
        layer = self.values[below[0]] * (1 - share[0]) + self.values[above[0]] * share[0]
        below, above, share = self._nodes(grid.y[:, 0])
        rows = layer[below] * (1 - share)[:, None] + layer[above] * share[:, None]
        below, above, share = self._nodes(grid.x[0])
        return rows[:, below] * (1 - share) + rows[:, above] * share

    def _nodes(self, mm: Volume) -> tuple[NDArray[np.intp], NDArray[np.intp], Volume]:
        place = mm / np.float32(self.edge)
        first = np.floor(place).astype(np.intp)
        n = len(self.values)
        return first % n, (first + 1) % n, (place - first).astype(np.float32)
