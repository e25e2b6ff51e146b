"""Frames of a DICOM SEG, placed onto the grid of their image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nextaim_kit.data.images.dicom import opened
from nextaim_kit.data.images.regions import (
    OFF_GRID,
    affine,
    as_mask,
    choose,
    elsewhere,
    empty,
    grid_of,
    parse,
)


def read_seg(
    path: Path, like: sitk.Image | None, number: int | None = None, roi: str = ""
) -> sitk.Image:
    """Place one segment of a DICOM SEG onto the grid of its image, frame by frame.

    Nothing is interpolated: the voxels of the SEG must be voxels of `like`, in any order of the
    axes. Fractional segments count from one half.

    Returns
    -------
    SimpleITK.Image
        uint8 mask of the geometry of `like`.
    """
    from highdicom.seg import Segmentation

    like = grid_of(like, path)
    seg = parse(path, lambda _: Segmentation.from_dataset(opened(path), copy=False))
    names = {n: seg.get_segment_description(n).segment_label for n in seg.segment_numbers}
    chosen = choose(names, number, roi, path, kind="segment")
    volume = parse(path, lambda _: seg.get_volume(segment_numbers=[chosen]))
    inside = np.argwhere(volume.array[..., 0] >= 0.5)
    if len(inside) == 0:
        raise empty(path)
    to_like = np.linalg.inv(affine(like)) @ volume.get_affine("LPH")
    turn = np.round(to_like[:3, :3]).astype(int)
    if not np.array_equal(np.abs(turn) @ np.abs(turn).T, np.eye(3)):
        raise elsewhere(path, "frames of another voxel size or orientation")
    corners = np.stack(np.meshgrid(*zip(inside.min(0), inside.max(0), strict=True)), -1)
    exact = corners.reshape(-1, 3) @ to_like[:3, :3].T + to_like[:3, 3]
    offset = np.round(exact[0]).astype(int) - turn @ corners.reshape(-1, 3)[0]
    if np.abs(exact - corners.reshape(-1, 3) @ turn.T - offset).max() > OFF_GRID:
        raise elsewhere(path, "frames between the image's voxels")
    if exact.min() < -OFF_GRID or (exact > np.array(like.GetSize()) - 1 + OFF_GRID).any():
        raise elsewhere(path, "frames outside the image")
    x, y, z = (inside @ turn.T + offset).T
    out = np.zeros(like.GetSize()[::-1], bool)
    out[z, y, x] = True
    return as_mask(out, like, path)
