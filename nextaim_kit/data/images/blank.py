"""Images whose voxels are written in their place, not copied there: half the memory for a while."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import DTypeLike, NDArray


def blank_image(shape: Sequence[int], kind: DTypeLike) -> tuple[sitk.Image, NDArray]:
    """An image of zeros, and its voxels as an array to be filled.

    Parameters
    ----------
    shape : sequence of int
        Last axis of the image first: (z, y, x).
    kind : dtype
        Of the voxels.

    Returns
    -------
    image : SimpleITK.Image
    voxels : array of shape `shape`
        To be written to before anything else is done with the image; it keeps that alive.

    Raises
    ------
    TypeError
        If ITK has no voxels of this kind.
    """
    pixel = sitk.GetImageFromArray(np.empty([1] * len(shape), kind)).GetPixelID()
    image = sitk.Image([int(size) for size in reversed(shape)], pixel)
    # SimpleITK shows an image's memory for reading only, since copies of it may share that.
    view = sitk.GetArrayViewFromImage(image)
    memory: Any = (ctypes.c_char * view.nbytes).from_address(view.ctypes.data)
    memory.image = image
    return image, np.frombuffer(memory, view.dtype).reshape(view.shape)
