"""Are the gradient directions in the image's own frame? Fibers tell, where they lead."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

Matrices = NDArray[np.float64]

_BEND = np.cos(np.deg2rad(45))  # the most that a fiber may turn from step to step
_STEP = 0.5  # of a voxel's shortest edge
_STEPS = 40  # both ways together; who gets so far has followed a bundle, and is not counted as
# more: lengths without an end are ruled by a few long bundles, which hides what all others say
_SEEDS = 6000  # as many voxels as are started from
_BLOCK = 8  # voxels along the edge of a block; resampled as one, since neighbors are alike
_BLOCKS = 10  # below which nothing is decided


def turns() -> dict[str, Matrices]:
    """The 24 ways in which axes are exchanged and flipped, by name.

    There are 48 signed permutations; each and its opposite are one for a gradient, which has no
    sign. The names say what was done to the table, such as ``y x z, -z``: first two columns
    exchanged, then the third one's sign.

    Examples
    --------
    >>> list(turns())[:4]
    ['x y z', 'x y z, -x', 'x y z, -y', 'x y z, -z']
    """
    found = {}
    for order, flip in product(permutations(range(3)), (None, 0, 1, 2)):
        matrix = np.eye(3)[list(order)]
        name = " ".join("xyz"[k] for k in order)
        if flip is not None:
            matrix[flip] *= -1
            name += f", -{'xyz'[flip]}"
        found[name] = matrix
    return found


@dataclass(frozen=True)
class Coherence:
    """How far fibers lead into one another, for each of `turns`.

    Attributes
    ----------
    scores : dict of str to float
        Mean length of the lines that follow the directions, over the mean of all 24.
    alike : list of str
        Those that cannot be told from the best one; the best one alone where it is decided.
    seeds : int
        Voxels that were started from.
    """

    scores: dict[str, float]
    alike: list[str]
    seeds: int

    @property
    def best(self) -> str:
        """The turn with the highest score."""
        return max(self.scores, key=lambda name: self.scores[name])

    @property
    def verdict(self) -> str:
        """``right``, ``undecidable``, or which turn mends the table."""
        if len(self.alike) != 1:
            return "undecidable"
        return "right" if self.best == "x y z" else self.best


def fiber_coherence(
    directions: NDArray,
    fa: NDArray,
    mask: NDArray,
    spacing: NDArray,
    *,
    least_fa: float = 0.25,
    n_boot: int = 500,
    seed: int = 0,
) -> Coherence:
    """Score all 24 turns of a gradient table by how far lines get that follow its fibers [1]_.

    Lines start in voxels spread over all fibers, go both ways, from voxel to voxel, and end where
    FA is low or they would have to turn by more than 45 degrees. With a wrong table they leave
    their bundle soon.

    One fit serves all: where the gradients are turned by a signed permutation, so is the tensor,
    and its first direction with it; FA stays.

    Parameters
    ----------
    directions : array of shape (x, y, z, 3)
        First eigenvectors (or peaks) along the image's axes, in the table's own frame.
    fa : array of shape (x, y, z)
    mask : array of bool, shape (x, y, z)
    spacing : array of shape (3,)
        Edges of a voxel in mm; one below 0 where the table's axis runs against the image's.
    least_fa : float
        Below it there is no fiber to follow.
    n_boot, seed : int
        Blocks of eight voxels are drawn with replacement; a turn is told from the best one where
        its lines are shorter in 99 of 100 draws.

    References
    ----------
    .. [1] Jeurissen et al. 2014, https://doi.org/10.1016/j.media.2014.05.012, where the idea is
       from; by neighbors alone: Schilling et al. 2019, https://doi.org/10.1016/j.mri.2019.01.018
    """
    inside = mask & (fa >= least_fa) & np.isfinite(directions).all(-1)
    places = np.argwhere(inside)
    places = places[:: max(1, len(places) // _SEEDS)]
    names = list(turns())
    lengths = np.stack([_lengths(directions @ turn.T, inside, np.asarray(spacing, float), places)
                        for turn in turns().values()], 1)  # fmt: skip
    _, block = np.unique(places // _BLOCK, axis=0, return_inverse=True)
    sums = np.stack([np.bincount(block.ravel(), one) for one in lengths.T], 1)
    scores = dict(zip(names, (sums.sum(0) / max(sums.mean(1).sum(), 1e-9)).tolist(), strict=True))
    if len(sums) < _BLOCKS:
        return Coherence(scores, names, len(places))
    share = np.full(len(sums), 1 / len(sums))
    drawn = np.random.default_rng(seed).multinomial(len(sums), share, size=n_boot) @ sums
    best = int(sums.sum(0).argmax())
    lower = (drawn < drawn[:, [best]] * (1 - 1e-9)).mean(0) >= 0.99
    lower[best] = False
    alike = [name for name, less in zip(names, lower, strict=True) if not less]
    return Coherence(scores, alike, len(places))


def _lengths(
    directions: NDArray, inside: NDArray, spacing: NDArray, places: NDArray
) -> NDArray[np.float64]:
    """Steps that a line gets from each place, both ways together."""
    step = _STEP * np.abs(spacing).min() / spacing
    counts = np.zeros(len(places))
    for way in (1, -1):
        alive, at = np.arange(len(places)), places.astype(float)
        heading = way * directions[tuple(places.T)]
        for _ in range(_STEPS):
            at = at + heading * step
            voxel = np.rint(at).astype(np.intp)
            held = ((voxel >= 0) & (voxel < inside.shape)).all(1)
            held[held] = inside[tuple(voxel[held].T)]
            after = directions[tuple(voxel[held].T)]
            turn = (after * heading[held]).sum(1)
            on = np.abs(turn) >= _BEND
            alive, at = alive[held][on], at[held][on]
            heading = after[on] * np.sign(turn[on])[:, None]
            counts[alive] += 1
    return np.minimum(counts, _STEPS)
