"""How far two maps of one thalamus' connections agree: with the truth, or with a second scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from nextaim_kit.learn.segmentation import dice
from nextaim_kit.studies.thalamus_tractography.definitions import RIGHT, TARGETS
from nextaim_kit.studies.thalamus_tractography.reference import Reference
from nextaim_kit.studies.thalamus_tractography.regions import ENDINGS
from nextaim_kit.studies.thalamus_tractography.series import read_on_grid
from nextaim_kit.studies.thalamus_tractography.space import grid
from nextaim_kit.studies.thalamus_tractography.truth import Truth

THRESHOLDS = (0.1, 0.25, 0.5)
_COUNTED = 0.1  # share of a voxel from which on fibers count as one of its bundles


def winners(shares: NDArray) -> NDArray[np.uint8]:
    """Winner takes all: 1 + the target of the largest share, 0 where no share is above 0.

    Parameters
    ----------
    shares : array of shape (..., target)

    Examples
    --------
    >>> winners(np.array([[0.2, 0.5], [0.0, 0.0]]))
    array([2, 0], dtype=uint8)
    """
    return np.where(shares.max(-1) > 0, shares.argmax(-1) + 1, 0).astype(np.uint8)


def winner_agreement(one: NDArray, other: NDArray) -> float:
    """Share of the voxels of which both say the same winner; nobody's count as not the same."""
    first = winners(one)
    return float(((first == winners(other)) & (first > 0)).mean())


def agreement(
    one: NDArray, other: NDArray, names: Sequence[str], thresholds: Sequence[float] = THRESHOLDS
) -> pd.DataFrame:
    """Of each target: how alike two maps are.

    Parameters
    ----------
    one, other : array of shape (voxel of the thalamus, target)
        P, or true shares.
    names : sequence of str
    thresholds : sequence of float

    Returns
    -------
    DataFrame
        ``target``; ``mean`` and ``mean_other``; ``correlation`` over voxels, NaN where a map is
        constant; ``error``, the mean distance; ``dice_<percent>`` of the voxels above each
        threshold, 1 where neither map has one.
    """
    rows = []
    for name, a, b in zip(names, one.T, other.T, strict=True):
        varies = a.std() > 0 and b.std() > 0
        row = {"target": name, "mean": float(a.mean()), "mean_other": float(b.mean()),
               "correlation": float(np.corrcoef(a, b)[0, 1]) if varies else float("nan"),
               "error": float(np.abs(a - b).mean())}  # fmt: skip
        row |= {f"dice_{100 * t:.0f}": dice(b > t, a > t) for t in thresholds}
        rows.append(row)
    return pd.DataFrame(rows)


def against_truth(found: Reference, truth: Truth) -> pd.DataFrame:
    """`agreement` of a tracked thalamus with its true connections, of each target of a subject."""
    true = truth.connectivity[found.thalamus]
    return agreement(found.shares, true, found.names).assign(subject=found.subject)


def true_winner(found: Reference, truth: Truth) -> float:
    """Share of the voxels in which tracking names the true winner."""
    return winner_agreement(found.shares, truth.connectivity[found.thalamus])


def nearest_winner(found: Reference, truth: Truth) -> float:
    """The baseline that knows no fibers: each voxel's winner is the target that lies nearest."""
    right, edges = found.side == "right", np.linalg.norm(found.affine[:3, :3], axis=0)
    masks = [truth.parcels == k + 1 + RIGHT * right for k in range(len(TARGETS))]
    far = [distance_transform_edt(~mask, edges)[found.thalamus] for mask in masks]
    return winner_agreement(1 / np.stack(far, -1), truth.connectivity[found.thalamus])


def where_wrong(found: Reference, truth: Truth) -> pd.DataFrame:
    """Where the winner is right: by how many bundles cross, and how far the true winner leads.

    Returns
    -------
    DataFrame
        ``subject``; ``kind`` of voxel: "one bundle" and "bundles cross" (of two or more with a
        tenth of the voxel each), "inside a territory" and "at a border" (true share of the winner
        above 0.7, or not); ``right``, the share of its voxels with the true winner, and ``n``.
    """
    seed, true = found.thalamus, truth.connectivity[found.thalamus]
    right = winners(found.shares) == winners(true)
    several = (truth.fractions[seed] >= _COUNTED).sum(-1) > 1
    clear = true.max(-1) > 0.7
    kinds = {"one bundle": ~several, "bundles cross": several,
             "inside a territory": clear, "at a border": ~clear}  # fmt: skip
    rows = [(found.subject, kind, float(right[here].mean()), int(here.sum()))
            for kind, here in kinds.items() if here.any()]  # fmt: skip
    return pd.DataFrame(rows, columns=["subject", "kind", "right", "n"])


