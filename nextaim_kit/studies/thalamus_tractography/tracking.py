"""Probabilistic tracking (dipy): which targets the streamlines of each voxel touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.machine.jobs import Job
from nextaim_kit.machine.limits import process_count
from nextaim_kit.machine.workers import parallel
from nextaim_kit.studies.thalamus_tractography.orientations import Orientations, sphere

_CHUNK = 4000  # streamlines that a worker takes at a time, however many workers there are
_SAMPLE = 40  # streamlines of each target that are kept to be looked at


@dataclass(frozen=True)
class Walk:
    """How a streamline goes.

    Attributes
    ----------
    per_voxel : int
        Streamlines launched in each voxel of the seed.
    step : float
        mm.
    angle : float
        Degrees by which it may turn in a step.
    shortest, longest : float
        mm of a whole streamline, which goes both ways from its seed; what is shorter or longer is
        thrown away, and counts as lost.
    threshold : float
        Directions below this share of a voxel's largest one are not taken.
    complete : bool
        Whether what ends inside, for want of a direction to go on, is thrown away as well: dipy's
        ``return_all=False``. Much of what arrives in the cortex ends so.
    """

    per_voxel: int = 30
    step: float = 1.0
    angle: float = 45.0
    shortest: float = 10.0
    longest: float = 250.0
    threshold: float = 0.1
    complete: bool = False


@dataclass(frozen=True)
class Regions:
    """From where to where: masks of one shape (x, y, z).

    Attributes
    ----------
    seed : array of bool
        Such as a thalamus.
    targets : mapping of str to array of bool
    excluded : array of bool, optional
        A streamline that touches it is thrown away, and counts as lost.
    waypoints : tuple of arrays of bool
        A streamline that does not touch each of them is thrown away, and counts as lost.
    """

    seed: NDArray[np.bool_]
    targets: Mapping[str, NDArray[np.bool_]]
    excluded: NDArray[np.bool_] | None = None
    waypoints: tuple[NDArray[np.bool_], ...] = ()

    def requirevoxels_of(self) -> None:
        """Refuse what has none.

        Raises
        ------
        DataError
        """
        ways = {f"waypoint {k}": mask for k, mask in enumerate(self.waypoints, 1)}
        masks = {"seed": self.seed, **self.targets, **ways}
        empty = [name for name, mask in masks.items() if not mask.any()]
        if empty or not self.targets:
            raise DataError(
                "there is nothing to track from or to",
                expected="voxels in the seed, in each target and in each waypoint",
                found=f"none in {', '.join(empty)}" if empty else "no targets",
                mend="see whether the registration failed, or the target lies outside of the image",
            )


@dataclass(frozen=True)
class Streamlines:
    """Where the streamlines of a seed went.

    Attributes
    ----------
    seed : array of bool, shape (x, y, z)
    names : tuple of str
        The targets.
    touched : array of bool, shape (voxel of the seed, streamline launched there, target)
    lost : array of bool, shape (voxel, streamline)
        Too short, too long, or not as the regions demand; such have touched nothing.
    density : array of shape (x, y, z, target)
        How many points of the streamlines that touch a target lie in a voxel: with steps of 1 mm,
        their length there.
    lines : dict of str to list of arrays of shape (k, 3)
        Some of each target's, in mm.
    """

    seed: NDArray[np.bool_]
    names: tuple[str, ...]
    touched: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    density: NDArray[np.float32] = field(repr=False)
    lines: dict[str, list[NDArray[np.float32]]] = field(repr=False)

    @property
    def launched(self) -> int:
        """Streamlines in all."""
        return int(self.lost.size)

    @property
    def kept(self) -> int:
        """Those that are not lost."""
        return int(self.launched - self.lost.sum())

    @cached_property
    def shares(self) -> NDArray[np.float32]:
        """P, shape (voxel of the seed, target): of those launched the share that touches."""
        return self.touched.mean(1, dtype=np.float32)

    @property
    def maps(self) -> NDArray[np.float32]:
        """P in space, shape (x, y, z, target); they need not add up to 1."""
        return self.mapped(self.shares)

    def mapped(self, values: NDArray) -> NDArray[np.float32]:
        """What is known of each voxel of the seed, in space."""
        found = np.zeros((*self.seed.shape, *values.shape[1:]), np.float32)
        found[self.seed] = values
        return found


def track(
    along: Orientations,
    regions: Regions,
    walk: Walk = Walk(),
    *,
    seed: int = 1,
    workers: int | None = 1,
) -> Streamlines:
    """Launch streamlines from each voxel of a seed, and see which targets each of them touches.

    They start anywhere in the voxel, in a direction drawn from those there. What is found does not
    depend on the number of workers.

    Parameters
    ----------
    along : Orientations
    regions : Regions
        On its grid.
    walk : Walk
    seed : int
        From 1 on; dipy takes 0 for none.
    workers : int, optional
        Processes (`machine.workers.parallel`); None stands for as many as there are cores.

    Raises
    ------
    DataError
        If the seed, a target or a waypoint is empty, lies on another grid, or nothing can be
        launched since the whole seed lies where no streamline may go.
    """
    regions.requirevoxels_of()
    _require_grid(along, regions)
    starts, directions = _launches(along, regions.seed, walk, seed)
    ends = range(0, len(starts), _CHUNK)
    jobs: list[Job] = [(_followed, (along, regions, walk, seed, starts[k : k + _CHUNK],
                         directions[k : k + _CHUNK]), {}) for k in ends]  # fmt: skip
    parts = list(parallel(jobs, n_jobs=min(workers or process_count(), len(jobs)), batch_size=1))
    shape, names = (-1, walk.per_voxel), tuple(regions.targets)
    touched = np.concatenate([part[0] for part in parts]).reshape(*shape, len(names))
    lost = np.concatenate([part[1] for part in parts]).reshape(shape)
    density = np.stack([part[2] for part in parts]).sum(0)
    lines = {name: _spread([one for part in parts for one in part[3][name]]) for name in names}
    return Streamlines(regions.seed, names, touched, lost, density, lines)


def _require_grid(along: Orientations, regions: Regions) -> None:
    shapes = {mask.shape for mask in (regions.seed, *regions.targets.values(), *regions.waypoints)}
    shapes |= set() if regions.excluded is None else {regions.excluded.shape}
    if shapes != {along.inside.shape}:
        raise DataError(
            "the regions do not lie on the grid of the fiber directions",
            expected=f"masks of size {along.inside.shape}",
            found=", ".join(str(one) for one in sorted(shapes - {along.inside.shape})),
            mend="resample the masks to the diffusion's grid",
        )
    if not (regions.seed & along.inside).any():
        raise DataError(
            "no streamline can be launched: the seed lies where none may go",
            expected="a seed inside the brain, with fiber directions",
            found=f"none of its {int(regions.seed.sum())} voxels there",
            mend="see whether seed and diffusion are of one person, and in one place",
        )


def _launches(
    along: Orientations, mask: NDArray, walk: Walk, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts in mm and first directions, voxel by voxel."""
    rng = np.random.default_rng(seed)
    voxels = np.repeat(np.argwhere(mask), walk.per_voxel, axis=0)
    places = voxels + rng.uniform(-0.5, 0.5, voxels.shape)
    heights = along.at(voxels)
    heights *= heights >= walk.threshold * heights.max(1, keepdims=True)
    drawn = heights.cumsum(1, dtype=np.float64)
    chance = rng.random(len(drawn))[:, None] * drawn[:, -1:]
    chosen = np.minimum((drawn <= chance).sum(1), drawn.shape[1] - 1)
    affine = along.affine
    return places @ affine[:3, :3].T + affine[:3, 3], sphere().vertices[chosen]


