"""A face cut off by one plane under the brain, and looked at afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.data.privacy.heads import EDGE, Head, find_head

if TYPE_CHECKING:
    import SimpleITK as sitk

Array = NDArray[np.floating]
_MARGIN = 6.0  # mm between the brain as found and the plane
_FRONT = 80  # percentile of the brain's voxels, before which eyes, nose and mouth lie
_ANGLES = range(25, 66, 5)  # degrees that the plane's normal points below the front


@dataclass(frozen=True)
class Cut:
    """What is on the far side of a plane goes.

    Parameters
    ----------
    normal : array of shape (3,)
        Towards the face, in the patient's system (LPS).
    offset : float
        mm along it.
    """

    normal: Array
    offset: float

    def beyond(self, matrix: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which voxels lie beyond the plane.

        Parameters
        ----------
        matrix : array of shape (3, n + 1)
            From indices of `shape`, in its order, to mm (LPS).
        shape : tuple of n int
        """
        along = self.normal @ matrix
        place = np.float64(along[-1] - self.offset)
        for axis, count in enumerate(shape):
            steps = along[axis] * np.arange(count)
            place = np.add.outer(place, steps) if axis else place + steps
        return np.asarray(place > 0)

    def apply(self, values: NDArray, matrix: Array) -> bool:
        """Set what lies beyond to the lowest of the values, in place; gives if any changed.

        Parameters
        ----------
        values : array of shape (..., *shape)
        matrix : array of shape (3, n + 1)
            As of `beyond`, for the last n axes.
        """
        gone = self.beyond(matrix, values.shape[values.ndim + 1 - matrix.shape[1] :])
        lowest = np.nanmin(values)
        changed = bool((values[..., gone] != lowest).any())
        values[..., gone] = lowest
        return changed


def plane_of(image: sitk.Image, *, ct: bool) -> Cut:
    """Where to cut a face off: `plane_under` the head that `find_head` finds.

    Raises
    ------
    NoBrain
        If no brain is found.
    """
    return plane_under(find_head(image, ct=ct))


def plane_under(head: Head) -> Cut:
    """The plane of a shear [1]_ that touches the brain from below.

    Of planes that face the front and the feet, the one that takes most of the head away, and none
    of the brain as it was found and `_MARGIN` mm around it. Ears and the back of the head remain.

    References
    ----------
    .. [1] Schimke and Hale 2011, Quickshear defacing for neuroimages, USENIX HealthSec
    """
    normals = [_normal(head, angle) for angle in _ANGLES]
    inside = head.points(head.brain)
    offsets = [float((inside @ normal).max()) + EDGE + _MARGIN for normal in normals]
    front = head.points(head.body)
    front = front[front @ head.front > np.percentile(inside @ head.front, _FRONT)]
    gone = [(front @ n > offset).sum() for n, offset in zip(normals, offsets, strict=True)]
    best = int(np.argmax(gone))
    return Cut(normals[best], offsets[best])


def _normal(head: Head, angle: float) -> Array:
    radians = np.deg2rad(angle)
    return np.cos(radians) * head.front + np.sin(radians) * head.down
