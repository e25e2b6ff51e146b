"""The diffusion signal of mixed tissue: a sum of tensors, those of fibers among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
ALONG, ACROSS = 1.7e-3, 0.3e-3  # mm²/s, of water between fibers
# Brightness without diffusion weighting, and mm²/s, of what has no direction.
PLAIN = {"fluid": (2.2, 3.0e-3), "gray": (1.1, 0.85e-3), "white": (1.0, 0.8e-3),
         "thalamus": (1.0, 0.8e-3), "scalp": (0.15, 0.6e-3)}  # fmt: skip
FIBER_BRIGHT = 1.0


@dataclass(frozen=True)
class Medium:
    """What voxels hold; flat lists of voxels.

    Attributes
    ----------
    plain : dict of str to array of shape (n,)
        Shares of tissue without direction, by the names of `PLAIN`.
    shares : array of shape (n, 3)
        Of up to three kinds of fibers.
    directions : array of shape (n, 3, 3)
        Of each, unit vectors.
    """

    plain: dict[str, Array]
    shares: Array
    directions: Array


def signal_of(medium: Medium, b: float, direction: Array) -> Array:
    """Signal without noise in each voxel for one weighting.

    Parameters
    ----------
    medium : Medium
    b : float
        s/mm².
    direction : array of shape (3,)
        Of the gradient, in the frame of the head; unit length, or 0 without weighting.

    Returns
    -------
    array of shape (n,)

    References
    ----------
    .. [1] Tuch DS, et al. High angular resolution diffusion imaging reveals intravoxel white matter
       fiber heterogeneity. Magn Reson Med 2002;48:577. doi:10.1002/mrm.10268
    """
    found = np.zeros(len(medium.shares), np.float32)
    for kind, share in medium.plain.items():
        bright, water = PLAIN[kind]
        found += np.float32(bright * np.exp(-b * water)) * share
    cosines = medium.directions @ np.asarray(direction, np.float32)
    weight = np.exp(np.float32(-b * (ALONG - ACROSS)) * cosines**2)
    return found + np.float32(FIBER_BRIGHT * np.exp(-b * ACROSS)) * (medium.shares * weight).sum(1)


def tensor_of(signals: Array, bvals: Array, directions: Array, highest: float = 1500) -> Array:
    """Tensor that fits noise-free signals best on the scale of their logarithms.

    Parameters
    ----------
    signals : array of shape (n, v)
    bvals : array of shape (v,)
        s/mm².
    directions : array of shape (v, 3)
    highest : float
        Volumes with a higher b are left aside, since there one tensor does not describe mixtures.

    Returns
    -------
    array of shape (n, 6)
        Dxx, Dxy, Dyy, Dxz, Dyz, Dzz in mm²/s.
    """
    used = bvals <= highest
    x, y, z = directions[used].T
    design = np.stack([x * x, 2 * x * y, y * y, 2 * x * z, 2 * y * z, z * z], 1)
    design = np.c_[-bvals[used, None] * design, np.ones(used.sum())]
    logs = np.log(np.maximum(signals[:, used], 1e-6))
    return (logs @ np.linalg.pinv(design).T)[:, :6].astype(np.float32)
