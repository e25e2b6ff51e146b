"""Filaments as worm-like chains in three dimensions, and the dyes upon them; all in nm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Structure = Literal["microtubules", "mitochondria"]
Points = NDArray[np.float64]
STEP = 20.0  # nm between the points of a chain
SLAB = 1500.0  # nm that a cell reaches above and below the focal plane


@dataclass(frozen=True)
class Shape:
    """What the filaments of a structure are like.

    Attributes
    ----------
    persistence : float
        Length in nm over which a chain forgets its direction.
    length : float
        Of a chain, nm.
    radius : (float, float)
        Least and largest distance of the labeled surface from the center line, nm.
    density : float
        Length of center lines over area, µm per µm².
    bundled : float
        Share of the chains that run beside another one.
    """

    persistence: float
    length: float
    radius: tuple[float, float]
    density: float
    bundled: float


# Microtubules: 25 nm wide; in cells they bend as if their persistence length were some 30 µm
# (Brangwynne et al. 2006, doi:10.1083/jcb.200601060). Mitochondria: tubes of 300 to 600 nm.
SHAPES: dict[str, Shape] = {
    "microtubules": Shape(30_000.0, 12_000.0, (12.5, 12.5), 1.6, 0.2),
    "mitochondria": Shape(3_000.0, 3_500.0, (150.0, 300.0), 0.25, 0.0),
}


@dataclass(frozen=True)
class Filaments:
    """Center lines.

    Attributes
    ----------
    lines : array of shape (chains, points, 3), nm
        Columns x, y, z; x and y from the corner of the field, z from the focal plane.
    radius : array of shape (chains,), nm
    """

    lines: Points
    radius: NDArray[np.float64]


def worm_like_chains(
    starts: Points, directions: Points, points: int, persistence: float, rng: np.random.Generator
) -> Points:
    """Chains whose direction diffuses: its correlation falls as exp(-length / persistence).

    Parameters
    ----------
    starts, directions : array of shape (chains, 3)
        In nm; directions of any length.
    points : int
    persistence : float
        nm; chains turn back at `SLAB` above and below the focal plane.

    Returns
    -------
    array of shape (chains, points, 3), nm
        Points `STEP` apart.

    References
    ----------
    Kratky and Porod 1949, doi:10.1002/recl.19490681203.
    """
    at, to = starts.astype(float), _unit(directions)
    kicks = rng.normal(0, np.sqrt(STEP / persistence), (points - 1, *at.shape))
    lines = np.empty((len(at), points, 3))
    lines[:, 0] = at
    for k, kick in enumerate(kicks, 1):
        to = _unit(to + kick - (kick * to).sum(1, keepdims=True) * to)
        at = at + STEP * to
        beyond = np.abs(at[:, 2]) > SLAB
        to[beyond, 2] = -np.sign(at[beyond, 2]) * np.abs(to[beyond, 2])
        lines[:, k] = at
    return lines


def grow(
    size: float, structure: Structure, rng: np.random.Generator, density: float = 1.0
) -> Filaments:
    """Filaments of a square field and of what lies around it.

    Parameters
    ----------
    size : float
        Edge in nm.
    structure : {"microtubules", "mitochondria"}
    density : float
        Times that of `SHAPES`.
    """
    shape = SHAPES[structure]
    margin = min(shape.length / 2, 3000.0)
    wide = size + 2 * margin
    count = max(2, rng.poisson(density * shape.density * 1e-3 * wide**2 / shape.length))
    depths = np.clip(rng.normal(0, 500, count), -SLAB, SLAB)
    starts = np.column_stack([rng.uniform(-margin, size + margin, (count, 2)), depths])
    angle = rng.uniform(0, 2 * np.pi, count)
    directions = np.column_stack([np.cos(angle), np.sin(angle), rng.normal(0, 0.05, count)])
    points = int(shape.length / STEP) + 1
    lines = worm_like_chains(starts, directions, points, shape.persistence, rng)
    lines[:, :, :2] -= (lines[:, points // 2, :2] - starts[:, :2])[:, None]  # grown both ways
    beside = rng.random(count) < shape.bundled
    lines[beside] = _beside(lines[rng.permutation(count)[: beside.sum()]], rng)
    return Filaments(lines, rng.uniform(*shape.radius, count))


def _beside(lines: Points, rng: np.random.Generator) -> Points:
    """Neighbors in a bundle: 30 to 90 nm aside, a distance that varies along the way."""
    along = np.gradient(lines, axis=1)
    normal = np.stack([-along[..., 1], along[..., 0], np.zeros(along.shape[:2])], -1)
    phase = rng.uniform(0, 2 * np.pi, (len(lines), 1))
    s = np.linspace(0, 4 * np.pi, lines.shape[1])
    off = rng.uniform(50, 70, (len(lines), 1)) + 20 * np.sin(s + phase)
    return lines + _unit(normal) * off[..., None]


def label(
    filaments: Filaments,
    per_um: float,
    linker: float,
    rng: np.random.Generator,
    near: tuple[float, float] | None = None,
) -> Points:
    """Dyes on the surface of filaments.

    Parameters
    ----------
    per_um : float
        Mean number of dyes per µm of a filament of 12.5 nm radius; of wider ones more, by the root
        of their surface.
    linker : float
        Standard deviation in nm, in each direction, of a dye's place from what it marks.
    near : (float, float), optional
        Edge of the field and depth, nm: filaments farther away than 500 nm are not labeled.

    Returns
    -------
    array of shape (dyes, 3), nm
    """
    lines, radius = filaments.lines, filaments.radius
    steps = lines.shape[1] - 1
    mean = per_um * 1e-3 * STEP * np.sqrt(radius / 12.5)[:, None] * np.ones(steps)
    counts = rng.poisson(mean if near is None else mean * _near(lines[:, :-1], *near))
    chain, step = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), steps)
    first, along = lines[chain, step], lines[chain, step + 1] - lines[chain, step]
    side = _unit(np.cross(along, [1e-9, 0.0, 1.0]))
    up, angle = np.cross(_unit(along), side), rng.uniform(0, 2 * np.pi, (len(chain), 1))
    ring = radius[chain][:, None] * (np.cos(angle) * side + np.sin(angle) * up)
    on = first + rng.random((len(chain), 1)) * along + ring
    return on + rng.normal(0, linker, on.shape)


def center_lines(filaments: Filaments, size: float, depth: float) -> list[Points]:
    """Parts of the center lines within the field and `depth` nm of the focal plane: (x, y) in nm.

    Parts shorter than two points are left out.
    """
    x, y, z = np.moveaxis(filaments.lines, -1, 0)
    inside = (np.abs(z) <= depth) & (x >= 0) & (y >= 0) & (x < size) & (y < size)
    parts = []
    for line, there in zip(filaments.lines[..., :2], inside, strict=True):
        ends = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
        parts += [line[a:b] for a, b in ends.reshape(-1, 2) if b - a > 1]
    return parts


def _near(points: Points, size: float, depth: float) -> NDArray[np.bool_]:
    aside = np.abs(points[..., :2] - size / 2).max(-1) - size / 2
    return np.maximum(aside, np.abs(points[..., 2]) - depth) < 500


def _unit(vectors: Points) -> Points:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
