"""Which parts of what networks call lung or lesion are taken, and which are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nextaim_kit.errors import DataError
from nextaim_kit.studies.ct_lungquant.networks.preparing import Box
from nextaim_kit.studies.ct_lungquant.threshold import GAS_HU, GAS_SHARE

LIKELY = 0.2  # probability of lung from which U-net2 looks for lesions
_LEAST_ML = 50.0  # of lungs
_LEAST_LESION_ML = 1.0  # [guess]
_NEXT_TO = 2  # voxels


def grown(found: NDArray[np.float32], box: Box, shape: Sequence[int]) -> Box:
    """A box that is larger where lungs touch its end, and the volume goes on."""
    lung = found.sum(0) >= 0.5
    spans = []
    for axis, (span, n) in enumerate(zip(box, shape, strict=True)):
        touched = np.moveaxis(lung, axis, 0)
        step = max(4, (span.stop - span.start) // 8)
        first = max(0, span.start - step) if touched[0].any() else span.start
        last = min(n, span.stop + step) if touched[-1].any() else span.stop
        spans.append(slice(first, last))
    return spans[0], spans[1], spans[2]


def main_parts(
    mask: NDArray[np.bool_], hu: NDArray[np.int16], spacing: Sequence[float]
) -> NDArray[np.bool_]:
    """Connected parts as large as a good part of a lung, without the gas around or in a body."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    gas = np.bincount(labels[hu < GAS_HU], minlength=count + 1)
    sizes[(gas > GAS_SHARE * sizes) | (np.arange(count + 1) == 0)] = 0
    return (sizes >= max(_LEAST_ML / _voxel_ml(spacing), 0.1 * sizes.max()))[labels]


def around(lungs: NDArray) -> NDArray:
    """Lungs, as a mask or labels, and two voxels around, where HU decide what is less likely."""
    near = ndimage.grey_dilation(lungs.astype(np.uint8), size=2 * _NEXT_TO + 1)
    return np.where(lungs, lungs, near)


def at_half(probability: NDArray[np.float32], cut: float) -> NDArray[np.float32]:
    """Probabilities whose odds are changed so that what was `cut` is 0.5."""
    yes, no = (1 - cut) * probability, cut * (1 - probability)
    return (yes / (yes + no)).astype(np.float32)


def involvement(lungs: NDArray[np.bool_], lesions: NDArray[np.bool_]) -> float:
    """Share of the lungs that is affected, in %."""
    return float(100 * (lungs & lesions).sum() / max(1, lungs.sum()))


def large_enough(lesions: NDArray[np.float32], spacing: Sequence[float]) -> NDArray[np.float32]:
    """Probabilities without what would be called a lesion in less than 1 ml that hangs together."""
    labels, count = ndimage.label(lesions >= 0.5)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    small = sizes < _LEAST_LESION_ML / _voxel_ml(spacing)
    small[0] = False
    return np.where(small[labels], 0, lesions).astype(np.float32)


def with_lesions(
    right: NDArray[np.float32], left: NDArray[np.float32], lesions: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lungs with what is affected where U-net1 doubts: consolidation that it takes for the wall."""
    share = np.where((right + left >= LIKELY) & (lesions >= 0.5), lesions, 0)
    is_left = left > right
    return np.maximum(right, share * ~is_left), np.maximum(left, share * is_left)


def _voxel_ml(spacing: Sequence[float]) -> float:
    return float(np.prod(spacing)) / 1000


def refuse_nothing(lung: NDArray[np.bool_], spacing: Sequence[float]) -> None:
    found = float(lung.sum()) * _voxel_ml(spacing)
    if found < _LEAST_ML:
        raise DataError(
            "the network finds no lung",
            expected=f"{_LEAST_ML:.0f} ml or more",
            found=f"{found:.0f} ml",
            mend="check that it is a chest CT, and that the network was trained long enough",
        )
