"""Gray levels binned once for all texture classes, and pyradiomics' features of them.

What is counted, and how fast, is `matrices`' affair; the formulas are in `cooccurrence` and
`level_sizes`. Here stand pyradiomics' bins and its settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from radiomics import imageoperations

from nextaim_kit.machine.seeds import thread_count
from nextaim_kit.studies.ct_radiomics import matrices
from nextaim_kit.studies.ct_radiomics.cooccurrence import cooccurrence_features
from nextaim_kit.studies.ct_radiomics.level_sizes import (
    dependence_features,
    run_features,
    tone_features,
    zone_features,
)
from nextaim_kit.studies.ct_radiomics.matrices import Grid, narrow
from nextaim_kit.studies.ct_radiomics.region import check_levels

_TABLE = 1 << 20  # whole-number values are counted by look-up when they span less than this
_BLOCK = 1 << 17  # values that are looked at together
_LARGE = 500_000  # voxels from which on classes are counted at once, where there are cores for it


@dataclass(frozen=True)
class Levels:
    """A region's values and gray levels.

    Parameters
    ----------
    values : ndarray
        Values, ascending.
    counts : ndarray of int, or None
        Voxels with each value; None where each value stands for one voxel.
    level_counts : ndarray of int
        Voxels in each gray level from 1 up, the lowest bin; empty ones included.
    ranks : Grid
        Each voxel's level by its rank among those that occur, so that none is empty.
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    """

    values: np.ndarray
    counts: np.ndarray | None
    level_counts: np.ndarray
    ranks: Grid
    spacing: tuple[float, float, float]

    @property
    def present(self) -> np.ndarray:
        """Gray levels that occur, ascending."""
        return np.flatnonzero(self.level_counts) + 1

    @property
    def grid(self) -> Grid:
        """The levels themselves; not kept, for the room it takes where some do not occur."""
        if self.present.size == self.present[-1]:
            return self.ranks
        level = np.append(0, self.present).astype(narrow(int(self.present[-1])))
        return Grid(level[self.ranks.padded])


def discretize(
    inside: np.ndarray,
    mask: np.ndarray,
    spacing: tuple[float, float, float],
    settings: Mapping[str, Any],
) -> Levels:
    """Bin a region's values, into pyradiomics' own bins.

    Parameters
    ----------
    inside : ndarray, shape (voxels of the region,)
        Values, in the order of the mask.
    mask : ndarray of bool, shape (z, y, x)
    spacing : tuple of float
        Voxel size (z, y, x) in mm.
    settings : mapping
        pyradiomics settings; ``binWidth`` or ``binCount`` counts here.
    """
    low, high = inside.min(), inside.max()
    check_levels(low, high, settings, inside.size)
    # The edges follow from the extremes alone; pyradiomics looks at every voxel for them. Whole
    # numbers are widened first: next to the end of their range its sum would wrap around.
    kind = inside.dtype if np.issubdtype(inside.dtype, np.floating) else np.float64
    edges = imageoperations.getBinEdges(np.array([low, high], dtype=kind), **settings)
    by_number = high - float(low) < _TABLE and _whole(inside)
    values, counts = _counted(inside) if by_number else (np.sort(inside), None)
    # How many voxels lie below each edge tells how many each level has.
    below = np.append(np.searchsorted(values, edges), values.size)
    if counts is not None:
        below = np.append(0, np.cumsum(counts))[below]
    level_counts = np.diff(below)
    rank = ranks_of(level_counts)
    if by_number:
        table = rank[np.digitize(_numbers(low, high, inside.dtype), edges)]
        padded = _laid_out(inside, mask, lambda some: table[_from(low, some)], rank.dtype)
    else:
        padded = _laid_out(inside, mask, lambda some: rank[np.digitize(some, edges)], rank.dtype)
    return Levels(values, counts, level_counts, Grid(padded), spacing)


def ranks_of(level_counts: np.ndarray) -> np.ndarray:
    """Rank of each level from 0 up among those that occur; 0 for the others."""
    there = level_counts > 0
    return np.append(0, np.cumsum(there) * there).astype(narrow(int(there.sum())))


def _laid_out(
    inside: np.ndarray, mask: np.ndarray, rank_of: Callable[[np.ndarray], np.ndarray], kind: Any
) -> np.ndarray:
    """Ranks of the region's values where they lie, plane by plane, with a border of zeros."""
    padded = np.zeros([n + 2 for n in mask.shape], kind)
    start = 0
    for plane, marked in zip(padded[1:-1, 1:-1, 1:-1], mask, strict=True):
        stop = start + int(np.count_nonzero(marked))
        plane[marked] = rank_of(inside[start:stop])
        start = stop
    return padded


