"""Distortion by susceptibility, from two images whose phase was encoded in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from nextaim_kit.errors import DataError

_LEVELS = (6.0, 4.0, 2.0)  # voxels: images are blurred by half of it, the field is as smooth as it
_STIFF = 0.02  # what a voxel of shift per voxel costs beside an image of mean square 1
_STEPS = 12  # of the search, at each level: more would fit noise


@dataclass(frozen=True)
class Field:
    """How far each voxel's signal was moved along the axis that encodes the phase.

    Attributes
    ----------
    shift : array of shape (x, y, z)
        Voxels along `axis`, for the first of the two images; the other one's is its opposite.
    axis : int
    """

    shift: NDArray[np.float32]
    axis: int

    def correct(self, image: NDArray, sign: int = 1) -> NDArray[np.float32]:
        """The image as it would be without the field.

        Signal that was squeezed into fewer voxels is spread out again: besides the place, the
        brightness is set right by the Jacobian 1 + dd/dy.

        Parameters
        ----------
        image : array of shape (x, y, z)
        sign : {1, -1}
            1 for the first image's direction of phase, -1 for the other one's.
        """
        places = np.indices(self.shift.shape, np.float32)
        places[self.axis] += sign * self.shift
        moved = map_coordinates(np.asarray(image, np.float32), places, order=3, mode="nearest")
        return np.maximum(moved * self.jacobian(sign), 0)

    def jacobian(self, sign: int = 1) -> NDArray[np.float32]:
        """How much of the image's signal belongs to each voxel; never below 0."""
        return np.maximum(1 + sign * np.gradient(self.shift, axis=self.axis), 0)


def estimate_field(
    first: NDArray, second: NDArray, axis: int, mask: NDArray | None = None
) -> Field:
    """Find the field that makes two oppositely encoded images one.

    A point that lies at y is seen at y + d in the first image and at y - d in the second one, with
    its signal divided by 1 + d' and 1 - d'. So first(y + d) (1 + d') and second(y - d) (1 - d')
    are equal in every voxel where d is right [1]_. The sum of squares of their difference is made
    small, from coarse to fine, over fields that are smooth [2]_.

    Parameters
    ----------
    first, second : array of shape (x, y, z)
        Without diffusion weighting, on one grid.
    axis : int
        Along which the phase was encoded.
    mask : array of bool, optional
        Where the images are compared; by default everywhere.

    Raises
    ------
    DataError
        If the images are not on one grid, or one of them is empty.

    References
    ----------
    .. [1] Chang & Fitzpatrick 1992, https://doi.org/10.1109/42.158935
    .. [2] Ruthotto et al. 2012, https://doi.org/10.1088/0031-9155/57/18/5715
    """
    images = [np.asarray(image, np.float64) for image in (first, second)]
    if images[0].shape != images[1].shape or not all(image.max() > 0 for image in images):
        raise DataError(
            "the two images are no pair of opposite phase encoding",
            expected="two images of one grid, with signal",
            found=f"{images[0].shape} and {images[1].shape}, mean {images[0].mean():.3g} and "
            f"{images[1].mean():.3g}",
        )
    images = [image / np.sqrt((image**2).mean()) for image in images]
    weight = np.ones(images[0].shape) if mask is None else np.asarray(mask, np.float64)
    found = np.zeros(images[0].shape)
    for width in _LEVELS:
        pair = [gaussian_filter(image, width / 2) for image in images]
        found = found + _refine(pair, found, width, axis, weight)
    return Field(found.astype(np.float32), axis)


def _refine(
    pair: list[NDArray], found: NDArray, width: float, axis: int, weight: NDArray
) -> NDArray[np.float64]:
    """What has to be added to a field: a sum of bumps of one width."""

    def smooth(values: NDArray) -> NDArray:
        return gaussian_filter(values.reshape(found.shape), width, mode="reflect") * width**1.5

    def cost(bumps: NDArray) -> tuple[float, NDArray]:
        value, slope = mismatch(pair, found + smooth(bumps), axis, weight)
        return value, smooth(slope).ravel()

    options = {"maxiter": _STEPS, "ftol": 1e-9}
    solved = minimize(cost, np.zeros(found.size), jac=True, method="L-BFGS-B", options=options)
    return smooth(solved.x)


def mismatch(
    pair: list[NDArray], shift: NDArray, axis: int, weight: NDArray
) -> tuple[float, NDArray[np.float64]]:
    """Squared difference of the two corrected images plus the field's bending; and its slope."""
    stretch = _along(shift, axis)
    (a, a_slope), (b, b_slope) = (
        _shifted(image, sign * shift, axis) for image, sign in zip(pair, (1, -1), strict=True)
    )
    off = weight * (a * (1 + stretch) - b * (1 - stretch))
    bend = [_along(shift, k) for k in range(3)]
    value = float((off**2).sum() / 2 + _STIFF * sum((one**2).sum() for one in bend) / 2)
    slope = off * weight * (a_slope * (1 + stretch) + b_slope * (1 - stretch))
    slope += _back(off * weight * (a + b), axis)
    slope += _STIFF * sum(_back(one, k) for k, one in enumerate(bend))
    return value, slope


def _shifted(image: NDArray, shift: NDArray, axis: int) -> tuple[NDArray, NDArray]:
    """An image read between its voxels along an axis, and its slope there."""
    n = image.shape[axis]
    place = np.arange(n).reshape([-1 if k == axis else 1 for k in range(3)]) + shift
    low = np.clip(np.floor(place), 0, n - 2).astype(np.intp)
    left, right = (np.take_along_axis(image, low + k, axis) for k in (0, 1))
    part = np.clip(place - low, 0, 1)
    return left + part * (right - left), (right - left) * ((place >= 0) & (place <= n - 1))


def _along(values: NDArray, axis: int) -> NDArray:
    """Central differences; 0 at both ends."""
    slope = np.zeros_like(values)
    inner, before, after = _parts(axis)
    slope[inner] = (values[after] - values[before]) / 2
    return slope


def _back(values: NDArray, axis: int) -> NDArray:
    """The transpose of `_along`."""
    spread = np.zeros_like(values)
    inner, before, after = _parts(axis)
    spread[after] += values[inner] / 2
    spread[before] -= values[inner] / 2
    return spread


def _parts(axis: int) -> tuple[tuple, tuple, tuple]:
    parts = (slice(1, -1), slice(None, -2), slice(2, None))
    inner, before, after = (tuple(p if k == axis else slice(None) for k in range(3)) for p in parts)
    return inner, before, after
