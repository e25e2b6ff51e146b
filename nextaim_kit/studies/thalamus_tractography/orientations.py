"""How likely each direction is in a voxel: from peaks, from tensors, or by deconvolution (dipy)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.diffusion import Prepared
from nextaim_kit.studies.thalamus_tractography.gradient_table import axes_of

_SHARP = 30.0  # how narrow a peak's cone is: half its height at 12 degrees
_FLUID = 1.5e-3  # mm²/s: mean diffusivity beyond which a voxel is mostly fluid
_SINGLE = 300  # voxels of the highest FA, from which the response of a single bundle is taken
_WEIGHTED = 50.0  # s/mm²
_AT_ONCE = 4000  # voxels


@cache
def sphere() -> Any:
    """The 200 directions, evenly spread (dipy)."""
    from dipy.data import get_sphere

    return get_sphere(name="repulsion200")


@dataclass(frozen=True)
class Orientations:
    """How likely each of 200 directions is, in the voxels where streamlines may go.

    Attributes
    ----------
    values : array of shape (voxel inside, 200), float32
        Not below 0, for the directions of `sphere` along the grid's axes.
    inside : array of bool, shape (x, y, z)
    affine : array of shape (4, 4)

    Raises
    ------
    DataError
        If there are values that are not finite: dipy's tracking would kill this process.
    """

    values: NDArray[np.float32]
    inside: NDArray[np.bool_]
    affine: NDArray[np.floating]

    def __post_init__(self) -> None:
        require_finite(self.values, "fiber directions")

    def boxed(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
        """In the smallest box around `inside`, as dipy wants them: values, inside and affine."""
        faces = [np.flatnonzero(self.inside.any(axis)) for axis in ((1, 2), (0, 2), (0, 1))]
        box = tuple(slice(face[0], face[-1] + 1) for face in faces)
        inside, affine = self.inside[box], np.array(self.affine, float)
        affine[:3, 3] += affine[:3, :3] @ [face[0] for face in faces]
        found = np.zeros((*inside.shape, self.values.shape[1]))
        found[inside] = self.values
        return found, inside, affine

    def at(self, voxels: NDArray[np.intp]) -> NDArray[np.float32]:
        """Of some voxels, shape (voxel, 200); 0 outside."""
        number = np.cumsum(self.inside).reshape(self.inside.shape)[tuple(voxels.T)] - 1
        inside = self.inside[tuple(voxels.T)]
        return np.where(inside[:, None], self.values[number.clip(0)], np.float32(0))


def require_finite(values: NDArray, what: str) -> None:
    """Refuse NaN and infinity, which kill the process if dipy's tracking gets them.

    Raises
    ------
    DataError
    """
    if not np.isfinite(values).all():
        raise DataError(
            f"the {what} have values that are not finite",
            expected="0 where there is no direction",
            found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size}",
            mend="read peaks by series.read_peaks, or take numpy.nan_to_num of them",
        )


def of_peaks(peaks: NDArray, inside: NDArray, affine: NDArray) -> Orientations:
    """From up to three peaks a voxel: a cone around each, as high as the peak is long.

    Parameters
    ----------
    peaks : array of shape (x, y, z, peak, 3)
        In world axes (right, front, head).
    inside : array of bool, shape (x, y, z)
    affine : array of shape (4, 4)

    Raises
    ------
    DataError
        If there are values that are not finite.
    """
    require_finite(peaks[inside], "peaks")
    vertices = sphere().vertices.astype(np.float32)
    flat = (peaks[inside] @ axes_of(affine)).astype(np.float32)
    found = np.zeros((len(flat), len(vertices)), np.float32)
    lengths = np.linalg.norm(flat, axis=-1)
    for k in range(flat.shape[1]):
        some = lengths[:, k] > 0
        cone = (flat[some, k] / lengths[some, k, None]) @ vertices.T
        np.exp(_SHARP * (cone * cone - 1), out=cone)
        found[some] += lengths[some, k, None] * cone
    return Orientations(found, inside, affine)


def of_tensors(made: Prepared) -> Orientations:
    """From the tensor: one cone along its first direction, as high as FA. It knows no crossing."""
    peaks = made.tensors.direction * made.tensors.fa[..., None]
    return of_peaks(peaks[..., None, :], solid(made), made.series.affine)


def of_deconvolution(made: Prepared) -> Orientations:
    """By constrained spherical deconvolution [1]_ (dipy), which tells bundles that cross.

    The response of a single bundle is taken from the voxels of the highest FA.

    Parameters
    ----------
    made : Prepared
        Of several shells, the one with most volumes is used.

    References
    ----------
    .. [1] Tournier, Calamante & Connelly 2007, https://doi.org/10.1016/j.neuroimage.2007.02.016
    """
    from dipy.core.gradients import gradient_table
    from dipy.reconst.csdeconv import ConstrainedSphericalDeconvModel, response_from_mask_ssst
    from dipy.reconst.shm import sh_to_sf_matrix

    inside, bvals = solid(made), made.series.bvals
    used = one_shell(bvals)
    vectors = (made.directions @ axes_of(made.series.affine))[used]
    table = gradient_table(np.where(bvals < _WEIGHTED, 0, bvals)[used], bvecs=vectors)
    data = np.maximum(made.data[..., used], 1e-3)
    fa = np.where(inside, made.tensors.fa, 0)
    single = inside & (fa >= np.sort(fa[inside])[-_SINGLE:][0])
    response, _ = response_from_mask_ssst(table, data, single)
    weighted = bvals[used] >= _WEIGHTED
    most = int(np.count_nonzero(weighted))
    order = max(n for n in (2, 4, 6, 8) if (n + 1) * (n + 2) // 2 <= max(most, 6))
    model = ConstrainedSphericalDeconvModel(table, response, sh_order_max=order)
    harmonics = deconvolved(model, data[inside][:, weighted])
    values = harmonics @ sh_to_sf_matrix(sphere(), sh_order_max=order, return_inv=False)
    return Orientations(np.maximum(values, 0).astype(np.float32), inside,
                        made.series.affine)  # fmt: skip


def deconvolved(model: Any, signal: NDArray) -> NDArray[np.float64]:
    """The same as dipy's ``model.fit``, for many voxels at once instead of one after another.

    Directions whose value is small are pressed to 0, in turns, until they are always the same.

    Parameters
    ----------
    model : dipy.reconst.csdeconv.ConstrainedSphericalDeconvModel
    signal : array of shape (voxel, direction)
        Of the weighted volumes.

    Returns
    -------
    array of shape (voxel, harmonic)
    """
    mixing, sampled = model.R.diagonal() * model.B_dwi, model.B_reg
    plain, pairs = mixing.T @ mixing, sampled[:, :, None] * sampled[:, None]
    right, size = signal @ mixing, len(plain)
    found = np.linalg.solve(plain + 1e-14 * np.trace(plain) * np.eye(size), right.T).T
    least = (model.tau * sampled[0, 0] * found[:, 0])[:, None]
    small = found[:, :15] @ sampled[:, :15].T < least
    none = ~small.any(1)
    small[none] = found[none] @ sampled.T < least[none]
    left = np.flatnonzero(small.any(1))
    for _ in range(model.convergence):
        for some in np.array_split(left, 1 + len(left) // _AT_ONCE):
            pressed = small[some].astype(float) @ pairs.reshape(len(sampled), -1)
            whole = plain + pressed.reshape(-1, size, size)
            found[some] = np.linalg.solve(whole, right[some, :, None])[..., 0]
        before = small[left]
        small[left] = found[left] @ sampled.T < least[left]
        left = left[(small[left] != before).any(1)]
        if not len(left):
            break
    return found


def solid(made: Prepared) -> NDArray[np.bool_]:
    """The brain without its fluid: where streamlines may go."""
    return made.mask & (made.tensors.md < _FLUID) & made.tensors.elements.any(-1)


def one_shell(bvals: NDArray) -> NDArray[np.bool_]:
    """Volumes without weighting and those of the shell that has most, shape (volume,)."""
    shells = np.rint(bvals / 100)
    numbers, counts = np.unique(shells[bvals >= _WEIGHTED], return_counts=True)
    return (bvals < _WEIGHTED) | (shells == numbers[counts.argmax()])
