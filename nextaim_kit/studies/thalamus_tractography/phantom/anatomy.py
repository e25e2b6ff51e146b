"""Tissue of a head at every point, in a template's mm that each person bends in his own way.

Points are x, y, z in mm to the right, front and head, near MNI space. Formulas are those of a left
hemisphere; the right one is another, looked at in the mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS

Array = NDArray[np.floating]
KINDS = ("air", "skull", "scalp", "fluid", "gray", "white", "thalamus")
# Of the thalamus: center and half axes (front, side, head) in mm, degrees the first is turned by.
CENTER = np.array([-13, -18, 7], np.float32)
HALF, TURN = np.array([17, 9.5, 10], np.float32), 25.0
# Middle of each territory in half axes to front, side and head: the frontal one has two.
NUCLEI = {
    "frontal": ((0.70, 0.0, 0.05), (0.15, -0.55, 0.1)),
    "precentral": ((0.22, 0.50, 0.1),),
    "postcentral": ((-0.22, 0.62, -0.05),),
    "parietal": ((-0.45, 0.10, 0.55),),
    "occipital": ((-0.66, 0.30, -0.28),),
    "temporal": ((-0.40, -0.35, -0.40),),
}
VIM = np.array([0.08, 0.52, -0.25])  # in half axes: low in the precentral territory
MIXED = 6.4  # mm²: how softly territories pass into each other, over about 4 mm
_SULCI, _RIBBON = 13.0, 3.4  # depth of the sulci and thickness of the cortex in mm


@dataclass(frozen=True)
class Waves:
    """A smooth random field, known at every point: a sum of sine waves."""

    wave: Array
    phase: Array
    height: Array

    @classmethod
    def draw(
        cls, rng: np.random.Generator, lengths: tuple[float, float], rms: float, of: int = 3
    ) -> Waves:
        """Eight waves with lengths in mm; each of `of` values has this root mean square."""
        way = rng.standard_normal((8, 3))
        way *= 2 * np.pi / (np.linalg.norm(way, axis=1) * rng.uniform(*lengths, 8))[:, None]
        height = rng.standard_normal((8, of))
        height *= rms * np.sqrt(2) / np.linalg.norm(height, axis=0)
        parts = (way, rng.uniform(0, 2 * np.pi, 8), height)
        return cls(*(part.astype(np.float32) for part in parts))

    def __call__(self, points: Array) -> Array:
        return np.sin(points @ self.wave.T + self.phase) @ self.height


@dataclass(frozen=True)
class Side:
    """One hemisphere, as if it were the left one.

    Attributes
    ----------
    size : array of shape (3,)
        Against the template.
    common, own : Waves
        How both hemispheres, and how this one is bent, in mm.
    thalamus : array of shape (3,)
        Size of the thalamus against the template's.
    nuclei : Waves
        How far the territories inside it have moved, in mm: by this alone.
    borders, sulci : Waves
        Of the cortex.
    ventricle : float
        Width against the template's.
    atrophy : float
        mm by which the brain is smaller than its skull.
    """

    size: Array
    common: Waves
    own: Waves
    thalamus: Array
    nuclei: Waves
    borders: Waves
    sulci: Waves
    ventricle: float
    atrophy: float

    def to_template(self, points: Array) -> Array:
        """Where points of this person lie in the template."""
        return points / self.size + self._bend(points / self.size)

    def to_person(self, points: Array) -> Array:
        """Where points of the template lie in this person: the inverse, to a hundredth of a mm."""
        found, step = points, np.inf
        while step > 0.01:
            better = points - self._bend(found)
            found, step = better, float(np.abs(better - found).max())
        return found * self.size

    def _bend(self, points: Array) -> Array:
        off = 1 - np.exp(-((points[..., :1] / 7) ** 2))  # both sides meet in the middle
        common = self.common(points)
        common[..., :1] *= off
        return common + off * self.own(points)

    def in_thalamus(self, points: Array) -> Array:
        """Template points in half axes of the thalamus."""
        return (points - CENTER) @ _axes() / (HALF * self.thalamus)

    def shares(self, points: Array) -> Array:
        """Share of fibers to each target that begin at points of the template, shape (n, 6)."""
        scale = HALF * self.thalamus
        moved = (self.in_thalamus(points) * scale) + self.nuclei(points)
        score = []
        for target in TARGETS:
            apart = [((moved - np.array(c) * scale) ** 2).sum(-1) for c in NUCLEI[target]]
            score.append(-np.minimum.reduce(apart) / (2 * MIXED))
        found = np.exp(np.stack(score, -1) - np.max(score, axis=0)[..., None])
        return found / found.sum(-1, keepdims=True)

    def nucleus(self, place: Array) -> Array:
        """Template point of a place given in half axes, once the territories have moved."""
        scale = HALF * self.thalamus
        found = CENTER + _axes() @ (place * scale)
        for _ in range(20):
            found = CENTER + _axes() @ (place * scale - self.nuclei(found[None])[0])
        return found

    def parcels(self, points: Array) -> NDArray[np.uint8]:
        """Which target (1 to 6) the cortex at points of the template belongs to."""
        x, y, z = (points + self.borders(points)).T
        ahead = y + 8 + 0.31 * (z - 10)  # of the central sulcus
        names = np.select(
            [
                (z < -6 - 0.3 * (y + 5)) & (y > -60) & (y < 22) & ((x < -20) | (z < -6)),
                y < -66 - 0.25 * z, ahead > 14, ahead > 0, ahead > -13,
            ],
            [1 + TARGETS.index(n) for n in ("temporal", "occipital", "frontal", "precentral",
                                            "postcentral")],
            1 + TARGETS.index("parietal"),
        )  # fmt: skip
        return names.astype(np.uint8)

    def tissues(self, points: Array, edge: float) -> Array:
        """Shares of `KINDS` in voxels with this edge in mm around points, shape (n, 7)."""
        q = self.to_template(points)
        inner = _ellipsoid(q, (0, -20, 8), (73, 93, 72))
        found = np.zeros((len(q), len(KINDS)), np.float32)
        found[:, 0] = 1
        _lay(found, [("scalp", inner + 11), ("skull", inner + 6)], edge)
        within = inner > -edge
        part = found[within]
        _lay(part, self._layers(q[within], inner[within]), edge)
        found[within] = part
        return found

    def _layers(self, q: Array, inner: Array) -> list[tuple[str, Array]]:
        """What lies over what, with the distance in mm into it."""
        depth, brain = self.depth(q), self.brain(q)
        sheet = np.abs(self.sulci(q)[:, 0]) / 0.26 + np.maximum(_core(q), 0)
        folded = np.minimum(depth, np.hypot(np.maximum(depth - _SULCI, 0), sheet))
        cortex = np.where(brain > depth, -9.0, _RIBBON - folded)
        sulcus = np.where(depth < _SULCI, np.minimum(0.5 - sheet, depth + 3), -9.0)
        return [
            ("fluid", np.minimum(inner, brain + 3)), ("white", brain),
            ("gray", np.minimum(cortex, brain)), ("fluid", sulcus), ("gray", _cerebellum(q, 6)),
            ("gray", _nuclei(q)), ("thalamus", self._thalamus(q)), ("fluid", self._ventricles(q)),
        ]  # fmt: skip

    def depth(self, q: Array) -> Array:
        """Distance in mm from the surface of the cerebrum, sulci filled; negative outside."""
        main = np.minimum(_ellipsoid(q, (0, -18, 18), (68, 88, 58)), q[:, 2] + 24)
        whole = np.maximum(main, _ellipsoid(q, (-40, -14, -20), (25, 44, 20)))
        return np.minimum(whole, np.maximum(-q[:, 0] - 1, _core(q))) - self.atrophy

    def brain(self, q: Array) -> Array:
        """As `depth`, of the whole brain."""
        stem = 12 - _from_line(q, [(0, -20, -6), (0, -26, -25), (0, -34, -60)])
        return np.maximum.reduce([self.depth(q), stem, _cerebellum(q, 99)])

    def _thalamus(self, q: Array) -> Array:
        return _ellipsoid((q - CENTER) @ _axes(), (0, 0, 0), HALF * self.thalamus)

    def _ventricles(self, q: Array) -> Array:
        line = [(-9, 26, 6), (-8, 10, 17), (-10, -8, 22), (-15, -28, 21), (-24, -40, 12)]
        horn = [(-24, -40, 12), (-32, -30, -6), (-32, -14, -15)]
        wide = self.ventricle
        third = np.minimum(1.6 * wide + q[:, 0], _flat(q, (-12, 2), (17, 11)))
        lateral = np.maximum(4.2 * wide - _from_line(q, line), 2.2 * wide - _from_line(q, horn))
        return np.maximum(lateral, third)


def _lay(found: Array, layers: Sequence[tuple[str, Array]], edge: float) -> None:
    for kind, inside in layers:
        share = np.clip(0.5 + inside / edge, 0, 1)
        found *= (1 - share)[:, None]
        found[:, KINDS.index(kind)] += share


def typical_side() -> Side:
    """A hemisphere that is the template's: of its size, and bent nowhere."""
    flat, ones = (Waves(np.zeros((1, 3), np.float32), np.zeros(1, np.float32),
                        np.zeros((1, 3), np.float32)), np.ones(3, np.float32))  # fmt: skip
    folds = Waves.draw(np.random.default_rng(0), (20, 28), 1.0, of=1)
    return Side(ones, flat, flat, ones, flat, flat, folds, 1.2, 1.0)


