"""Volumes as NIfTI files: the same bytes each time, with the axes that are asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, ornt_transform
from numpy.typing import NDArray

from nextaim_kit.errors import RequestError
from nextaim_kit.files import atomic_path
from nextaim_kit.twins.chest_ct.grid import Grid


def check_axes(axes: str) -> None:
    """Refuse what is not one of L and R, one of P and A and one of S and I, in any order.

    Raises
    ------
    RequestError
    """
    if len(axes) != 3 or any(len(set(pair) & set(axes)) != 1 for pair in ("LR", "PA", "SI")):
        raise RequestError(
            "no image has such axes",
            expected="where the axes point to in three letters, such as LPS, RAS or SPL",
            found=repr(axes),
        )


def save_volume(volume: NDArray, path: Path, *, grid: Grid, axes: str) -> None:
    """Write a volume of shape (z, y, x), whole or not at all.

    The affine leads to mm to the patient's right, front and head, as NIfTI has it (RAS):
    x of the grid points to the patient's left and y to the back, so both change their sign.

    Parameters
    ----------
    volume : array
    path : Path
    grid : Grid
    axes : str
        Where the axes of the stored array point to; LPS leaves them as they are.
    """
    affine = np.diag([-grid.edges[0], -grid.edges[1], grid.edges[2], 1.0])
    affine[:3, 3] = np.array(grid.origin) * (-1, -1, 1)
    turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(axes))
    image = nibabel.Nifti1Image(volume.T, affine).as_reoriented(turn)
    image.header.set_xyzt_units("mm")
    # The fastest level: noise hardly shrinks. Without the time, so that bytes repeat.
    content = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content)