def _counted(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct whole numbers, ascending, and how often each occurs."""
    numbers = _numbers(inside.min(), inside.max(), inside.dtype)
    counts = np.zeros(numbers.size, np.int64)
    for start in range(0, inside.size, _BLOCK):
        index = _from(numbers[0], inside[start : start + _BLOCK])
        counts += np.bincount(index, minlength=counts.size)
    return numbers[counts > 0], counts[counts > 0]


def _numbers(low: Any, high: Any, kind: Any) -> np.ndarray:
    return np.arange(int(low), int(high) + 1).astype(kind)


def _from(low: Any, some: np.ndarray) -> np.ndarray:
    return np.subtract(some, low, dtype=np.int64, casting="unsafe")


def _whole(values: np.ndarray) -> bool:
    if np.issubdtype(values.dtype, np.integer):
        return True
    parts = (values[start : start + _BLOCK] for start in range(0, values.size, _BLOCK))
    return all(np.array_equal(part, np.rint(part)) for part in parts)


def texture(
    levels: Levels,
    settings: Mapping[str, Any],
    classes: Sequence[str] = ("glcm", "glrlm", "glszm", "gldm"),
    without: Sequence[str] = (),
) -> dict[str, float]:
    """Features of co-occurrence, run length, size zone, dependence and neighborhood tone.

    Where this process may have several threads, the classes of a large region are counted at once.

    Parameters
    ----------
    levels : Levels
    settings : mapping
        pyradiomics settings.
    classes : sequence of str, optional
        Of ``glcm`` (24 features), ``glrlm`` (16), ``glszm`` (16), ``gldm`` (14), ``ngtdm`` (5).
    without : sequence of str, optional
        Features to leave out, ``glcm_MCC`` and so on: that one is dear where levels are many.

    Returns
    -------
    dict of str to float
        Named ``<class>_<Feature>`` as pyradiomics has them, in its order.
    """

    def of_class(name: str) -> dict[str, float]:
        left_out = [f.removeprefix(f"{name}_") for f in without if f.startswith(f"{name}_")]
        found = _CLASSES[name](levels, settings, left_out)
        return {
            f"{name}_{feature}": found[feature] for feature in sorted(found.keys() - set(left_out))
        }

    threads = min(len(classes), thread_count())
    if threads < 2 or levels.level_counts.sum() < _LARGE:
        parts = [of_class(name) for name in classes]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(of_class, classes))
    return {name: value for part in parts for name, value in part.items()}


def _glcm(levels: Levels, settings: Mapping[str, Any], without: Sequence[str]) -> dict[str, float]:
    offsets = _directions(settings, settings.get("distances", [1]))
    counts = matrices.cooccurrence(levels.ranks, offsets)
    if settings.get("symmetricalGLCM", True):
        counts = counts + counts.transpose(0, 2, 1)
    weights = _weights(offsets, levels, settings, lambda length: np.exp(-(length**2)))
    if weights is not None:
        counts = np.tensordot(weights, counts, 1)[None]
    return cooccurrence_features(counts, levels.present, without)


def _glrlm(levels: Levels, settings: Mapping[str, Any], _: Sequence[str]) -> dict[str, float]:
    offsets = _directions(settings)
    counts = matrices.run_lengths(levels.ranks, offsets)
    for k, offset in enumerate(offsets):
        if not counts[k, :, 1:].any() and not matrices.crosses(levels.ranks.levels, offset):
            counts[k] = 0  # runs of one voxel, since there is no further one: not a direction
    weights = _weights(offsets, levels, settings, lambda length: length)
    if weights is not None:
        counts = np.tensordot(weights, counts, 1)[None]
    return run_features(counts, levels.present)


def _glszm(levels: Levels, settings: Mapping[str, Any], _: Sequence[str]) -> dict[str, float]:
    counts, sizes = matrices.zones(levels.ranks, _planar(settings))
    return zone_features(counts, levels.present, sizes)


def _gldm(levels: Levels, settings: Mapping[str, Any], _: Sequence[str]) -> dict[str, float]:
    offsets, alpha = (
        _directions(settings, settings.get("distances", [1])),
        settings.get("gldm_a", 0),
    )
    if not alpha:  # equal or not: as seen by their ranks
        return dependence_features(matrices.dependence(levels.ranks, offsets), levels.present)
    counts = matrices.dependence(levels.grid, offsets, alpha)
    return dependence_features(counts[levels.present - 1], levels.present)


def _ngtdm(levels: Levels, settings: Mapping[str, Any], _: Sequence[str]) -> dict[str, float]:
    offsets = _directions(settings, settings.get("distances", [1]))
    counts, _alone, apart = matrices.neighborhood_tone(levels.grid, offsets)
    there = levels.present - 1
    return tone_features(counts[there], apart[there], levels.present)


_CLASSES = {"glcm": _glcm, "glrlm": _glrlm, "glszm": _glszm, "gldm": _gldm, "ngtdm": _ngtdm}


def _planar(settings: Mapping[str, Any]) -> int | None:
    return settings.get("force2Ddimension", 0) if settings.get("force2D", False) else None


def _directions(settings: Mapping[str, Any], distances: Sequence[int] = (1,)) -> np.ndarray:
    return matrices.directions(distances, _planar(settings))


def _weights(
    offsets: np.ndarray,
    levels: Levels,
    settings: Mapping[str, Any],
    weigh: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray | None:
    """Weight of each direction by its length in mm; None where directions stay apart."""
    norm = settings.get("weightingNorm")
    if norm is None:
        return None
    steps = np.abs(offsets) * levels.spacing
    if norm not in _NORMS:  # "no_weighting"; also what pyradiomics makes of an unknown one
        return np.ones(len(offsets))
    return weigh(np.linalg.norm(steps, _NORMS[norm], axis=1))


_NORMS = {"manhattan": 1, "euclidean": 2, "infinity": np.inf}