def draw_person(rng: np.random.Generator) -> tuple[Side, Side]:
    """The left and the right hemisphere of a person; the right one as if it were a left one."""
    size = (1 + rng.normal(0, 0.03) + rng.normal(0, 0.02, 3)).astype(np.float32)
    atrophy = rng.uniform(0, 2)
    common, wide = Waves.draw(rng, (90, 160), 2.0), 0.8 + 0.3 * atrophy + rng.uniform(0, 0.2)

    def side() -> Side:
        return Side(
            size, common, Waves.draw(rng, (70, 140), 1.2),
            ((1 - 0.04 * atrophy) * (1 + rng.normal(0, 0.05, 3))).astype(np.float32),
            Waves.draw(rng, (30, 60), 2.5), Waves.draw(rng, (40, 80), 2.5),
            Waves.draw(rng, (20, 28), 1.0, of=1), wide * rng.uniform(0.9, 1.1), atrophy,
        )  # fmt: skip

    return side(), side()


def _axes() -> Array:
    """Columns: to the front, to the side and to the head of the thalamus."""
    c, s = np.cos(np.radians(TURN)), np.sin(np.radians(TURN))
    return np.array([[s, -c, 0], [c, s, 0], [0, 0, 1]], np.float32)


def _ellipsoid(q: Array, center: Sequence[float], half: Sequence[float] | Array) -> Array:
    """About the distance from an ellipsoid's surface, positive inside."""
    half = np.asarray(half, np.float32)
    scaled = (q - np.asarray(center, np.float32)) / half
    far = _norm(scaled)
    return far * (1 - far) / (_norm(scaled / half) + 1e-9)


