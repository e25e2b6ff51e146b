"""P depends on more than connections: it falls with a target's distance, and with its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from nextaim_kit.studies.thalamus_tractography.definitions import BUNDLES, RIGHT, TARGETS, SideName
from nextaim_kit.studies.thalamus_tractography.orientations import Orientations
from nextaim_kit.studies.thalamus_tractography.tracking import Regions, Walk, track, voxels_of
from nextaim_kit.studies.thalamus_tractography.truth import Truth

_BAND = 5.0  # mm of a bundle that count as one target
_OWN = 0.7  # true share from which on a voxel belongs to a target


def fading(
    truth: Truth, along: Orientations, target: str, walk: Walk, *,
    side: SideName = "left", distances: Sequence[float] = (5, 15, 25, 35, 45, 55),
    sizes: Sequence[float] = (1.0, 0.5, 0.25, 0.125),
) -> pd.DataFrame:  # fmt: skip
    """Track one part of the thalamus to its bundle, cut farther and farther away, and its cortex.

    Nearly all its fibers run through each cut, so P should not fall with the distance; with the
    target's size it has to fall as the number of fibers does that end there.

    Parameters
    ----------
    truth : Truth
    along : Orientations
    target : str
        Of `definitions.TARGETS`. Its part of the thalamus are voxels with a true share above 0.7.
    walk : Walk
    side : {"left", "right"}
    distances : sequence of float
        mm from the thalamus at which its bundle is cut.
    sizes : sequence of float
        Shares of the cortex that count as the target, around its middle.

    Returns
    -------
    DataFrame
        ``kind``, "distance" or "size", ``at`` (mm, or share), ``voxels`` of the target, ``mean``
        P there, and ``true``, the mean true share times that of the known fibers that touch it.
    """
    k, right = TARGETS.index(target), side == "right"
    seed = (truth.thalamus == 1 + right) & (truth.connectivity[..., k] > _OWN)
    edges = np.linalg.norm(truth.affine[:3, :3], axis=0)
    far = distance_transform_edt(truth.thalamus != 1 + right, edges)
    bundle = truth.bundles & (1 << BUNDLES.index(target)) > 0
    x = np.arange(seed.shape[0])[:, None, None] * truth.affine[0, 0] + truth.affine[0, 3]
    bundle &= (x > 0) == right
    cuts = {("distance", d): bundle & (far >= d) & (far < d + _BAND) for d in distances}
    cortex = truth.parcels == k + 1 + RIGHT * right
    cuts |= {("size", s): _middle(cortex, s, edges) for s in sizes}
    masks = {name: mask for name, mask in cuts.items() if mask.any()}
    told = {f"{kind} {at:g}": mask for (kind, at), mask in masks.items()}
    found = track(along, Regions(seed, told), walk).shares.mean(0)
    own = float(truth.connectivity[seed, k].mean())
    lines = [line for line in truth.fibers[target] if (line[0, 0] > 0) == right]
    rows = [(*name, int(mask.sum()), float(mean), own * _touching(lines, mask, truth.affine))
            for (name, mask), mean in zip(masks.items(), found, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["kind", "at", "voxels", "mean", "true"])


def _touching(lines: Sequence[NDArray], mask: NDArray[np.bool_], affine: NDArray) -> float:
    """The share of lines, whose points lie about a voxel apart, that touch a mask."""
    between = [np.concatenate([line, (line[1:] + line[:-1]) / 2]) for line in lines]
    return float(np.mean([mask[tuple(voxels_of(line, affine, mask.shape).T)].any()
                          for line in between]))  # fmt: skip


def _middle(mask: NDArray[np.bool_], share: float, edges: NDArray) -> NDArray[np.bool_]:
    """The share of a mask's voxels that lies nearest to the one in its middle."""
    places = np.argwhere(mask) * edges
    center = places[((places - places.mean(0)) ** 2).sum(1).argmin()]
    nearest = np.argsort(((places - center) ** 2).sum(1), kind="stable")
    kept = np.zeros_like(mask)
    chosen = np.argwhere(mask)[nearest[: max(1, round(share * len(places)))]]
    kept[tuple(chosen.T)] = True
    return kept
