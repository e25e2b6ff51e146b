"""Bundles of a hemisphere as thousands of curved fibers, and what of them lies in a voxel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.thalamus_tractography.definitions import BUNDLES, TARGETS
from nextaim_kit.studies.thalamus_tractography.phantom.anatomy import CENTER, VIM, Side

Array = NDArray[np.floating]
FIBERS = 1500  # of each bundle
_WIDE = 2.6  # mm, of a bundle's core
# Through where each goes between its ends, in the template's mm.
COURSES: Mapping[str, Sequence[Sequence[float]]] = {
    "frontal": ((-18, 4, 7), (-21, 15, 8), (-26, 28, 14)),
    "precentral": ((-25, -13, 13), (-27, -15, 24), (-29, -15, 34)),
    "postcentral": ((-26, -21, 12), (-29, -25, 24), (-31, -27, 34)),
    "parietal": ((-24, -27, 13), (-30, -35, 22), (-32, -48, 32)),
    "occipital": ((-24, -27, 1), (-33, -30, 2), (-40, -43, 3), (-36, -60, 3)),
    "temporal": ((-17, -23, -6), (-26, -18, -5), (-35, -16, -5), (-43, -20, -10)),
    "corticospinal": (
        (-29, -16, 36), (-27.5, -15, 20), (-26.5, -16, 6), (-18, -19, -9), (-9, -25, -26),
    ),
    "longitudinal": ((-37, 10, 28), (-37, -12, 31), (-37, -32, 29), (-41, -46, 20)),
    "dentato_rubro_thalamic": ((8, -44, -30), (1, -34, -20), (-4, -22, -10), (-8, -18, -3)),
}  # fmt: skip
_FOOT, _DENTATE = (-5.0, -34.0, -62.0), (16.0, -56.0, -36.0)


@dataclass(frozen=True)
class Fibers:
    """One bundle: fibers of equally many points, of which neighbors lie about 1 mm apart.

    Attributes
    ----------
    points : array of shape (k, fibers, 3)
        mm of the person.
    """

    points: Array

    def mirrored(self) -> Fibers:
        """The same on the other side."""
        return Fibers(self.points * np.array([-1, 1, 1]))


def grow(side: Side, rng: np.random.Generator) -> dict[str, Fibers]:
    """All bundles of a left hemisphere."""
    cortex = _cortex(side, rng)
    starts = [_some(points, rng) for points in _territories(side, rng)]
    found = {
        name: _bundle(side, starts[k], COURSES[name], _some(cortex[k], rng), rng)
        for k, name in enumerate(TARGETS)
    }
    down = _some(cortex[TARGETS.index("precentral")], rng)
    found["corticospinal"] = _bundle(
        side, down, COURSES["corticospinal"], _near(_FOOT, 3, rng), rng
    )
    front = _some(_part(cortex[0], 1, low=5), rng)
    back = _some(_part(cortex[TARGETS.index("parietal")], 1, high=-45), rng)
    found["longitudinal"] = _bundle(side, front, COURSES["longitudinal"], back, rng)
    found["callosum"] = _callosum(side, cortex, rng)
    vim = side.nucleus(VIM)
    course = COURSES["dentato_rubro_thalamic"]
    found["dentato_rubro_thalamic"] = _bundle(
        side, _near(_DENTATE, 3, rng), course, _near(vim, 1.2, rng), rng, wide=1.5
    )
    return {name: found[name] for name in BUNDLES}


def _cortex(side: Side, rng: np.random.Generator) -> list[Array]:
    """Points of the template below the cortex of each target."""
    axes = (np.arange(-68, -1, 4.0), np.arange(-104, 70, 4.0), np.arange(-38, 78, 4.0))
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    depth = side.depth(grid)
    ends = grid[(depth > 1) & (depth < 5) & (grid[:, 0] < -4)]
    ends = ends + rng.uniform(-1.5, 1.5, ends.shape)
    parcels = side.parcels(ends)
    return [ends[parcels == 1 + place] for place in range(len(TARGETS))]


def _territories(side: Side, rng: np.random.Generator) -> list[Array]:
    """Points of the template where fibers to each target begin in the thalamus."""
    unit = rng.uniform(-1, 1, (30 * FIBERS, 3))
    unit = unit[(unit**2).sum(1) < 0.95]
    starts = CENTER + unit @ np.linalg.inv(side.in_thalamus(CENTER + np.eye(3)))
    goes = rng.uniform(size=(len(starts), 1)) < np.cumsum(side.shares(starts), 1)
    target = np.where(goes.any(1), goes.argmax(1), len(TARGETS) - 1)
    return [starts[target == place] for place in range(len(TARGETS))]


def _callosum(side: Side, cortex: list[Array], rng: np.random.Generator) -> Fibers:
    """From all of the cortex through the middle, and a little further."""
    ends = _some(np.concatenate([c for n, c in zip(TARGETS, cortex, strict=True)
                                 if n != "temporal"]), rng)  # fmt: skip
    along = np.clip((70 - ends[:, 1] + rng.normal(0, 6, len(ends))) / 170, 0, 1)
    angle = np.radians(25 + 150 * along)  # from the genu over the body to the splenium
    middle = np.array([-5, 2, 0]) + np.stack(
        [0 * angle + 5, 33.5 * np.cos(angle), 24.5 * np.sin(angle)], 1
    )
    middle[:, 1:] += rng.normal(0, 1.0, (len(ends), 2))
    out = np.array([-1.0, 1, 1]) * np.stack(
        [np.full(len(ends), 14.0), middle[:, 1] * 1.02, middle[:, 2] + 2.5], 1
    )
    nodes = [out * (-1, 1, 1), middle, out, 0.5 * (out + ends) + (0, 0, 2), ends]
    return _through(side, nodes)


def _bundle(
    side: Side, starts: Array, course: Sequence[Sequence[float]], ends: Array,
    rng: np.random.Generator, wide: float = _WIDE,
) -> Fibers:  # fmt: skip
    """Fibers that keep their order in the bundle: neighbors at the ends are so in between."""
    order = ends - ends.mean(0)
    order = 0.7 * order / (order.std() + 1e-9) + 0.5 * rng.standard_normal(ends.shape)
    order *= np.minimum(1, 1.8 / np.linalg.norm(order, axis=1))[:, None]
    grown = [np.asarray(node, float) + wide * (1 + 0.25 * k) * order * 0.8
             for k, node in enumerate(course)]  # fmt: skip
    return _through(side, [starts, *grown, ends])


def _through(side: Side, nodes: Sequence[Array]) -> Fibers:
    """Smooth curves through the template's nodes, bent as the person is."""
    from scipy.interpolate import PchipInterpolator

    bent = np.stack([side.to_person(np.asarray(node)) for node in nodes])
    steps = np.linalg.norm(np.diff(bent, axis=0), axis=2).mean(1)
    at = np.r_[0, np.cumsum(steps)]
    return Fibers(PchipInterpolator(at, bent)(np.linspace(0, at[-1], int(at[-1]) + 2)))


