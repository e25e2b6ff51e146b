"""One image's place in another one: rigid registration (dipy), and what is carried over by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Matrix = NDArray[np.floating]


def register(
    static: NDArray,
    static_affine: Matrix,
    moving: NDArray,
    moving_affine: Matrix,
    *,
    start: Matrix | None = None,
    kind: str = "rigid",
) -> Matrix:
    """Find where points of a fixed image lie in another one, by mutual information.

    Parameters
    ----------
    static, moving : array of shape (x, y, z)
        What is 0 in `static` counts as outside.
    static_affine, moving_affine : array of shape (4, 4)
        From voxels to mm.
    start : array of shape (4, 4), optional
        By default the centers of mass are laid upon each other first.
    kind : {"rigid", "affine"}

    Returns
    -------
    array of shape (4, 4)
        From mm of `static` to mm of `moving`.
    """
    from dipy.align import imaffine, transforms

    pair = [np.ascontiguousarray(image, np.float64) for image in (static, moving)]
    grids = {"static_grid2world": static_affine, "moving_grid2world": moving_affine}
    if start is None:
        centers = imaffine.transform_centers_of_mass
        start = centers(pair[0], static_affine, pair[1], moving_affine).affine
    steps = [transforms.RigidTransform3D(), transforms.AffineTransform3D()]
    for step in steps[: 1 + (kind == "affine")]:
        search = imaffine.AffineRegistration(
            metric=imaffine.MutualInformationMetric(nbins=32),
            level_iters=[100, 50], sigmas=[2.0, 1.0], factors=[4, 2], verbosity=0,
        )  # fmt: skip
        start = search.optimize(*pair, step, None, starting_affine=start, **grids).affine
    return np.asarray(start, np.float64)


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
