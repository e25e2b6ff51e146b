"""What a scanner makes of a chest: slices of some thickness, a kernel, and noise that it colors."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nextaim_kit.errors import RequestError
from nextaim_kit.twins.chest_ct.grid import Grid, Plane, Volume

Kernel = Literal["smooth", "sharp"]
LOWEST, HIGHEST = -1024, 3071  # HU that a CT stores
_REFERENCE_MM = 3.0  # slice thickness at which the noise is stated
_THICKNESS_MM = (0.5, 12.0)


@dataclass(frozen=True)
class Reconstruction:
    """A kernel.

    Parameters
    ----------
    blur_mm : float
        Width (sigma) of its point spread.
    enhance : float
        Share of the detail that it adds.
    detail_mm : float
        Width over which detail is told from what is smooth.
    noise : float
        Its noise over that of the smooth kernel.
    """

    blur_mm: float
    enhance: float
    detail_mm: float
    noise: float


# A soft-tissue and a lung kernel. The lung kernel overshoots at edges and its noise is fine.
KERNELS: dict[str, Reconstruction] = {
    "smooth": Reconstruction(blur_mm=1.0, enhance=0.0, detail_mm=2.0, noise=1.0),
    "sharp": Reconstruction(blur_mm=0.4, enhance=0.45, detail_mm=1.6, noise=2.6),
}


@dataclass(frozen=True)
class Scan:
    """One acquisition.

    Parameters
    ----------
    slice_mm : float
        Thickness of the slices. Their distance is the grid's: thicker ones overlap.
    kernel : {"smooth", "sharp"}
    noise_hu : float
        Noise (standard deviation) of the smooth kernel in slices of 3 mm; 0 for none.

    Raises
    ------
    RequestError
        If one of them cannot be.
    """

    slice_mm: float
    kernel: Kernel
    noise_hu: float

    def __post_init__(self) -> None:
        low, high = _THICKNESS_MM
        if self.kernel not in KERNELS:
            raise RequestError(
                "there is no such kernel", expected=" or ".join(KERNELS), found=repr(self.kernel)
            )
        if not low <= self.slice_mm <= high:
            raise RequestError(
                "no slice is so thick", expected=f"{low:g} to {high:g} mm",
                found=f"{self.slice_mm:g} mm",
            )  # fmt: skip
        if not 0 <= self.noise_hu <= 200:
            raise RequestError(
                "no scan has such noise", expected="0 to 200 HU", found=f"{self.noise_hu:g} HU"
            )


def acquire(hu: Volume, grid: Grid, scan: Scan, rng: np.random.Generator) -> NDArray[np.int16]:
    """What a scan shows of a volume.

    Slices that overlap are made from the same photons in part: their noise is correlated as their
    profiles overlap.

    Parameters
    ----------
    hu : array of shape (z, y, x)
    grid : Grid
    scan : Scan
    rng : Generator

    Returns
    -------
    array of int16, same shape
        HU, from -1024 to 3071.
    """
    seen = np.empty(hu.shape, np.int16)
    profile = _profile(scan.slice_mm, grid.edges[2])
    kernel, edge, reach = KERNELS[scan.kernel], grid.edges[0], len(profile) // 2
    sigma = scan.noise_hu * kernel.noise * np.sqrt(_REFERENCE_MM / scan.slice_mm)

    def drawn() -> Plane:
        return _filtered(rng.standard_normal(hu.shape[1:], dtype=np.float32), kernel, edge)

    # Noise of the thin slices that a thick one is made of; each is drawn once, and moves on.
    thin = deque([drawn() for _ in range(2 * reach)] if sigma > 0 else [], len(profile))
    for k in range(len(hu)):
        near = np.clip(np.arange(k - reach, k + reach + 1), 0, len(hu) - 1)
        thick = sum(weight * hu[i] for weight, i in zip(profile, near, strict=True))
        plane = _filtered(thick, kernel, edge)
        if sigma > 0:
            thin.append(drawn())
            noise = sum(weight * one for weight, one in zip(profile, thin, strict=True))
            plane += noise * np.float32(sigma / noise.std())
        seen[k] = np.clip(np.rint(plane), LOWEST, HIGHEST)
    return seen


def _filtered(plane: Plane, kernel: Reconstruction, edge: float) -> Plane:
    sharp = gaussian_filter(plane, kernel.blur_mm / edge)
    if kernel.enhance:
        sharp += kernel.enhance * (sharp - gaussian_filter(sharp, kernel.detail_mm / edge))
    return sharp


def _profile(slice_mm: float, distance: float) -> Volume:
    """Weights of the slices that a thicker one covers."""
    reach = int(np.ceil(max(slice_mm / distance - 1, 0) / 2))
    at = np.arange(-reach, reach + 1)
    ends = np.minimum(np.abs(at) + 0.5, slice_mm / distance / 2) - (np.abs(at) - 0.5)
    weights = np.clip(ends, 0, 1) if reach else np.ones(1)
    return (weights / weights.sum()).astype(np.float32)
