"""One image's place in another one: registration (SimpleITK), and what is carried over by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, map_coordinates

from nextaim_kit.errors import DataError
from nextaim_kit.machine.seeds import one_thread

Matrix = NDArray[np.floating]
Found = tuple[Matrix, float]
_LPS = np.diag([-1.0, -1.0, 1.0])
_COARSE, _FINE, _LAST = 8.0, 4.0, 2.5  # mm between points on which the images are compared
_RIM = 30.0  # mm
_POINTS, _TRIES, _SEED = 1.0, 20, 1  # share of these points, and steps of a search


def register(
    static: NDArray,
    static_affine: Matrix,
    moving: NDArray,
    moving_affine: Matrix,
    *,
    mask: NDArray | None = None,
    starts: Sequence[Matrix] = (),
    kind: Literal["rigid", "affine"] = "rigid",
) -> Matrix:
    """Find where points of a fixed image lie in another one, by mutual information [1]_.

    Parameters
    ----------
    static, moving : array of shape (x, y, z)
    static_affine, moving_affine : array of shape (4, 4)
        From voxels to mm.
    mask : array of bool, shape (x, y, z), optional
        Only these voxels of `static` are compared.
    starts : sequence of arrays of shape (4, 4)
        Where to look first: the one that becomes most alike on a coarse grid is gone on from. By
        default two: both images' mm taken for the same, and their centers of mass laid upon each
        other.
    kind : {"rigid", "affine"}

    Returns
    -------
    array of shape (4, 4)
        From mm of `static` to mm of `moving`.

    Raises
    ------
    DataError
        If the mask is empty, or no search stays within the image.

    References
    ----------
    .. [1] Mattes et al. 2003, https://doi.org/10.1109/TMI.2003.809072
    """
    if mask is not None and not mask.any():
        raise DataError("there is nothing to register", expected="a brain", found="an empty mask")
    fixed, other = _image(static, static_affine), _image(moving, moving_affine)
    # SimpleITK leaves out what lies beyond an image; a search must not gain by going there.
    rim = [int(np.ceil(_RIM / edge)) for edge in other.GetSpacing()]
    other = sitk.ConstantPad(other, rim, rim, float(np.min(moving)))
    inside = _image(np.ones(static.shape) if mask is None else mask, static_affine, sitk.sitkUInt8)
    middle = (np.array(static.shape) - 1) / 2 if mask is None else np.argwhere(mask).mean(0)
    middle = static_affine[:3, :3] @ middle + static_affine[:3, 3]
    if not starts:
        masses = np.eye(4)
        masses[:3, 3] = _mass(moving, moving_affine) - middle
        starts = (np.eye(4), masses)

    @one_thread()  # sums in another order would lead the search elsewhere, in the fifth digit
    def searched(start: Matrix, transform: sitk.Transform, levels: list[float]) -> Found:
        search = sitk.ImageRegistrationMethod()
        search.SetMetricAsMattesMutualInformation(32)
        search.SetMetricFixedMask(inside)
        search.SetMetricSamplingStrategy(search.REGULAR)
        search.SetMetricSamplingPercentagePerLevel([_POINTS] * len(levels), _SEED)
        search.SetShrinkFactorsPerLevel(
            [max(1, round(mm / fixed.GetSpacing()[0])) for mm in levels]
        )
        search.SetSmoothingSigmasPerLevel([mm / 2 for mm in levels])
        search.SetOptimizerAsConjugateGradientLineSearch(1.0, _TRIES, 1e-5, 5, 0, 4, 0.05, 8)
        search.SetOptimizerScalesFromPhysicalShift()
        search.SetInterpolator(sitk.sitkLinear)
        search.SetMovingInitialTransform(_transform(start))
        search.SetInitialTransform(transform, inPlace=True)
        try:
            search.Execute(fixed, other)
        except RuntimeError:  # it ran off the other image: nothing was found from this start
            return start, np.inf
        return start @ _matrix(transform), float(search.GetMetricValue())

    def free(kind: sitk.Transform) -> sitk.Transform:
        kind.SetFixedParameters([*(_LPS @ middle), *kind.GetFixedParameters()[3:]])
        return kind

    coarse = [searched(start, free(sitk.Euler3DTransform()), [_COARSE]) for start in starts]
    found, cost = min(coarse, key=lambda one: one[1])
    if cost == np.inf:
        raise DataError(
            "the images cannot be registered",
            expected="two images of the same part of one head",
            found="searches that ran off the image",
            mend="see whether both show the same part, and their headers say where they lie",
        )
    found = searched(
        found, free(sitk.Euler3DTransform()), [_COARSE, _FINE, _LAST][: 3 - (kind == "affine")]
    )[0]
    if kind == "rigid":
        return found
    return searched(found, free(sitk.AffineTransform(3)), [_FINE])[0]


def _image(values: NDArray, affine: Matrix, kind: int = sitk.sitkFloat32) -> sitk.Image:
    image = sitk.Cast(sitk.GetImageFromArray(np.asarray(values, np.float32).T), kind)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(edges.tolist())
    image.SetDirection((_LPS @ affine[:3, :3] / edges).ravel().tolist())
    image.SetOrigin((_LPS @ affine[:3, 3]).tolist())
    return image


def _mass(values: NDArray, affine: Matrix) -> NDArray[np.float64]:
    """Center of mass in mm."""
    heights = np.asarray(values, np.float64) - float(values.min())
    place = np.array(center_of_mass(heights))
    return affine[:3, :3] @ place + affine[:3, 3]


def _transform(matrix: Matrix) -> sitk.Transform:
    found = sitk.AffineTransform(3)
    found.SetMatrix((_LPS @ matrix[:3, :3] @ _LPS).ravel().tolist())
    found.SetTranslation((_LPS @ matrix[:3, 3]).tolist())
    return found


def _matrix(transform: sitk.Transform) -> Matrix:
    """What SimpleITK has found, from mm (RAS) to mm."""
    corners = np.vstack([np.zeros(3), np.eye(3)])
    zero, *ends = [np.array(transform.TransformPoint(one.tolist())) for one in corners]
    matrix = np.eye(4)
    matrix[:3, :3] = _LPS @ (np.stack(ends, 1) - zero[:, None]) @ _LPS
    matrix[:3, 3] = _LPS @ zero
    return matrix


def rotation_of(matrix: Matrix) -> Matrix:
    """The rotation (3, 3) in a linear map: what is left when it neither stretches nor shears."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return left @ right


