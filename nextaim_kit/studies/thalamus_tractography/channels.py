"""What a network sees: a box around one thalamus in template space, in either set of channels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, SideName, box_affine
from nextaim_kit.studies.thalamus_tractography.space import apply, grid, rotation_of, sample
from nextaim_kit.studies.thalamus_tractography.tensor import ELEMENTS, Tensors

TENSOR = ("FA", *(f"D{name}" for name in ELEMENTS))
PUBLISHED = ("mask", "FA", *(f"λ{i}V{i}{axis}" for i in (1, 2, 3) for axis in "xyz"))
_MIRROR = np.diag([-1.0, 1.0, 1.0])


def _points(side: SideName, to_image: NDArray) -> NDArray[np.float64]:
    """Where the left box's voxels, or their mirror images, lie in another image, in mm."""
    points = grid(BOX_SHAPE, box_affine("left"))
    return apply(to_image, points if side == "left" else points @ _MIRROR)


def boxed(
    image: NDArray, affine: NDArray, to_image: NDArray, side: SideName = "left", *, order: int = 1
) -> NDArray[np.float32]:
    """An image in the box, shape (38, 60, 48): for what has no direction.

    The right side's box is mirrored: a right thalamus in it looks like a left one.

    Parameters
    ----------
    image : array of shape (x, y, z)
    affine : array of shape (4, 4)
        From its voxels to mm.
    to_image : array of shape (4, 4)
        From mm of the template to mm of the image.
    side : {"left", "right"}
    order : int
        0 for masks of several labels.
    """
    return sample(image, affine, _points(side, to_image), order=order)


def boxed_tensors(
    tensors: Tensors, affine: NDArray, to_image: NDArray, side: SideName = "left"
) -> Tensors:
    """Tensors in the box, turned with the head, and for the right side mirrored with it."""
    found = Tensors(sample(tensors.elements, affine, _points(side, to_image)))
    turn = rotation_of(to_image).T
    return found.turned(turn if side == "left" else _MIRROR @ turn)


def channels(
    tensors: Tensors, mask: NDArray, form: Literal["tensor", "published"] = "tensor"
) -> NDArray[np.float32]:
    """Channels first, shape (7 or 11, 38, 60, 48), as `TENSOR` or `PUBLISHED` names them.

    Parameters
    ----------
    tensors : Tensors
        In the box.
    mask : array of shape (38, 60, 48)
        The thalamus in the box.
    form : {"tensor", "published"}
        "published" has the mask, FA and eigenvalue times eigenvector, each from 0 to 1 within the
        box. An eigenvector's sign is arbitrary, and so is that of each voxel in it. "tensor" has
        FA and the tensor's six elements in µm²/ms, which have none.

    Raises
    ------
    DataError
        If the mask is empty or reaches the border of the box.
    """
    require_inside(mask)
    if form == "tensor":
        elements = 1000 * np.moveaxis(tensors.elements, -1, 0)
        return np.concatenate([tensors.fa[None], elements]).astype(np.float32)
    values, vectors = tensors.eigen
    scaled = (values[..., None] * vectors).reshape(*mask.shape, 9)
    parts = np.concatenate([mask[None], tensors.fa[None], np.moveaxis(scaled, -1, 0)])
    low, high = (f(parts, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    return ((parts - low) / np.where(high > low, high - low, 1)).astype(np.float32)


def unboxed(values: NDArray, side: SideName = "left") -> tuple[NDArray, NDArray[np.float64]]:
    """What was found in the box and its affine to mm of the template; a right side turned back."""
    return (values if side == "left" else values[::-1]), box_affine(side)


def require_inside(mask: NDArray) -> None:
    """Refuse a thalamus that the box does not hold whole.

    Raises
    ------
    DataError
    """
    inside = mask > 0.5
    faces = [np.take(inside, end, axis) for axis in range(3) for end in (0, -1)]
    touched = sum(int(face.sum()) for face in faces)
    if not inside.any() or touched > 0:
        raise DataError(
            "the thalamus does not lie in the box",
            expected="a mask inside x -31 to 6, y -41 to 18, z -16 to 31 mm of the template",
            found=f"{touched} voxels on its border" if inside.any() else "no voxel of it",
            mend="see whether the registration to the template failed, or the side is the other",
        )