def convergence(
    touched: NDArray[np.bool_], counts: Sequence[int], thresholds: Sequence[float] = THRESHOLDS
) -> pd.DataFrame:
    """How alike two independent halves are, by the number of streamlines in a voxel of each.

    Parameters
    ----------
    touched : array of bool, shape (voxel, streamline, target)
        Of `Streamlines`.
    counts : sequence of int
        At most half of the streamlines; larger ones are left out.
    thresholds : sequence of float

    Returns
    -------
    DataFrame
        ``streamlines`` in each half, ``threshold``, ``dice`` (the mean over targets that have a
        voxel above it in either half, NaN if none has) and ``winner``, the winners' agreement.
    """
    rows = []
    for n in [n for n in counts if 2 * n <= touched.shape[1]]:
        halves = touched[:, :n].mean(1), touched[:, n : 2 * n].mean(1)
        for t in thresholds:
            pairs = [(a > t, b > t) for a, b in zip(*(half.T for half in halves), strict=True)]
            found = [dice(a, b) for a, b in pairs if a.any() or b.any()]
            mean = float(np.mean(found)) if found else float("nan")
            rows.append((n, t, mean, winner_agreement(*halves)))
    return pd.DataFrame(rows, columns=["streamlines", "threshold", "dice", "winner"])


def enough(table: pd.DataFrame, threshold: float, wanted: float = 0.95) -> float:
    """From how many streamlines a voxel on the halves' Dice is above `wanted`.

    Beyond what was launched by extrapolation: what chance does to Dice falls with the root of the
    number, so that 1 - Dice is a / sqrt(n), with a from the largest number. NaN where Dice is.
    """
    rows = table[table["threshold"] == threshold]
    reached = rows[rows["dice"] >= wanted]
    if len(reached):
        return float(reached["streamlines"].iloc[0])
    last = rows.iloc[-1]
    return float(np.ceil(last["streamlines"] * ((1 - last["dice"]) / (1 - wanted)) ** 2))


def centers(found: Reference) -> pd.DataFrame:
    """Of each map its mean, its largest value, and its center in mm: ``x``, ``y``, ``z``.

    NaN for the center of a map that is 0 everywhere.
    """
    places = grid(found.thalamus.shape, found.affine)[found.thalamus]
    shares = found.shares
    total = np.where(shares.any(0), shares.sum(0), np.nan)  # of nothing there is no center
    told = {"subject": found.subject, "target": found.names, "mean": shares.mean(0),
            "largest": shares.max(0)}  # fmt: skip
    return pd.DataFrame(told).join(pd.DataFrame((shares / total).T @ places, columns=list("xyz")))


def inside_bundles(found: Reference, folder: str | Path) -> pd.DataFrame:
    """How much of the streamlines to each target runs inside TractSeg's bundle to it.

    Agreement of two predictions: the seed was made of the ends of these bundles.

    Returns
    -------
    DataFrame
        ``subject``, ``target``; ``inside``, the share of the streamlines' length; and
        ``by_chance``, the bundle's share of all voxels where streamlines of any target run.
    """
    rows, density = [], found.density
    everywhere = density.any(-1)
    for k, name in enumerate(found.names):
        path = Path(folder) / f"{ENDINGS.get(name, name)}_{found.side}.nii.gz"
        if path.is_file() and density[..., k].any():
            shape = found.thalamus.shape
            bundle = read_on_grid(path, found.affine, shape, "the diffusion") > 0.5
            share = density[bundle, k].sum() / density[..., k].sum()
            rows.append((found.subject, name, float(share), float(bundle[everywhere].mean())))
    return pd.DataFrame(rows, columns=["subject", "target", "inside", "by_chance"])
