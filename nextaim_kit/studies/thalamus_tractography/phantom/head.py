"""A head on a grid: tissue, fibers and connections of each voxel, both sides together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.thalamus_tractography.definitions import (
    BOX_SHAPE,
    BUNDLES,
    RIGHT,
    TARGETS,
    box_affine,
)
from nextaim_kit.studies.thalamus_tractography.phantom import bundles
from nextaim_kit.studies.thalamus_tractography.phantom.anatomy import KINDS, VIM, Side
from nextaim_kit.studies.thalamus_tractography.phantom.signal import PLAIN, Medium

Array = NDArray[np.floating]
Extent = Literal["hemisphere", "head", "box", "right_box"]
_BLUR = 1.5  # mm
# Most share of fibers in white matter, in the thalamus, and of what belongs to no bundle: in white
# matter, and in the cortex.
_WHITE, _THALAMUS, _OTHER, _CORTEX = 0.78, 0.27, 0.25, 0.1
_DENSE = 0.6  # mm of fiber per mm³ at which white matter is rather full
_SEEN = 0.3  # from which a voxel counts as one of the bundle
_WEIGHT = {"callosum": 4.0}  # one of its fibers stands for more
_SHOWN = 40  # fibers of each bundle that are kept as examples
_MARKS = {"AC": (0.0, 2.0, -4.0), "PC": (0.0, -25.0, -2.0)}


@dataclass(frozen=True)
class Grid:
    """Voxels along the axes of the head."""

    affine: Array
    shape: tuple[int, ...]

    @property
    def points(self) -> Array:
        """Of all voxels in mm, shape (n, 3)."""
        index, affine = np.indices(self.shape, np.float32), self.affine.astype(np.float32)
        return index.reshape(3, -1).T * np.diag(affine)[:3] + affine[:3, 3]

    @property
    def edge(self) -> float:
        """Edge of a voxel in mm."""
        return float(self.affine[0, 0])


def grid_of(extent: Extent, edge: float) -> Grid:
    """The voxels of a part of the head; boxes always have 1 mm."""
    if extent in ("box", "right_box"):
        return Grid(box_affine("left" if extent == "box" else "right"), BOX_SHAPE)
    low = np.array([-75.0, -110.0, -57.5])
    high = np.array([75.0 if extent == "head" else 15.0, 80.0, 85.0])
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = low
    return Grid(affine, tuple(int(n) for n in np.rint((high - low) / edge).astype(int) + 1))


@dataclass(frozen=True)
class Head:
    """What is known of the voxels of a grid that give a signal, n of them.

    Attributes
    ----------
    grid : Grid
    there : array of shape (x, y, z)
        Which they are.
    tissue : array of shape (n, 7)
        Shares of `KINDS`.
    medium : Medium
    parcels, thalamus : array of shape (n,)
        Labels of cortex (right: + 10), and 1 in the left and 2 in the right thalamus.
    connectivity : array of shape (n, 6)
    inside : array of shape (n,)
        Bit k is set where bundle k runs.
    fibers : dict of str to list of arrays
        Some of each bundle, mm.
    """

    grid: Grid
    there: NDArray[np.bool_]
    tissue: Array
    medium: Medium
    parcels: NDArray[np.uint8]
    thalamus: NDArray[np.uint8]
    connectivity: Array
    inside: NDArray[np.uint16]
    fibers: dict[str, list[Array]]


def tissues(person: tuple[Side, Side], points: Array, edge: float) -> Array:
    """Shares of `KINDS` around points of either side."""
    found = np.empty((len(points), len(KINDS)), np.float32)
    for side, there, own in _sides(person, points):
        found[there] = side.tissues(own, edge)
    return found


def build(person: tuple[Side, Side], grid: Grid, rng: np.random.Generator) -> Head:
    """All of a head on a grid; fibers of the right side only where the grid reaches there."""
    points = grid.points
    tissue = tissues(person, points, grid.edge)
    there = tissue[:, KINDS.index("scalp") :].sum(1) > 0.02
    tissue, points = tissue[there], points[there]
    parcels, thalamus = np.zeros((2, len(points)), np.uint8)
    shares, depth = np.zeros((len(points), len(TARGETS)), np.float32), np.zeros(len(points))
    for k, (side, here, own) in enumerate(_sides(person, points)):
        at = side.to_template(own)
        depth[here] = side.depth(at)
        gray = (tissue[here, KINDS.index("gray")] > 0.5) & (depth[here] > 0)
        parcels[here] = np.where(gray, side.parcels(at) + RIGHT * k, 0)
        thalamus[here] = (tissue[here, KINDS.index("thalamus")] > 0.5) * (k + 1)
        shares[here] = side.shares(at)
    there = there.reshape(grid.shape)
    fibers = _grown(person, grid, rng)
    laid = [bundles.laid(f, grid.affine, grid.shape, _BLUR) for f in fibers.values()]
    weight = [_WEIGHT.get(name, 1.0) for name in fibers]
    density = np.stack([w * d[there] for w, (d, _) in zip(weight, laid, strict=True)], 1)
    ways = np.stack([*(v[there] for _, v in laid), _outward(depth, there)], 1)
    inside = ((density > _SEEN) * (1 << np.arange(len(BUNDLES)))).sum(1).astype(np.uint16)
    shown = {n: [p for f in fs for p in np.moveaxis(f.points[::2, :_SHOWN], 1, 0)]
             for n, fs in fibers.items()}  # fmt: skip
    connectivity = _connected(density[:, : len(TARGETS)], shares, thalamus)
    medium = _medium(tissue, density, ways, connectivity)
    return Head(grid, there, tissue, medium, parcels, thalamus, connectivity, inside, shown)


def marks(person: tuple[Side, Side]) -> dict[str, Array]:
    """Where landmarks and targets of a person are, in mm."""
    left, right = person
    found = {name: left.to_person(np.array([at]))[0] for name, at in _MARKS.items()}
    for name, side, turn in (("vim_left", left, 1), ("vim_right", right, -1)):
        found[name] = side.to_person(side.nucleus(VIM)[None])[0] * np.array([turn, 1, 1])
    return found


def _sides(person: tuple[Side, Side], points: Array) -> list[tuple[Side, NDArray[np.bool_], Array]]:
    """Each side, which points are its own, and those as if they were a left one's."""
    left = points[:, 0] < 0
    mirrored = points[~left] * np.array([-1, 1, 1], np.float32)
    return [(person[0], left, points[left]), (person[1], ~left, mirrored)]


