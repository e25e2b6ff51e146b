"""How well a mask agrees with another: overlap, surface, and the worst distance, by MONAI."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from nextaim_kit.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Mask = NDArray[np.bool_]


def agreement(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    tolerance: float,
    spacing: Sequence[float] | None = None,
) -> dict[str, float]:
    """Compare one predicted mask with the truth.

    Parameters
    ----------
    truth, predicted : array-like of bool, of one shape
        In two or three dimensions.
    tolerance : float
        By which borders may lie apart and still agree, in pixels, or in the unit of `spacing`.
    spacing : sequence of float, optional
        Edges of a pixel or voxel in the order of the axes, such as mm; by default 1.

    Returns
    -------
    dict
        ``dsc``, as `dice` has it; ``surface_dsc`` at `tolerance`; ``hd95``, the
        95th percentile of the distances between the borders, in the unit of `tolerance`. Of two
        empty masks the first two are 1 and the distance is 0; where one is empty, 0, 0 and the
        length of the diagonal.

    References
    ----------
    Metrics reloaded, Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z; surface DSC,
    Nikolov et al. 2021, doi:10.2196/26151.
    """
    import torch
    from monai.metrics.utils import get_edge_surface_distance

    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    if truth.shape != predicted.shape:
        raise DataError(
            "the masks cannot be compared",
            expected="two masks of one shape",
            found=f"{truth.shape} and {predicted.shape}",
        )
    edges = tuple(map(float, spacing or (1,) * truth.ndim))
    if not truth.any() or not predicted.any():
        same = float(truth.any() == predicted.any())
        diagonal = float(
            np.hypot.reduce([n * edge for n, edge in zip(truth.shape, edges, strict=True)])
        )
        return {"dsc": same, "surface_dsc": same, "hd95": 0.0 if same else diagonal}
    box = _common_box(truth | predicted)
    t, p = (torch.from_numpy(mask[box]) for mask in (truth, predicted))
    # Both measures rest on the same distances, which take all the time.
    with warnings.catch_warnings():  # MONAI hands itself an argument that it has deprecated
        warnings.filterwarnings("ignore", "monai.metrics.utils get_mask_edges", FutureWarning)
        _, both, _ = get_edge_surface_distance(p, t, spacing=edges, symmetric=True)
    one, other = (distances.numpy() for distances in both)
    near = np.count_nonzero(one <= tolerance) + np.count_nonzero(other <= tolerance)
    return {
        "dsc": dice(truth, predicted),
        "surface_dsc": float(near / (len(one) + len(other))),
        "hd95": float(max(np.percentile(one, 95), np.percentile(other, 95))),
    }


def dice(truth: Mask, predicted: Mask) -> float:
    """Dice similarity coefficient of two masks of one shape; 1 if both are empty.

    MONAI's `compute_dice`, counted in place: of a whole CT that would copy both masks as fractions.
    """
    sizes = np.count_nonzero(truth) + np.count_nonzero(predicted)
    return float(2 * np.count_nonzero(truth & predicted) / sizes) if sizes else 1.0


def mean_dice(logits: Tensor, truth: Tensor) -> float:
    """Mean Dice coefficient of items, all foreground of an item together; 1 if neither has any.

    Of logits, shape (n, c, ...), and labels, shape (n, 1, ...), as `learn.losses` takes them.
    """
    from monai.metrics import compute_dice

    several = logits.shape[1] > 1
    called = logits.argmax(1, keepdim=True) > 0 if several else logits > 0
    return float(compute_dice(called, truth > 0, ignore_empty=False).mean())


def _common_box(mask: Mask) -> tuple[slice, ...]:
    """The box that holds a mask, a voxel wider: nothing outside counts, and all is faster."""
    spans = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        spans.append(slice(max(0, int(there[0]) - 1), int(there[-1]) + 2))
    return tuple(spans)


def largest_parts(mask: ArrayLike, n: int) -> NDArray[np.int64]:
    """The largest connected parts of a mask, their holes filled, numbered from the left.

    Parameters
    ----------
    mask : array-like of bool, shape (h, w)
    n : int
        How many to keep at the most.

    Returns
    -------
    array of int, shape (h, w)
        0 outside; 1, 2, ... by the column of their center.
    """
    labels, found = ndimage.label(ndimage.binary_fill_holes(np.asarray(mask, bool)))
    sizes = np.bincount(labels.ravel(), minlength=found + 1)[1:]
    kept = [k + 1 for k in np.argsort(-sizes, kind="stable")[:n]]
    kept.sort(key=lambda k: float(np.nonzero(labels == k)[1].mean()))
    parts = np.zeros(labels.shape, int)
    for number, k in enumerate(kept, 1):
        parts[labels == k] = number
    return parts
