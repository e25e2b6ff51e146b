"""The diffusion tensor of each voxel, and what is read off it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError

ELEMENTS = ("xx", "xy", "yy", "xz", "yz", "zz")  # dipy's order
_WHERE = np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])  # a matrix of places in ELEMENTS
_B0 = 50.0  # s/mm²: below it, nothing is weighted by diffusion
_MOST = 1500.0  # s/mm²: beyond it the signal of a voxel is no single exponential


@dataclass(frozen=True)
class Tensors:
    """A tensor in each voxel.

    Attributes
    ----------
    elements : array of shape (..., 6)
        As `ELEMENTS` names them, in mm²/s; 0 where nothing was fitted. Unlike eigenvectors they
        have no arbitrary sign, so they can be interpolated and learned from.
    """

    elements: NDArray[np.float32]

    @property
    def matrices(self) -> NDArray[np.float32]:
        """The tensors as matrices, shape (..., 3, 3)."""
        return self.elements[..., _WHERE]

    @cached_property
    def eigen(self) -> tuple[NDArray, NDArray]:
        """Eigenvalues (..., 3) in mm²/s, the largest first, and eigenvectors (..., 3, 3).

        Row i of the second belongs to value i; whether it points forth or back is arbitrary. All
        are 0 where nothing was fitted.
        """
        there = self.elements.any(-1)
        values = np.zeros((*there.shape, 3), self.elements.dtype)
        vectors = np.zeros((*there.shape, 3, 3), self.elements.dtype)
        lengths, columns = np.linalg.eigh(self.elements[there][..., _WHERE])
        values[there] = lengths[..., ::-1]
        vectors[there] = np.swapaxes(columns[..., ::-1], -1, -2)
        return values, vectors

    @property
    def direction(self) -> NDArray:
        """The first eigenvector, shape (..., 3): along the fibers."""
        return self.eigen[1][..., 0, :]

    @property
    def md(self) -> NDArray:
        """Mean diffusivity in mm²/s."""
        return self.elements[..., [0, 2, 5]].mean(-1)

    @property
    def fa(self) -> NDArray:
        """Fractional anisotropy, 0 (a ball) to 1 (a stick)."""
        values = np.maximum(self.eigen[0], 0)
        off = values - values.mean(-1, keepdims=True)
        size = (values**2).sum(-1)
        return np.sqrt(1.5 * (off**2).sum(-1) / np.where(size > 0, size, 1))

    def without_negative(self) -> Tensors:
        """With 0 in the place of negative eigenvalues, which no water has."""
        wrong = self.eigen[0][..., 2] < 0
        values, vectors = (part[wrong] for part in self.eigen)
        mended = np.swapaxes(vectors, -1, -2) @ (np.maximum(values, 0)[..., None] * vectors)
        rows, columns = np.tril_indices(3)  # in the order of ELEMENTS
        elements = self.elements.copy()
        elements[wrong] = mended[..., rows, columns]
        return Tensors(elements)

    def turned(self, rotation: NDArray) -> Tensors:
        """The tensors seen in turned (or mirrored) axes: R D Rᵀ."""
        turned = rotation @ self.matrices @ np.transpose(rotation)
        rows, columns = np.tril_indices(3)  # in the order of ELEMENTS
        return Tensors(turned[..., rows, columns].astype(np.float32))


def fit_tensors(
    data: NDArray, bvals: NDArray, bvecs: NDArray, mask: NDArray, *, most: float = _MOST
) -> Tensors:
    """Fit a tensor to each voxel of a mask by weighted least squares [1]_.

    The logarithm of a signal S is as uncertain as 1 / S, so each counts with the square of what a
    fit without weights says of it. The same as dipy's ``WLS``, for all voxels at once instead of
    one after another.

    Parameters
    ----------
    data : array of shape (x, y, z, volume)
    bvals : array of shape (volume,)
        In s/mm².
    bvecs : array of shape (volume, 3)
        In the frame in which the tensors are wanted.
    mask : array of bool, shape (x, y, z)
    most : float
        Volumes of larger b-values are left out.

    Raises
    ------
    DataError
        If these volumes do not determine a tensor: no b0, or fewer than six directions.

    References
    ----------
    .. [1] Salvador et al. 2005, https://doi.org/10.1002/hbm.20076
    """
    used = usable(bvals, bvecs, most)
    b = np.where(bvals[used] > _B0, bvals[used], 0)
    design = np.c_[np.ones(len(b)), -1e-3 * b[:, None] * _squares(bvecs[used])]  # b in ms/µm²
    signal = np.log(np.maximum(np.asarray(data[mask], np.float64)[:, used], 1e-3))
    weights = np.exp(2 * (signal @ np.linalg.pinv(design).T) @ design.T)
    weights /= weights.max(1, keepdims=True)
    pairs = design[:, :, None] * design[:, None]
    normal = (weights @ pairs.reshape(len(b), -1)).reshape(-1, *pairs.shape[1:])
    right = (weights * signal) @ design
    size = np.trace(normal, axis1=1, axis2=2)[:, None, None]
    normal += 1e-12 * size * np.eye(len(design.T))  # where a single volume has any weight
    solved = np.linalg.solve(normal, right[..., None])[:, 1:, 0]
    elements = np.zeros((*mask.shape, 6), np.float32)
    elements[mask] = Tensors((1e-3 * solved).astype(np.float32)).without_negative().elements
    return Tensors(elements)


def usable(bvals: NDArray, bvecs: NDArray, most: float = _MOST) -> NDArray[np.bool_]:
    """Volumes that a tensor is fitted to.

    Raises
    ------
    DataError
        If there is no b0 among them, or their directions do not determine a tensor.
    """
    used = bvals <= most
    weighted = used & (bvals > _B0)
    x, y, z = bvecs[weighted].T
    rank = np.linalg.matrix_rank(np.stack([x * x, y * y, z * z, x * y, x * z, y * z]), tol=1e-2)
    if rank < 6 or not (used & (bvals <= _B0)).any():
        raise DataError(
            "no tensor can be fitted to these volumes",
            expected=f"a volume with b at most {_B0:g}, and six directions that differ with b up "
            f"to {most:g} s/mm²",
            found=f"{np.count_nonzero(bvals <= _B0)} and {rank}",
            mend="give the whole series; where its lowest shell lies higher, give most=",
        )
    return used


def predicted(tensors: Tensors, b0: NDArray, bvals: NDArray, bvecs: NDArray) -> NDArray[np.float32]:
    """The signal that tensors say a series has: S = S0 exp(-b gᵀDg), shape (x, y, z, volume)."""
    design = _squares(np.asarray(bvecs, np.float32)).T
    return b0[..., None] * np.exp(-np.float32(bvals) * (tensors.elements @ design))


def _squares(bvecs: NDArray) -> NDArray:
    """What each element of a tensor counts in gᵀDg, shape (volume, 6)."""
    x, y, z = bvecs.T
    return np.stack([x * x, 2 * x * y, y * y, 2 * x * z, 2 * y * z, z * z], 1)
