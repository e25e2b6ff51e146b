"""Vessels and airways: great ones at their places, and trees that fill a lung and taper.

A branch is the thicker the more it feeds, as Murray's law has it (1926,
doi:10.1073/pnas.12.3.207), with an exponent a little smaller than his 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nextaim_kit.twins.chest_ct.build import Build, spine_y
from nextaim_kit.twins.chest_ct.tubes import Points, Tubes

RIGHT, LEFT = 1, 2  # of the patient, in masks

Place = tuple[float, float, float]
_FORKS = {"arteries": 10, "veins": 9}
_TIP_MM = 0.70  # radius of the last branches
_POWER = 1 / 2.75  # the radius grows with this power of the tips it feeds
_AIRWAY_TIPS = 8  # an artery that feeds fewer has no airway that could be seen


@dataclass(frozen=True)
class Tree:
    """A tree in one lung: its pieces, and how many tips each feeds."""

    tubes: Tubes
    tips: Points


@dataclass(frozen=True)
class Pipes:
    """All that is long and round, by what fills it.

    Parameters
    ----------
    great, lung : Tubes
        Blood, outside of the lungs and within.
    gullet : Tubes
    walls, lumens : Tubes
        Of the airways.
    main : Tubes
        Lumens of trachea and main bronchi, which are no part of the lungs.
    """

    great: Tubes
    lung: Tubes
    gullet: Tubes
    walls: Tubes
    lumens: Tubes
    main: Tubes


def draw_pipes(build: Build, places: dict[int, Points], rng: np.random.Generator) -> Pipes:
    """Draw a patient's vessels and airways.

    Parameters
    ----------
    build : Build
    places : dict of int to array of shape (n, 3)
        Points in the right and the left lung that are not at its border, in mm.
    rng : Generator
    """
    blood, airways = [], []
    for side in (RIGHT, LEFT):
        arteries = grow(hilum(build, side), places[side], _FORKS["arteries"], rng)
        veins = grow(_atrium(build, side), places[side], _FORKS["veins"], rng)
        blood += [arteries.tubes, veins.tubes]
        airways.append(_airways(arteries, side))
    main = Tubes.joined(_main_airways(build))
    lumens = Tubes.joined([main, *airways])
    walls = Tubes(lumens.starts, lumens.ends, 1.13 * lumens.radii + 0.4)
    gullet = Tubes.along(
        [(4 + 5 * (z > 60), spine_y(build, z) - 27, z) for z in (-170, -60, 0, 60, 110, 160)], 6.5
    )
    return Pipes(
        Tubes.joined(_great_vessels(build)), Tubes.joined(blood), gullet, walls, lumens, main
    )


def hilum(build: Build, side: int) -> Place:
    """Where the artery enters a lung; the left one higher."""
    away = 33 if side == LEFT else -35
    return away, spine_y(build, 0) - 48, build.carina - (20 if side == LEFT else 30)


def _atrium(build: Build, side: int) -> Place:
    return (30 if side == LEFT else -26), spine_y(build, 0) - 42, build.carina - 45


def grow(root: Place, places: Points, forks: int, rng: np.random.Generator) -> Tree:
    """Grow a tree from `root` that forks `forks` times, to as many of the places.

    At each fork the places that a branch feeds are halved across the axis along which they are
    spread most, or nearly so.
    """
    groups = places[rng.choice(len(places), 2**forks)][None]
    starts, pieces = np.asarray(root, float)[None], []
    for level in range(forks + 1):
        way = groups.mean(axis=1) - starts
        if level < forks:
            way *= rng.uniform(0.40, 0.56, (len(way), 1))
            way += rng.normal(0, 0.08, way.shape) * np.linalg.norm(way, axis=1, keepdims=True)
        fed = groups.shape[1]
        radii = _TIP_MM * fed**_POWER * rng.uniform(0.82, 1.15, len(way))
        pieces.append((starts, starts + way, radii, np.full(len(way), fed)))
        starts = np.repeat(starts + way, 2, axis=0)
        groups = _halved(groups, rng) if level < forks else groups
    begins, ends, radii, fed = (np.concatenate(part) for part in zip(*pieces, strict=True))
    kept = (fed > 1) | (rng.random(len(fed)) < 0.75)  # not all twigs are seen
    begins, ends, radii, fed = (part[kept] for part in (begins, ends, radii, fed))
    return Tree(_bent(begins, ends, radii, rng), np.repeat(fed, 2))


def _halved(groups: Points, rng: np.random.Generator) -> Points:
    """Each group of points, of shape (groups, points, 3), as two of half the points."""
    spread = groups.var(axis=1) * rng.uniform(0.5, 1.5, (len(groups), 3))
    along = np.take_along_axis(groups, spread.argmax(axis=1)[:, None, None], axis=2)
    order = np.argsort(along, axis=1, kind="stable")
    return np.take_along_axis(groups, order, axis=1).reshape(2 * len(groups), -1, 3)


def _bent(starts: Points, ends: Points, radii: Points, rng: np.random.Generator) -> Tubes:
    """Each piece as two, with a bend between, the outer one thinner."""
    length = np.linalg.norm(ends - starts, axis=1, keepdims=True)
    middles = (starts + ends) / 2 + rng.normal(0, 0.05, starts.shape) * length
    return Tubes(
        np.stack([starts, middles], 1).reshape(-1, 3),
        np.stack([middles, ends], 1).reshape(-1, 3),
        np.stack([radii, 0.93 * radii], 1).reshape(-1),
    )


def _airways(arteries: Tree, side: int) -> Tubes:
    """Lumens beside the arteries, as far as they can be seen."""
    kept = arteries.tips >= _AIRWAY_TIPS
    tubes = arteries.tubes
    beside = np.array([0.35 if side == RIGHT else -0.35, 0.55, 0.76])
    radii = tubes.radii[kept]
    away = 2.1 * radii[:, None] * beside
    # The pieces of one branch stay joined: each starts where the one before it ends.
    return Tubes(tubes.starts[kept] + away, tubes.ends[kept] + away, 0.78 * radii)


def _main_airways(build: Build) -> list[Tubes]:
    y, z = spine_y(build, build.carina) - 46, build.carina
    parts = [Tubes.along([(1, y - 8, 165), (1, y - 5, z + 50), (0, y, z)], [8.5, 8.5, 9.0])]
    for side in (RIGHT, LEFT):
        end = hilum(build, side)
        entry = (end[0], end[1] + 6, end[2] + 9)
        half = ((0 + entry[0]) * 0.5, (y + entry[1]) / 2, z * 0.45 + entry[2] * 0.55)
        parts.append(Tubes.along([(0, y, z), half, entry], [7.5, 6.5, 5.6]))
    return parts


def _great_vessels(build: Build) -> list[Tubes]:
    z, back = build.carina, spine_y(build, 0)
    r, y = build.aorta, back - 82
    right, left = hilum(build, RIGHT), hilum(build, LEFT)
    front = 0.55 * y
    descending = [(25, spine_y(build, h) - 14, h) for h in (z + 5, z - 40, z - 90)]
    descending += [(16, spine_y(build, -110) - 20, -110), (6, spine_y(build, -170) - 26, -170)]
    arch = [
        (0, front - 4, z - 50), (-14, front - 8, z - 20), (-12, front - 4, z + 8),
        (-2, front + 12, z + 25), (10, back - 50, z + 30), (23, back - 30, z + 22),
    ]  # fmt: skip
    trunk = [(20, front - 16, z - 52), (19, front - 10, z - 30), (15, front + 6, z - 14)]
    cava = (-23, front - 4, z + 42)
    return [
        Tubes.along(arch + descending, [1.25 * r] * 3 + [1.15 * r] * 2 + [1.05 * r] + [r] * 5),
        Tubes.along(trunk, [13, 13, 12.5]),
        Tubes.along([trunk[-1], (-4, front + 16, z - 20), right], [11, 10.5, 8.5]),
        Tubes.along([trunk[-1], (26, front + 18, z - 10), left], [11, 10.5, 8.5]),
        Tubes.along([(-22, front, z - 50), (-25, front - 2, z), cava], 9.0),
        Tubes.along([cava, (-30, front - 6, z + 75), (-34, front, 165)], 7.0),
        Tubes.along([cava, (6, front - 14, z + 46), (32, front - 4, z + 74)], 6),
        Tubes.along([arch[3], (-14, front + 10, z + 60), (-24, front + 12, 165)], 6),
        Tubes.along([(6, front + 18, z + 32), (14, front + 16, z + 70), (20, front + 12, 165)], 4),
        Tubes.along([(16, back - 46, z + 30), (26, back - 46, z + 60), (40, back - 40, z + 84)], 5),
        *(_pulmonary_vein(build, side) for side in (RIGHT, LEFT)),
        Tubes.along([(-20, back - 62, build.dome - 60), (-20, front + 8, build.dome + 12)], 12.0),
    ]


def _pulmonary_vein(build: Build, side: int) -> Tubes:
    end = _atrium(build, side)
    return Tubes.along([(4, end[1] - 2, end[2] - 2), end], [9.0, 6.5])
