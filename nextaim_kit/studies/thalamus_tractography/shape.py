"""The place, reach and turn of a thalamus, by which one is laid onto another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE
from nextaim_kit.studies.thalamus_tractography.space import grid, sample

_VOXELS = np.eye(4)


@dataclass(frozen=True)
class Shape:
    """Where a mask lies, how far it reaches and how it is turned.

    Attributes
    ----------
    center : array of shape (3,)
        In voxels.
    spread : array of shape (3, 3)
        Square root of the covariance of its voxels.
    """

    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Shape:
        """That of a mask of more than a few voxels."""
        places = np.argwhere(mask)
        return cls(places.mean(0), np.real(sqrtm(np.cov(places.T) + 1e-3 * np.eye(3))))

    def places(self) -> NDArray[np.float64]:
        """Each voxel of the box, from the center on in units of the reach: (38, 60, 48, 3)."""
        away = grid(BOX_SHAPE, _VOXELS) - self.center
        return away @ np.linalg.inv(self.spread).T

    def brought(self, image: NDArray, onto: Shape) -> NDArray[np.float32]:
        """An image of a thalamus of this shape, moved and stretched to one of another shape."""
        return sample(image, _VOXELS, onto.places() @ self.spread.T + self.center)
