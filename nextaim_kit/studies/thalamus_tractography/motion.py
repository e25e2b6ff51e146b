"""How the head lay while each volume was acquired, and every volume brought back to one place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from nextaim_kit.studies.thalamus_tractography.distortion import Field
from nextaim_kit.studies.thalamus_tractography.space import apply, grid, rotation_of

_BLUR = 0.8  # voxels, so that slopes are smooth
_ROUNDS = 6
_EVERY = 3  # one voxel in so many is looked at, which is enough for six or nine numbers


@dataclass(frozen=True)
class Motion:
    """Where the head lay in each volume.

    Attributes
    ----------
    places : array of shape (volume, 4, 4)
        From mm of the head, as it lay in the first volume, to mm of the image.
    along : array of shape (3,) or None
        Unit vector of the axis that encodes the phase, along which eddy currents may have
        stretched and sheared the volumes; None where that was not looked for.
    """

    places: NDArray[np.float64]
    along: NDArray[np.float64] | None = None

    @classmethod
    def none(cls, volumes: int) -> Motion:
        """A head that lay still."""
        return cls(np.tile(np.eye(4), (volumes, 1, 1)))

    @property
    def rotations(self) -> NDArray[np.float64]:
        """How the head was turned, shape (volume, 3, 3), without what eddy currents did."""
        return np.stack([_rotation(place[:3, :3], self.along) for place in self.places])

    def felt(self, directions: NDArray) -> NDArray[np.float64]:
        """Gradient directions as the head felt them: turned back by each volume's rotation.

        Examples
        --------
        A head turned by 90 degrees about z feels a gradient along y as one along x.

        >>> turn = np.eye(4)
        >>> turn[:2, :2] = [[0, -1], [1, 0]]
        >>> Motion(turn[None]).felt(np.array([[0.0, 1.0, 0.0]])).round(3).tolist()
        [[1.0, 0.0, 0.0]]
        """
        return np.einsum("vij,vi->vj", self.rotations, np.asarray(directions, float))


def find_motion(
    data: NDArray, affine: NDArray, expected: NDArray, mask: NDArray, start: Motion
) -> Motion:
    """Find the motion of each volume from what it would show without.

    By least squares (Gauss and Newton): where the volume at its present place differs from what
    is expected, the expected image's slope says how far off the place is. A factor and an offset
    of brightness are fitted with it.

    Parameters
    ----------
    data : array of shape (x, y, z, volume)
    affine : array of shape (4, 4)
    expected : array of shape (x, y, z, volume)
        Such as `tensor.predicted` gives.
    mask : array of bool, shape (x, y, z)
        Where the two are compared.
    start : Motion
        Its `along` says whether eddy currents are looked for.
    """
    some = np.zeros_like(mask)
    some[mask] = np.arange(np.count_nonzero(mask)) % _EVERY == 0
    points = grid(mask.shape, affine)[some]
    middle, inverse = points.mean(0), np.linalg.inv(affine)
    places = start.places.copy()
    for k in range(data.shape[-1]):
        still, volume = (gaussian_filter(one[..., k], _BLUR) for one in (expected, data))
        slopes = np.stack([one[some] for one in np.gradient(still)], -1) @ inverse[:3, :3]
        columns = _columns(slopes, points - middle, start.along)
        design = np.column_stack([columns, still[some], np.ones(len(points))])
        solve = np.linalg.pinv(design.T @ design, hermitian=True) @ design.T
        for _ in range(_ROUNDS):
            at = apply(inverse, apply(places[k], points)).T
            found = map_coordinates(volume, at, order=1, mode="nearest")
            step = _matrix((solve @ (found - still[some]))[:-2], middle, start.along)
            places[k] = places[k] @ np.linalg.inv(step)
    return Motion(places @ np.linalg.inv(places[0]), start.along)


def _columns(slopes: NDArray, arms: NDArray, along: NDArray | None) -> NDArray:
    """How brightness changes with each number of a small movement about the middle."""
    rigid = [np.cross(arms, slopes), slopes]
    eddy = [] if along is None else [(slopes @ along)[:, None] * arms]
    return np.column_stack(rigid + eddy)


def _matrix(numbers: NDArray, middle: NDArray, along: NDArray | None) -> NDArray[np.float64]:
    """The movement of these numbers: turn (and stretch) about the middle, then shift."""
    linear = Rotation.from_rotvec(numbers[:3]).as_matrix()
    if along is not None:
        linear = linear + np.outer(along, numbers[6:9])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, middle - linear @ middle + numbers[3:6]
    return matrix


def _rotation(linear: NDArray, along: NDArray | None) -> NDArray[np.float64]:
    """The rotation R in (I + along eᵀ) R: across `along`, R's rows are left as they are."""
    if along is None:
        return np.asarray(rotation_of(linear), np.float64)
    _, _, across = np.linalg.svd(along[None])
    first, second = across[1:] @ linear
    first = first / np.linalg.norm(first)
    second = second - first * (first @ second)
    second = second / np.linalg.norm(second)
    sign = np.sign(np.linalg.det(across))
    turned = np.stack([sign * np.cross(first, second), first, second])
    return across.T @ turned


def taken_back(
    data: NDArray, affine: NDArray, motion: Motion, mask: NDArray, field: Field | None = None
) -> NDArray[np.float32]:
    """The volumes as if the head had not moved, and without distortion if its field is given.

    Each volume is read between its voxels once (cubic), since every reading blurs.

    Parameters
    ----------
    data : array of shape (x, y, z, volume)
    affine : array of shape (4, 4)
    motion : Motion
    mask : array of bool, shape (x, y, z)
        Where it is done; 0 elsewhere.
    field : Field, optional
        The susceptibility that makes it moves with the head.
    """
    inverse, points = np.linalg.inv(affine), grid(mask.shape, affine)[mask]
    bright = field.jacobian()[mask] if field else 1.0
    found = np.zeros(data.shape, np.float32)
    for k, place in enumerate(motion.places):
        at = apply(inverse, apply(place, points)).T
        if field:
            at[field.axis] += field.shift[mask]
        volume = np.asarray(data[..., k], np.float32)
        read = map_coordinates(volume, at, order=3, mode="nearest")
        found[mask, k] = np.maximum(read * bright * np.linalg.det(place[:3, :3]), 0)
    return found
