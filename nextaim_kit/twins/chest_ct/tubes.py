"""What is long and round: vessels, airways, collar bones, drawn as balls along lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.twins.chest_ct.grid import Grid, Labels, Volume

_AT_ONCE = 2_000_000  # voxels that are stamped in one go
Points = NDArray[np.floating]


@dataclass(frozen=True)
class Tubes:
    """Straight pieces of tube.

    Parameters
    ----------
    starts, ends : array of shape (n, 3)
        x, y, z in mm.
    radii : array of shape (n,)
        In mm.
    """

    starts: Points
    ends: Points
    radii: Points

    @classmethod
    def along(cls, points: Sequence[Sequence[float]], radii: Sequence[float] | float) -> Tubes:
        """A smooth tube through points."""
        from scipy.interpolate import PchipInterpolator

        nodes = np.asarray(points, float)
        wide = np.broadcast_to(np.asarray(radii, float), len(nodes))
        length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(nodes, axis=0), axis=1))]
        at = np.linspace(0, length[-1], 2 + int(length[-1] / 6))
        line = PchipInterpolator(length, np.c_[nodes, wide])(at)
        return cls(line[:-1, :3], line[1:, :3], line[:-1, 3])

    @classmethod
    def joined(cls, parts: Sequence[Tubes]) -> Tubes:
        return cls(
            np.concatenate([p.starts for p in parts]),
            np.concatenate([p.ends for p in parts]),
            np.concatenate([p.radii for p in parts]),
        )

    def beads(self, finest: float) -> tuple[Points, Points]:
        """Centers and radii of balls along the tubes, at least `finest` mm apart."""
        lengths = np.linalg.norm(self.ends - self.starts, axis=1)
        counts = 1 + (lengths / np.maximum(0.6 * self.radii, finest)).astype(int)
        piece = np.repeat(np.arange(len(counts)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        share = ((np.arange(len(piece)) - first) / counts[piece])[:, None]
        points = self.starts[piece] * (1 - share) + self.ends[piece] * share
        return points, self.radii[piece]


def draw_tubes(grid: Grid, tubes: Tubes) -> Labels:
    """Share of each voxel in the tubes, of shape (z, y, x), in 255ths."""
    canvas = np.zeros(grid.shape, np.uint8)
    edge = grid.edges[0]
    points, radii = tubes.beads(0.5 * edge)
    # What is finer than a voxel is drawn as wide as one and as much thinner.
    drawn = np.maximum(radii, 0.6 * edge)
    strength = 255 * (radii / drawn) ** 2
    classes = np.ceil(np.log(drawn / edge) / np.log(1.4)).astype(int)
    for k in np.unique(classes):
        mine = np.flatnonzero(classes == k)
        half = [int(np.ceil((edge * 1.4 ** float(k) + e) / e)) for e in grid.edges]
        step = max(1, _AT_ONCE // int(np.prod([2 * n + 1 for n in half])))
        for first in range(0, len(mine), step):
            some = mine[first : first + step]
            _stamp(canvas, grid, points[some], drawn[some], strength[some], half)
    return canvas


def _stamp(
    canvas: Labels, grid: Grid, points: Points, radii: Points, strength: Points, half: list[int]
) -> None:
    """Enter balls of at most `half` voxels' radius; the thickest stays."""
    squares, firsts = [], []
    edge = grid.edges[0]
    for axis, n in enumerate(half):
        step = grid.edges[axis]
        place = (points[:, axis] - grid.origin[axis]) / step
        index = np.rint(place).astype(np.intp)[:, None] + np.arange(-n, n + 1)
        away = np.abs(index - place[:, None]) * step
        # A slice that is thicker than a pixel is wide sees a tube from farther off.
        away = np.maximum(away - (step - edge) / 2, 0) if step > edge else away
        squares.append((away**2).astype(np.float32))
        firsts.append(index[:, 0])
    away = np.sqrt(_summed(squares))
    share = np.clip((radii.astype(np.float32)[:, None, None, None] - away) / edge + 0.5, 0, 1)
    share *= strength.astype(np.float32)[:, None, None, None]
    ball, *offsets = np.nonzero(share >= 1)
    z, y, x = (first[ball] + off for first, off in zip(firsts[::-1], offsets, strict=True))
    nz, ny, nx = grid.shape
    seen = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
    flat = (z[seen] * ny + y[seen]) * nx + x[seen]
    np.maximum.at(canvas.reshape(-1), flat, share[ball, *offsets][seen].astype(np.uint8))


def _summed(parts: list[Volume]) -> Volume:
    """The sum of x, y, z of each ball, of shape (balls, z, y, x)."""
    x, y, z = parts
    plane = y[:, :, None] + x[:, None, :]
    return z[:, :, None, None] + plane[:, None, :, :]
