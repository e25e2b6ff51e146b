"""Boxes: how much two overlap, which of many to keep, and when one is called a hit.

A box is (x0, y0, x1, y1) in pixels, half-open: its width is x1 - x0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nextaim_kit.errors import RequestError

Boxes = NDArray[np.float64]
_EPS = 1e-7
_NEAR_MM = 10.0  # of DBTex's rule, which says 100 pixels of about 0.1 mm


def areas(boxes: Tensor) -> Tensor:
    """Areas of boxes, shape (..., 4); 0 where an edge is negative."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def common_area(one: Tensor, other: Tensor) -> Tensor:
    """Area that boxes share, their shapes broadcast."""
    low, high = (
        torch.maximum(one[..., :2], other[..., :2]),
        torch.minimum(one[..., 2:], other[..., 2:]),
    )
    return (high - low).clamp(min=0).prod(-1)


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Shared area over the area of both together, shapes broadcast; 0 of two empty boxes.

    Examples
    --------
    >>> square = torch.tensor([0.0, 0, 2, 2])
    >>> round(iou(square, torch.tensor([1.0, 0, 3, 2])).item(), 3)
    0.333
    """
    shared = common_area(one, other)
    return shared / (areas(one) + areas(other) - shared).clamp(min=_EPS)


def ciou(one: Tensor, other: Tensor) -> Tensor:
    """Complete IoU: less where centers lie apart, and where the shapes differ.

    References
    ----------
    Zheng et al. 2020, arXiv:1911.08287.
    """
    overlap = iou(one, other)
    around = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(
        one[..., :2], other[..., :2]
    )
    apart = (centers(one) - centers(other)).square().sum(-1)
    term = apart / around.square().sum(-1).clamp(min=_EPS)
    angle = _angle(one) - _angle(other)
    shape = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape + _EPS)
    return overlap - term - weight * shape


def _angle(boxes: Tensor) -> Tensor:
    edges = boxes[..., 2:] - boxes[..., :2]
    return torch.atan(edges[..., 0] / edges[..., 1].clamp(min=_EPS))


def centers(boxes: Any) -> Any:
    """Centers (x, y) of boxes, as an array or a tensor."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def suppressed(
    boxes: ArrayLike, scores: ArrayLike, *, above: float = 0.5, most: int = 100
) -> NDArray:
    """Non-maximum suppression without a loop over boxes: which to keep, the best first.

    Of two boxes that overlap by more than `above`, the one with the higher score stays, unless
    it is itself gone. Whether a box stays depends on better ones only; so all are asked again
    and again until nobody changes, as many times as the longest chain of boxes is long.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
    scores : array-like of shape (n,)
        Of equals, the first counts as better.
    above : float
        Intersection over union.
    most : int
        To keep.

    Returns
    -------
    array of int
        Positions.

    References
    ----------
    Cluster-NMS, Zheng et al. 2022, arXiv:2005.03572.

    Examples
    --------
    >>> suppressed([[0, 0, 4, 4], [1, 0, 5, 4], [9, 9, 10, 10]], [0.8, 0.9, 0.3]).tolist()
    [1, 2]
    """
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    sorted_ = torch.from_numpy(np.asarray(boxes, np.float32).reshape(-1, 4)[order])
    rivals = (iou(sorted_[:, None], sorted_[None]) > above).triu(1).numpy()
    keep: Any = ~rivals.any(0)
    before = np.ones(len(order), bool)
    while not np.array_equal(keep, before):
        before, keep = keep, ~rivals[keep].any(0)
    return order[keep][:most]


def _overlap(found: Boxes, truth: Boxes) -> NDArray[np.float64]:
    one, other = (torch.from_numpy(np.asarray(b, float).reshape(-1, 4)) for b in (found, truth))
    return iou(one[:, None], other[None]).numpy()


def _center_inside(found: Boxes, truth: Boxes, _spacing: float) -> NDArray[np.bool_]:
    middle = centers(found)[:, None]
    return ((middle >= truth[:, :2]) & (middle <= truth[:, 2:])).all(-1)


def _dbtex(found: Boxes, truth: Boxes, spacing: float) -> NDArray[np.bool_]:
    away = np.linalg.norm(centers(found)[:, None] - centers(truth), axis=-1)
    half = np.linalg.norm(truth[:, 2:] - truth[:, :2], axis=-1) / 2
    least = 0.0 if math.isnan(spacing) else _NEAR_MM / spacing
    return away < np.maximum(half, least)


Rule = Callable[[Boxes, Boxes, float], NDArray[np.bool_]]
RULES: dict[str, Rule] = {
    "IoU 0.5": lambda found, truth, _: _overlap(found, truth) >= 0.5,
    "IoU 0.25": lambda found, truth, _: _overlap(found, truth) >= 0.25,
    "center": _center_inside,
    "DBTex": _dbtex,
}


def hits(found: ArrayLike, truth: ArrayLike, rule: str, spacing: float = math.nan) -> NDArray:
    """Which found boxes hit which true ones.

    Parameters
    ----------
    found : array-like of shape (n, 4)
    truth : array-like of shape (m, 4)
    rule : str
        ``IoU 0.5`` or ``IoU 0.25``: overlap by at least that much; ``center``: the found center
        lies in the true box; ``DBTex``: the centers lie nearer than half of the true box's
        diagonal or 10 mm, whichever is longer.
    spacing : float
        mm of a pixel. Where it is unknown (NaN), DBTex's rule has its half diagonal alone.

    Returns
    -------
    array of bool, shape (n, m)

    References
    ----------
    DBTex: Konz et al. 2023, doi:10.1001/jamanetworkopen.2023.0524; its 100 pixels, 8.5 to 10 mm
    in its volumes, would be another length in pictures of another size.

    Examples
    --------
    >>> hits([[0, 0, 2, 2]], [[1, 1, 3, 3]], "center").tolist()
    [[True]]
    """
    if rule not in RULES:
        raise RequestError(f"no rule {rule!r} for a hit", expected=", ".join(RULES))
    one, other = (np.asarray(boxes, float).reshape(-1, 4) for boxes in (found, truth))
    return RULES[rule](one, other, spacing)
