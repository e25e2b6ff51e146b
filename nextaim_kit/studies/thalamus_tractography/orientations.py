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
    affine: NDArray[np.float64]

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

    inside, bvals = solid(made), made.series.bvals
    used = one_shell(bvals)
    vectors = (made.directions @ axes_of(made.series.affine))[used]
    table = gradient_table(np.where(bvals < _WEIGHTED, 0, bvals)[used], bvecs=vectors)
    data = np.maximum(made.data[..., used], 1e-3)
    fa = np.where(inside, made.tensors.fa, 0)
    single = inside & (fa >= np.sort(fa[inside])[-_SINGLE:][0])
    response, _ = response_from_mask_ssst(table, data, single)
    order = 8 if np.count_nonzero(bvals[used] >= _WEIGHTED) >= 45 else 6
    model = ConstrainedSphericalDeconvModel(table, response, sh_order_max=order)
    values = model.fit(data[inside]).odf(sphere())
    return Orientations(np.maximum(np.nan_to_num(values), 0).astype(np.float32), inside,
                        made.series.affine)  # fmt: skip


def solid(made: Prepared) -> NDArray[np.bool_]:
    """The brain without its fluid: where streamlines may go."""
    return made.mask & (made.tensors.md < _FLUID) & made.tensors.elements.any(-1)


def one_shell(bvals: NDArray) -> NDArray[np.bool_]:
    """Volumes without weighting and those of the shell that has most, shape (volume,)."""
    shells = np.rint(bvals / 100)
    numbers, counts = np.unique(shells[bvals >= _WEIGHTED], return_counts=True)
    return (bvals < _WEIGHTED) | (shells == numbers[counts.argmax()])
