"""What a site's scanner makes of a chest: blur, slice thickness, noise, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from nextaim_kit.studies.ct_radiomics.phantom import IN_PLANE_MM, Volume


@dataclass(frozen=True)
class Scan:
    """One acquisition.

    Parameters
    ----------
    kernel_mm : float
        Width (sigma) of the reconstruction's point spread in the slice.
    noise_hu : float
        Standard deviation of the noise, in slices of this thickness.
    offset_hu : float
        Error of the calibration.
    thickness_mm : float
        Distance and thickness of the slices.
    """

    kernel_mm: float
    noise_hu: float
    offset_hu: float
    thickness_mm: float

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Edges of a voxel in mm: x, y, z."""
        return (IN_PLANE_MM, IN_PLANE_MM, self.thickness_mm)


@dataclass(frozen=True)
class Site:
    """What a site's scans are drawn from: means, and for the slices a share of thick ones."""

    kernel_mm: float
    noise_hu: float  # in thin slices
    offset_hu: float
    thick: float

    def draw(self, rng: np.random.Generator) -> Scan:
        """One patient's scan; patients of a site differ as protocols and bodies do.

        A slice twice as thick gathers twice the photons: its noise is less by the square root.
        """
        kernel = float(np.clip(rng.normal(self.kernel_mm, SPREAD.kernel_mm), 0.8, 3.5))
        thin_noise = float(self.noise_hu * np.exp(rng.normal(0, SPREAD.noise_hu)))
        offset = float(rng.normal(self.offset_hu, SPREAD.offset_hu))
        thickness = THICKNESS_MM[rng.random() < self.thick]
        noise = thin_noise * (THICKNESS_MM[0] / thickness) ** 0.5
        return Scan(kernel, noise, offset, thickness)


THICKNESS_MM = (5.0, 7.0)  # of thin and thick slices
SPREAD = Site(kernel_mm=0.3, noise_hu=0.35, offset_hu=12.0, thick=0.0)
SITES = {
    "Florence": Site(kernel_mm=1.55, noise_hu=16.0, offset_hu=0.0, thick=0.15),
    "Milan": Site(kernel_mm=1.70, noise_hu=19.0, offset_hu=-6.0, thick=0.30),
    "Palermo": Site(kernel_mm=1.85, noise_hu=14.0, offset_hu=6.0, thick=0.45),
    "Pavia": Site(kernel_mm=1.45, noise_hu=22.0, offset_hu=-3.0, thick=0.20),
    "Pisa": Site(kernel_mm=1.75, noise_hu=17.0, offset_hu=9.0, thick=0.40),
}


def acquire(hu: Volume, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Hounsfield units of shape (z, y, x) as the scan shows them, int16.

    Slices lie side by side and share no photons: their noise is independent.
    """
    in_plane = scan.kernel_mm / IN_PLANE_MM
    blurred = gaussian_filter(hu, (0.35, in_plane, in_plane))
    # Noise passes the same kernel, so a smooth reconstruction has coarse noise.
    noise = gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), (0, in_plane, in_plane)
    )
    blurred += noise * np.float32(scan.noise_hu / noise.std()) + np.float32(scan.offset_hu)
    return np.clip(np.rint(blurred), -1024, 3071).astype(np.int16)