def _some(points: Array, rng: np.random.Generator) -> Array:
    return points[rng.integers(len(points), size=FIBERS)] + rng.normal(0, 0.5, (FIBERS, 3))


def _near(place: Sequence[float] | Array, spread: float, rng: np.random.Generator) -> Array:
    return np.asarray(place) + rng.normal(0, spread, (FIBERS, 3))


def _part(points: Array, axis: int, low: float = -np.inf, high: float = np.inf) -> Array:
    return points[(points[:, axis] > low) & (points[:, axis] < high)]


def laid(
    fibers: Sequence[Fibers], affine: Array, shape: Sequence[int], blur: float
) -> tuple[Array, Array]:
    """How much of a bundle lies in each voxel, and its direction there.

    Parameters
    ----------
    fibers : sequence of Fibers
        Of one bundle, of one side or of both.
    affine : array of shape (4, 4)
        Of a grid along the axes of the head.
    shape : three int
    blur : float
        mm, standard deviation.

    Returns
    -------
    density : array of shape (x, y, z)
        mm of fiber per mm³.
    direction : array of shape (x, y, z, 3)
        Unit vectors, of whatever sign; 0 where there are hardly fibers.
    """
    from scipy.ndimage import gaussian_filter

    steps = np.concatenate([np.diff(f.points, axis=0).reshape(-1, 3) for f in fibers])
    middles = np.concatenate([f.points[1:].reshape(-1, 3) for f in fibers]) - 0.5 * steps
    edges = np.diag(affine)[:3]
    index = np.rint((middles - affine[:3, 3]) / edges).astype(int)
    inside = ((index >= 0) & (index < shape)).all(1)
    flat = np.ravel_multi_index(tuple(index[inside].T), tuple(shape))
    length = np.linalg.norm(steps[inside], axis=1)
    unit = steps[inside] / (length[:, None] + 1e-9)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    weights = [length, *(length * unit[:, i] * unit[:, j] for i, j in pairs)]
    sums = np.stack([
        gaussian_filter(np.bincount(flat, w, int(np.prod(shape))).reshape(shape),
                        blur / np.abs(edges), truncate=2.5)
        for w in weights
    ])  # fmt: skip
    density = (sums[0] / np.abs(np.prod(edges))).astype(np.float32)
    there = density > 0.003 * max(density.max(), 1e-6)
    dyads = np.empty((int(there.sum()), 3, 3))
    for (i, j), part in zip(pairs, sums[1:], strict=True):
        dyads[:, i, j] = dyads[:, j, i] = part[there]
    direction = np.zeros((*shape, 3), np.float32)
    direction[there] = np.linalg.eigh(dyads)[1][:, :, 2]
    return density, direction