def _followed(
    along: Orientations, regions: Regions, walk: Walk, seed: int, starts: NDArray,
    directions: NDArray,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32], dict[str, list]]:  # fmt: skip
    """Of some launches: what each touched, which are lost, their density, and a sample."""
    names, shape = tuple(regions.targets), along.inside.shape
    lines, numbers = _lines(along, walk, seed, starts, directions)
    points = np.concatenate([*lines, np.zeros((0, 3))])
    at = np.ravel_multi_index(tuple(voxels_of(points, along.affine, shape).T), shape)
    first = np.cumsum([0, *map(len, lines)])[:-1]

    def touching(mask: NDArray) -> NDArray[np.bool_]:
        hit = mask.ravel()[at]
        return np.logical_or.reduceat(hit, first) if len(first) else hit

    good = np.ones(len(lines), bool)
    if regions.excluded is not None:
        good &= ~touching(regions.excluded)
    for way in regions.waypoints:
        good &= touching(way)
    hits = np.stack([touching(regions.targets[name]) & good for name in names], -1)
    touched, lost = np.zeros((len(starts), len(names)), bool), np.ones(len(starts), bool)
    touched[numbers], lost[numbers] = hits, ~good
    lengths = np.array([len(line) for line in lines], int)
    density = [np.bincount(at, np.repeat(hits[:, k], lengths), np.prod(shape))
               for k in range(len(names))]  # fmt: skip
    sample = {name: _spread([lines[i] for i in np.flatnonzero(hits[:, k])])
              for k, name in enumerate(names)}  # fmt: skip
    return touched, lost, np.stack(density, -1).reshape(*shape, -1).astype(np.float32), sample


def _lines(
    along: Orientations, walk: Walk, seed: int, starts: NDArray, directions: NDArray
) -> tuple[list[NDArray[np.float32]], NDArray[np.intp]]:
    """The streamlines that dipy gives, and which launch each is of."""
    from scipy.spatial import KDTree

    told = np.flatnonzero(
        along.inside[tuple(voxels_of(starts, along.affine, along.inside.shape).T)]
    )
    found = list(_dipy(along, walk, seed, starts[told], directions[told]))
    if not found:
        return [], np.zeros(0, np.intp)
    # Some are missing, and starts come back rounded otherwise: each is that of the nearest launch.
    nearest = KDTree(starts[told]).query(np.stack([start for _, start in found]))[1]
    return [np.asarray(line, np.float32) for line, _ in found], told[nearest]


def _dipy(
    along: Orientations, walk: Walk, seed: int, starts: NDArray, directions: NDArray
) -> Iterator[Any]:
    from dipy.tracking.stopping_criterion import BinaryStoppingCriterion
    from dipy.tracking.tracker import probabilistic_tracking

    if not len(starts):
        return iter(())
    values, inside, affine = along.boxed()
    return probabilistic_tracking(
        starts, BinaryStoppingCriterion(inside), affine, seed_directions=directions,
        sf=values, sphere=sphere(), step_size=walk.step, max_angle=walk.angle,
        min_len=walk.shortest, max_len=walk.longest, pmf_threshold=walk.threshold,
        random_seed=seed, nbr_threads=1, return_all=not walk.complete, save_seeds=True,
    )  # fmt: skip


def voxels_of(points: NDArray, affine: NDArray, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """In which voxel each point (mm) lies, shape (point, 3); beyond the border in the next one."""
    inverse = np.linalg.inv(affine)
    places = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.intp)
    return np.clip(places, 0, np.array(shape) - 1)


def _spread(lines: list, most: int = _SAMPLE) -> list:
    """Some of a list, evenly from its whole length."""
    chosen = np.linspace(0, len(lines) - 1, min(most, len(lines))).astype(int)
    return [lines[i] for i in chosen]