def sample(
    image: NDArray, image_affine: Matrix, points: NDArray, *, order: int = 1
) -> NDArray[np.float32]:
    """Values of an image, or of each of its channels, at points.

    Parameters
    ----------
    image : array of shape (x, y, z) or (x, y, z, channel)
    image_affine : array of shape (4, 4)
        From its voxels to mm.
    points : array of shape (..., 3)
        In mm. What lies outside of the image has the value 0.
    order : {0, 1, 3}
        0: the nearest voxel's; 1: linear; 3: cubic.
    """
    inverse = np.linalg.inv(image_affine)
    places = np.moveaxis(points @ inverse[:3, :3].T + inverse[:3, 3], -1, 0)
    channels = image[..., None] if image.ndim == 3 else image
    found = [map_coordinates(np.asarray(one, np.float32), places, order=order, mode="constant")
             for one in np.moveaxis(channels, -1, 0)]  # fmt: skip
    return found[0] if image.ndim == 3 else np.stack(found, -1)


def grid(shape: tuple[int, ...], affine: Matrix) -> NDArray[np.float64]:
    """Where the centers of an image's voxels lie, in mm: shape (x, y, z, 3)."""
    places = np.moveaxis(np.indices(shape[:3]), 0, -1)
    return places @ affine[:3, :3].T + affine[:3, 3]


def apply(matrix: Matrix, points: NDArray) -> NDArray[np.float64]:
    """Points in mm, moved by a (4, 4) matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]
