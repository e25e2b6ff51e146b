"""Probabilistic tracking (dipy), and how many of a voxel's streamlines reach each target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.gradient_table import axes_of

_SHARP = 30.0  # how narrow a peak's cone is: half its height at 12 degrees


@dataclass(frozen=True)
class Walk:
    """How a streamline goes.

    Attributes
    ----------
    step : float
        mm.
    angle : float
        Degrees by which it may turn in a step.
    shortest, longest : float
        mm of a whole streamline, which goes both ways from its seed; what is shorter or longer is
        thrown away, and counts as lost.
    per_voxel : int
        Streamlines launched in each voxel of the seed.
    threshold : float
        Directions below this share of a voxel's largest one are not taken.
    """

    step: float = 1.0
    angle: float = 45.0
    shortest: float = 10.0
    longest: float = 250.0
    per_voxel: int = 30
    threshold: float = 0.1


@dataclass(frozen=True)
class Connectivity:
    """Where the streamlines of a seed go.

    Attributes
    ----------
    maps : array of shape (x, y, z, target)
        Of the streamlines launched in a voxel, the share that touches each target. Those that were
        lost count as launched: shares need not add up to 1.
    names : tuple of str
    launched, kept : int
        Streamlines in all, and those long enough to be kept.
    """

    maps: NDArray[np.float32]
    names: tuple[str, ...]
    launched: int
    kept: int


def odf_of_peaks(peaks: NDArray, affine: NDArray) -> NDArray[np.float32]:
    """How likely each of 200 directions is in a voxel, from up to three peaks.

    Each peak is a cone around its direction, as high as the peak is long.

    Parameters
    ----------
    peaks : array of shape (x, y, z, peak, 3)
        In world axes (right, front, head).
    affine : array of shape (4, 4)

    Raises
    ------
    DataError
        If there are values that are not finite: dipy's tracking would kill this process.
    """
    if not np.isfinite(peaks).all():
        raise DataError(
            "the peaks have values that are not finite",
            expected="0 where there is no direction",
            found=f"{np.count_nonzero(~np.isfinite(peaks))} of {peaks.size}",
            mend="read them by series.read_peaks, or take numpy.nan_to_num of them",
        )
    vertices = _sphere().vertices.astype(np.float32)
    flat = (peaks @ axes_of(affine)).astype(np.float32).reshape(-1, *peaks.shape[-2:])
    found = np.zeros((len(flat), len(vertices)), np.float32)
    lengths = np.linalg.norm(flat, axis=-1)
    for k in range(flat.shape[1]):
        some = lengths[:, k] > 0
        along = flat[some, k] / lengths[some, k, None]
        found[some] += lengths[some, k, None] * np.exp(_SHARP * ((along @ vertices.T) ** 2 - 1))
    return found.reshape(*peaks.shape[:-2], -1)


def connectivity(
    odf: NDArray, affine: NDArray, seed: NDArray, inside: NDArray, targets: Mapping[str, NDArray],
    walk: Walk = Walk(), *, random_seed: int = 1,
) -> Connectivity:  # fmt: skip
    """Launch streamlines from each voxel of a seed, and count those that touch each target.

    Parameters
    ----------
    odf : array of shape (x, y, z, 200)
        As `odf_of_peaks` gives it.
    affine : array of shape (4, 4)
    seed : array of bool, shape (x, y, z)
        Such as a thalamus.
    inside : array of bool, shape (x, y, z)
        Where streamlines may go.
    targets : mapping of str to array of bool
    walk : Walk
    random_seed : int
        From 1 on; dipy takes 0 for none.

    Raises
    ------
    DataError
        If the seed or a target is empty, or directions are not finite.
    """
    empty = [name for name, mask in {"seed": seed, **targets}.items() if not mask.any()]
    if empty or not np.isfinite(odf).all():
        raise DataError(
            "there is nothing to track from, to or along",
            expected="voxels in the seed and each target, and finite directions",
            found=f"none in {', '.join(empty)}" if empty else "directions that are NaN",
            mend="see whether the registration failed, or the target lies outside of the image",
        )
    from dipy.tracking.utils import random_seeds_from_mask

    starts = random_seeds_from_mask(
        seed, affine, seeds_count=walk.per_voxel, random_seed=random_seed
    )
    labels = np.stack(list(targets.values()), -1)
    inverse, hits, kept = np.linalg.inv(affine), np.zeros(labels.shape, np.float32), 0
    for line, start in _tracks(odf, affine, starts, inside, walk, random_seed):
        at = _voxels(line, inverse, seed.shape)
        hits[tuple(_voxels(start[None], inverse, seed.shape)[0])] += labels[tuple(at.T)].any(0)
        kept += 1
    return Connectivity(hits / np.float32(walk.per_voxel), tuple(targets), len(starts), kept)


def _tracks(
    odf: NDArray, affine: NDArray, starts: NDArray, inside: NDArray, walk: Walk, random_seed: int
) -> Any:
    from dipy.tracking.stopping_criterion import BinaryStoppingCriterion
    from dipy.tracking.tracker import probabilistic_tracking

    return probabilistic_tracking(
        starts, BinaryStoppingCriterion(inside), affine, sf=np.ascontiguousarray(odf, np.float64),
        sphere=_sphere(), step_size=walk.step, max_angle=walk.angle, min_len=walk.shortest,
        max_len=walk.longest, pmf_threshold=walk.threshold, random_seed=random_seed,
        nbr_threads=1, return_all=False, save_seeds=True,
    )  # fmt: skip


def _voxels(points: NDArray, inverse: NDArray, shape: tuple[int, ...]) -> NDArray[np.intp]:
    places = np.rint(points @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.intp)
    return np.clip(places, 0, np.array(shape) - 1)


def _sphere() -> Any:
    from dipy.data import get_sphere

    return get_sphere(name="repulsion200")
