"""Where a network looks, and whether the map that says so is to be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError

Maps = NDArray[np.float32]


def grad_cam(net: nn.Module, films: Tensor, *, layer: str, **beside: Tensor) -> Maps:
    """Grad-CAM of a network's single logit: what speaks for the outcome, by MONAI.

    Parameters
    ----------
    net : torch.nn.Module
        From films, shape (n, c, h, w), and what is `beside` them, to logits of shape (n, 1).
    films : Tensor of shape (n, c, h, w)
    layer : str
        Name of the module whose activations are weighted; most often the last convolutional one.
    **beside : Tensor of shape (n, ...)
        Further inputs of `net` by the names of its arguments.

    Returns
    -------
    array of shape (n, h, w), float32
        At least 0; each map sums to 1, or is 0 all over where nothing speaks for the outcome.

    References
    ----------
    Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74.
    """
    from monai.visualize import GradCAM

    if layer not in dict(net.named_modules()):
        raise DataError(
            f"the network has no layer {layer!r}",
            found=", ".join(name for name, _ in net.named_children()),
        )
    explain: Any = GradCAM(net.eval(), layer, postprocessing=lambda x: x)
    parts = []
    for k in range(0, len(films), 32):
        rows = {name: value[k : k + 32] for name, value in beside.items()}
        with torch.enable_grad():
            found = explain(films[k : k + 32].requires_grad_(), class_idx=0, **rows)
        parts.append(found[:, 0].detach().cpu().numpy())
    for module in net.modules():  # MONAI leaves its hooks behind
        module._forward_hooks.clear()
        module._backward_hooks.clear()
    maps = np.maximum(np.concatenate(parts), 0)
    total = maps.sum((1, 2), keepdims=True)
    return np.divide(maps, total, out=np.zeros_like(maps), where=total > 0)


def energy_inside(maps: ArrayLike, region: ArrayLike) -> NDArray[np.float64]:
    """Share of each map that lies inside a region; NaN for a map that is 0 all over.

    Parameters
    ----------
    maps : array-like of shape (n, h, w)
        At least 0.
    region : array-like of bool, shape (n, h, w)

    References
    ----------
    Energy-based pointing game, Wang et al. 2020, arXiv:1910.01279.
    """
    maps, region = _like(maps, region)
    total = maps.sum((1, 2))
    inside = (maps * region).sum((1, 2))
    return np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)


def pointing_hits(maps: ArrayLike, region: ArrayLike) -> NDArray[np.float64]:
    """Whether each map's largest value lies in the region (1) or not (0); NaN for an empty map.

    Where several pixels share the largest value, the share of them that does.

    References
    ----------
    Zhang et al. 2018, doi:10.1007/s11263-017-1059-x.
    """
    maps, region = _like(maps, region)
    top = maps.max((1, 2), keepdims=True)
    most = (maps == top) & (top > 0)
    return _ratio((most & region).sum((1, 2)), most.sum((1, 2)))


def precision_inside(maps: ArrayLike, region: ArrayLike) -> NDArray[np.float64]:
    """Share of each map's k largest values that lie in its region of k pixels.

    NaN for a map that is 0 all over, or no region; of equal values those that come first count.

    Parameters
    ----------
    maps : array-like of shape (n, h, w)
        At least 0.
    region : array-like of bool, shape (n, h, w)

    Examples
    --------
    >>> precision_inside([[[0.1, 0.9, 0.8]]], [[[True, True, False]]]).tolist()
    [0.5]
    """
    maps, region = _like(maps, region)
    flat, inside = maps.reshape(len(maps), -1), region.reshape(len(maps), -1)
    k = inside.sum(1)
    order = np.argsort(-flat, axis=1, kind="stable")
    hits = np.take_along_axis(inside, order, 1) & (np.arange(flat.shape[1]) < k[:, None])
    return _ratio(hits.sum(1), np.where(flat.any(1), k, 0))


def by_chance(region: ArrayLike, within: ArrayLike) -> NDArray[np.float64]:
    """What energy and pointing would be for maps without any knowledge: the region's share.

    Parameters
    ----------
    region, within : array-like of bool, shape (n, h, w)
        The region, and where a map can lie at all, such as the lungs of a masked film.
    """
    region, within = np.asarray(region, bool), np.asarray(within, bool)
    return _ratio((region & within).sum((1, 2)), within.sum((1, 2)))


def faithfulness(
    predict: Callable[[Tensor], NDArray],
    films: Tensor,
    maps: ArrayLike,
    *,
    kind: str = "deletion",
    steps: int = 20,
    fill: float | Tensor = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take away pixels, the most salient first, or bring them in, and watch the prediction.

    Parameters
    ----------
    predict : callable
        From films, shape (n, c, h, w), to a score for each.
    films : Tensor of shape (n, c, h, w)
    maps : array-like of shape (n, h, w)
    kind : {"deletion", "insertion"}
        From the whole film to nothing, or from nothing to the whole film.
    steps : int
        Of equally many pixels each.
    fill : float, or Tensor of shape (n, c, h, w)
        What "nothing" is: a gray level, or each film without what it says, such as blurred. The
        outline of pixels that are set to one level may itself be an image to the network.

    Returns
    -------
    curves : array of shape (n, steps + 1)
        Scores after 0, 1, ... `steps` steps.
    areas : array of shape (n,)
        Areas under them, on a scale of 0 to 1 of pixels. A faithful map has a small one in
        deletion and a large one in insertion, compared with a random order.

    References
    ----------
    RISE, Petsiuk et al. 2018, arXiv:1806.07421.
    """
    maps = np.asarray(maps, float)
    if kind not in ("deletion", "insertion") or maps.shape != (len(films), *films.shape[2:]):
        raise DataError(
            f"no {kind} of {maps.shape} maps and {tuple(films.shape)} films",
            expected="deletion or insertion, and a map of each film's size",
        )
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    rank = torch.from_numpy(np.argsort(order, axis=1).reshape(maps.shape))[:, None]
    curves = []
    for step in range(steps + 1):
        first = rank < step / steps * maps[0].size
        shown = first if kind == "insertion" else ~first
        curves.append(np.asarray(predict(torch.where(shown, films, fill)), float))
    values = np.stack(curves, 1)
    return values, np.trapezoid(values, dx=1 / steps, axis=1)


def _like(maps: ArrayLike, region: ArrayLike) -> tuple[NDArray, NDArray]:
    found, where = np.asarray(maps, float), np.asarray(region, bool)
    if found.shape != where.shape or found.ndim != 3 or found.min(initial=0) < 0:
        raise DataError(
            "maps and regions do not match",
            expected="both of shape (n, h, w), the maps at least 0",
            found=f"{found.shape} and {where.shape}",
        )
    return found, where


def _ratio(part: ArrayLike, whole: Sequence[float] | NDArray) -> NDArray[np.float64]:
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
