"""How far tensors lie from a truth, and what each step of the preparation gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.thalamus_tractography.definitions import BUNDLES
from nextaim_kit.studies.thalamus_tractography.diffusion import Prepared
from nextaim_kit.studies.thalamus_tractography.gradient_table import axes_of
from nextaim_kit.studies.thalamus_tractography.orientations import Orientations, sphere
from nextaim_kit.studies.thalamus_tractography.placing import PlacedHead
from nextaim_kit.studies.thalamus_tractography.series import Series
from nextaim_kit.studies.thalamus_tractography.space import apply, grid
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors
from nextaim_kit.studies.thalamus_tractography.truth import Truth

_FIBER = 0.3  # true FA from which on a voxel has a direction worth to be known


def angles(found: NDArray, true: NDArray) -> NDArray[np.float64]:
    """Degrees between axes, 0 to 90: a direction and its opposite are one.

    Examples
    --------
    >>> angles(np.array([0.0, 0, 1]), np.array([0, 0.6, -0.8])).round(1).item()
    36.9
    """
    return np.degrees(np.arccos(np.clip(np.abs((found * true).sum(-1)), 0, 1)))


def errors(tensors: Tensors, truth: Truth, within: NDArray | None = None) -> dict[str, float]:
    """What is wrong with tensors, in the voxels where the truth has fibers.

    Parameters
    ----------
    tensors : Tensors
        On the truth's grid.
    truth : Truth
    within : array of bool, optional
        Only there; by default in white matter and thalamus.

    Returns
    -------
    dict
        ``angle``: median degrees between the first eigenvector and the noise-free tensor's, where
        true FA is 0.3 or more; ``fa``, the mean distance of FA, and ``fa_bias``, its mean excess;
        ``md`` in µm²/ms likewise.
    """
    where = truth.tissue >= 3 if within is None else within
    fiber = where & (truth.fa >= _FIBER)
    fa = (tensors.fa - truth.fa)[where]
    return {
        "angle": float(np.median(angles(tensors.direction[fiber], truth.principal[fiber]))),
        "fa": float(np.abs(fa).mean()),
        "fa_bias": float(fa.mean()),
        "md": float(1000 * np.abs(tensors.md - truth.md)[where].mean()),
    }


def found_against_truth(made: Prepared, truth: Truth) -> dict[str, float]:
    """What the steps themselves found, beside what is true.

    Returns
    -------
    dict
        ``dice_brain``; ``field_mm``, the root mean square error of the susceptibility's shift in
        the brain, and ``field_before_mm``, that of the shift itself; ``motion_mm``, the mean
        distance of the brain's voxels from where they were in each volume, and
        ``motion_before_mm``, that without correction.
    """
    brain = truth.brain
    overlap = 2 * (made.mask & brain).sum() / (made.mask.sum() + brain.sum())
    found = {"dice_brain": float(overlap)}
    if made.field:
        edge = made.series.spacing[made.field.axis]
        off = made.field.shift[brain] * edge - truth.field[brain]
        found["field_mm"] = float(np.sqrt((off**2).mean()))
        found["field_before_mm"] = float(np.sqrt((truth.field[brain] ** 2).mean()))
    points = grid(brain.shape, truth.affine)
    middle, points = points.reshape(-1, 3).mean(0), points[brain][::7]
    off, before = [], []
    moves, eddies = (np.delete(one, made.series.lost, 0) for one in (truth.motion, truth.eddy))
    for place, moved, eddy in zip(made.motion.places, moves, eddies, strict=True):
        true = apply(moved, points)
        true[:, 1] += eddy[0] + (true - middle) @ eddy[1:]
        off.append(np.linalg.norm(apply(place, points) - true, axis=1).mean())
        before.append(np.linalg.norm(points - true, axis=1).mean())
    return found | {"motion_mm": float(np.mean(off)), "motion_before_mm": float(np.mean(before))}


def direction_error(along: Orientations, truth: Truth) -> float:
    """Median angle in degrees between the likeliest direction and the true fibers.

    In voxels of white matter with one kind of fibers; some 5 degrees of it are the distance
    of the 200 directions from each other.
    """
    single = (truth.fractions >= 0.1).sum(-1) == 1
    where = along.inside & (truth.tissue == 3) & single
    likeliest = sphere().vertices[along.at(np.argwhere(where)).argmax(1)]
    main = truth.fractions[where].argmax(-1)[:, None, None]
    true = np.take_along_axis(truth.directions[where], main, 1)[:, 0]
    return float(np.median(angles(likeliest @ axes_of(along.affine).T, true)))


def placing_errors(head: PlacedHead, truth: Truth) -> dict[str, float]:
    """How far registration puts points from where they are, in mm.

    Returns
    -------
    dict
        ``t1_to_dwi``, mean over the brain; ``before``, if nothing had been registered; ``ac`` and
        ``pc``, of the template's commissures brought into this head.
    """
    points = grid(truth.brain.shape, truth.affine)[truth.brain][::5]
    in_t1 = apply(np.linalg.inv(truth.t1_to_dwi), points)
    to_t1, ends = np.linalg.inv(truth.t1_to_dwi), head.frame.ends
    return {
        "t1_to_dwi": _apart(apply(head.t1_to_dwi, in_t1), points),
        "before": _apart(in_t1, points),
    } | {n.lower(): _apart(at, apply(to_t1, truth.points[n])) for n, at in ends.items()}


def _apart(one: NDArray, other: NDArray) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


def bundle_colors(direction: NDArray, fa: NDArray, truth: Truth) -> dict[str, list[float]]:
    """Of each bundle the share of its directions along x, y and z: red, green and blue.

    Only voxels that one bundle has for itself count, and of the callosum those within 8 mm of the
    midline, since farther out it fans into all directions.
    """
    found, middle = {}, np.abs(grid(fa.shape, truth.affine)[..., 0]) < 8
    for k, name in enumerate(BUNDLES):
        own = (truth.bundles == 1 << k) & (fa > 0.2) & (middle | (name != "callosum"))
        if own.any():
            found[name] = [float(share) for share in (direction[own] ** 2).mean(0)]
    return found


def with_noise(series: Series, sigma: float, rng: np.random.Generator) -> Series:
    """The series with further noise on a magnitude image (Rician)."""
    noise = rng.normal(0, sigma, (2, *series.values.shape)).astype(np.float32)
    return replace(series, values=np.hypot(series.values + noise[0], noise[1]))