def _norm(vectors: Array) -> Array:
    return np.sqrt(np.einsum("...i,...i", vectors, vectors))


def _flat(q: Array, center: Sequence[float], half: Sequence[float]) -> Array:
    return _ellipsoid(q[:, 1:], center, half)


def _core(q: Array) -> Array:
    """Distance into what joins both hemispheres, seen from the side."""
    stem = np.minimum(14 - np.abs(q[:, 1] + 24), -q[:, 2])
    return np.maximum(_flat(q, (-5, 2), (37, 28)), stem)


def _cerebellum(q: Array, ribbon: float) -> Array:
    """Distance into the cerebellum, or into its outermost mm."""
    whole = _ellipsoid(q, (-20, -64, -36), (26, 26, 20))
    return np.minimum(whole, ribbon - whole)


def _nuclei(q: Array) -> Array:
    """Putamen and caudate."""
    turn = np.array([[0.97, -0.26, 0], [0.26, 0.97, 0], [0, 0, 1]], np.float32)
    turned = (q - np.array([-30, 2, 2], np.float32)) @ turn
    caudate = 3.6 - _from_line(q, [(-13, 20, 6), (-15, 8, 14), (-17, -8, 21), (-22, -26, 22)])
    return np.maximum(_ellipsoid(turned, (0, 0, 0), (5, 16, 10)), caudate)


def _from_line(q: Array, line: Sequence[Sequence[float]]) -> Array:
    """Distance from a bent line."""
    nodes, found = np.asarray(line, np.float32), np.full(len(q), np.inf, np.float32)
    for start, end in pairwise(nodes):
        along = np.clip((q - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
        found = np.minimum(found, _norm(q - start - along[:, None] * (end - start)))
    return found