def _grown(
    person: tuple[Side, Side], grid: Grid, rng: np.random.Generator
) -> dict[str, list[bundles.Fibers]]:
    reach = grid.points[:, 0].min() < -20, grid.points[:, 0].max() > 20
    grown: dict[str, list[bundles.Fibers]] = {name: [] for name in BUNDLES}
    seed = rng.integers(1 << 32)  # the same for each side, so that one can be the other's mirror
    for k, (side, wanted) in enumerate(zip(person, reach, strict=True)):
        own = np.random.default_rng(seed)
        for name, fibers in bundles.grow(side, own).items() if wanted else ():
            grown[name].append(fibers.mirrored() if k else fibers)
    return grown


def _connected(density: Array, shares: Array, thalamus: NDArray[np.uint8]) -> Array:
    """Shares of the fibers in each voxel of the thalamus, which begin there or pass, by target.

    All bundles have equally many fibers; here each counts as many as its territory is large.
    """
    found = np.zeros_like(shares)
    for side in (1, 2):
        here = thalamus == side
        if here.any():
            weight = shares[here].mean(0)
            amount = density[here] * weight + 1e-3 * shares[here]
            found[here] = amount / amount.sum(1, keepdims=True)
    return found


def _outward(depth: Array, there: NDArray[np.bool_]) -> Array:
    """Unit vectors to the nearest cortex, which the fibers of no bundle follow, shape (n, 3)."""
    whole = np.full(there.shape, -5.0)
    whole[there] = depth
    slope = np.stack(np.gradient(whole), -1)[there]
    return (slope / (np.linalg.norm(slope, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def _medium(tissue: Array, density: Array, ways: Array, shares: Array) -> Medium:
    """Kinds of fibers, the three strongest of each voxel, and what is left without direction."""
    part = {kind: tissue[:, place] for place, kind in enumerate(KINDS)}
    total = density.sum(1, keepdims=True)
    full = 1 - np.exp(-total / _DENSE)
    amount = np.hstack([_WHITE * full * density / (total + 1e-9), _OTHER * (1 - full)])
    amount *= part["white"][:, None]
    amount[:, -1] += _CORTEX * part["gray"]
    known = np.linalg.norm(ways, axis=2) > 0.5
    amount[:, : len(TARGETS)] += _THALAMUS * part["thalamus"][:, None] * shares
    amount *= known
    strongest = np.argsort(-amount, axis=1, kind="stable")[:, :3]
    kept = np.take_along_axis(amount, strongest, 1).astype(np.float32)
    directions = np.take_along_axis(ways, strongest[:, :, None], 1)
    directions[kept < 0.01], kept[kept < 0.01] = 0, 0
    plain = {kind: part[kind].copy() for kind in PLAIN}
    taken = kept.sum(1)
    for name in ("thalamus", "white", "gray"):
        less = np.minimum(taken, plain[name])
        plain[name] -= less
        taken -= less
    return Medium(plain, kept, directions)
