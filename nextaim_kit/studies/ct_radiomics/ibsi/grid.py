"""Grids of voxels: the one that the manual interpolates to, and one of displacements.

References
----------
Zwanenburg et al., arXiv:1612.07003, section 2.4
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from nextaim_kit.studies.ct_radiomics.region import Box

Spacing = tuple[float, float, float]  # (z, y, x) in mm

_PREFILTER = 40  # voxels: the cubic spline's prefilter decays by 0.27 a voxel


@dataclass(frozen=True)
class Grid:
    """Grid of new voxels whose center is the center of the old one; all in the order (z, y, x).

    Parameters
    ----------
    size : tuple of int
        Number of new voxels.
    spacing : tuple of float
        Their size in mm.
    first : tuple of float
        The first one's center, in old voxels.
    step : tuple of float
        From one to the next, in old voxels.
    """

    size: tuple[int, int, int]
    spacing: Spacing
    first: Spacing
    step: Spacing

    @classmethod
    def of(cls, image: sitk.Image, spacing: Spacing) -> Grid:
        """Grid over an image for a spacing in mm, 0 where an axis is kept."""
        old = np.array(image.GetSpacing()[::-1])
        count = np.array(image.GetSize()[::-1])
        new = np.where(np.array(spacing) > 0, spacing, old)
        # 204 voxels of 0.977 mm are stored as 0.97699999...; rounding keeps the ceiling right.
        size = np.ceil(np.round(count * old / new, 4)).astype(int)
        first = 0.5 * ((count - 1) - (size - 1) * new / old)
        step = new / old
        return cls(*(tuple(x.tolist()) for x in (size, new, first, step)))

    def covering(self, axis: int, low: float, high: float) -> tuple[int, int]:
        """Range of new voxels that covers a range of old ones, within the grid."""
        start, stop = ((x - self.first[axis]) / self.step[axis] for x in (low, high))
        return max(0, math.floor(start)), min(self.size[axis], math.ceil(stop) + 1)

    def interpolate(self, image: sitk.Image, box: Box, order: int) -> np.ndarray:
        """Image at the new voxels of a box, as an array of floats, shape (z, y, x)."""
        start = [f + b.start * s for f, b, s in zip(self.first, box, self.step, strict=True)]
        stop = [f + (b.stop - 1) * s for f, b, s in zip(self.first, box, self.step, strict=True)]
        margin = 1 if order == 1 else _PREFILTER
        needed = [
            slice(max(0, math.floor(low) - margin), min(n, math.ceil(high) + margin + 1))
            for low, high, n in zip(start, stop, image.GetSize()[::-1], strict=True)
        ]
        old = sitk.Cast(image[needed[2], needed[1], needed[0]], sitk.sitkFloat64)
        # On its own axes: the place in space does not matter to the values.
        old.SetOrigin([float(part.start) for part in needed[::-1]])
        old.SetSpacing([1.0] * 3)
        old.SetDirection(np.eye(3).ravel().tolist())
        new = sitk.ResampleImageFilter()
        new.SetSize([b.stop - b.start for b in box[::-1]])
        new.SetOutputSpacing(self.step[::-1])
        new.SetOutputOrigin(start[::-1])
        new.SetInterpolator(sitk.sitkLinear if order == 1 else sitk.sitkBSpline)
        return sitk.GetArrayFromImage(new.Execute(old))


def squared_distances(size: Sequence[int], step: Spacing) -> np.ndarray:
    """Squared length (mm²) of each displacement on a grid that wraps around, shape `size`.

    Displacements to higher places come first, those to lower ones after them, the last being -1.
    """
    z, y, x = (
        np.minimum(np.arange(n), n - np.arange(n)) * s for n, s in zip(size, step, strict=True)
    )
    return z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
