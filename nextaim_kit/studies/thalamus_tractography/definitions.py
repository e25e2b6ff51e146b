"""What the study calls things: targets, bundles, and the box that the networks see."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SideName = Literal["left", "right"]
TARGETS = ("frontal", "occipital", "parietal", "postcentral", "precentral", "temporal")
BUNDLES = (*TARGETS, "corticospinal", "callosum", "longitudinal", "dentato_rubro_thalamic")
TISSUES = ("outside", "fluid", "gray", "white", "thalamus")  # by their labels
RIGHT = 10  # is added to the label of a target for the right hemisphere's
# The commissures in MNI space, in mm [Horn et al. 2017, doi.org/10.1016/j.neuroimage.2017.02.004].
AC, PC = (0.25, 1.3, -5.0), (-0.19, -24.76, -2.38)
BOX_SHAPE = (38, 60, 48)
_BOX_ORIGIN = (-31.0, -41.0, -16.0)


def box_affine(side: SideName = "left") -> NDArray[np.float64]:
    """From the voxels of the thalamus' box to mm of MNI space: 1 mm, to the right, front and head.

    The left one is DeLTA-BIT's (voxels 84 to 121, 85 to 144 and 56 to 103 of FSL's template of
    1 mm, whose first axis goes to the left) [1]_; the right one is its mirror image.

    Returns
    -------
    array of shape (4, 4)

    References
    ----------
    .. [1] arXiv 2312.15462
    """
    affine = np.eye(4)
    affine[:3, 3] = _BOX_ORIGIN
    if side == "right":
        affine[0, 3] = -(_BOX_ORIGIN[0] + BOX_SHAPE[0] - 1)
    return affine
