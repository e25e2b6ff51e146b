"""Methods that say where a network looks; each states what it is for, and has a library."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.saliency import grad_cam
from nextaim_kit.studies.challenges.explainability.explained import Explained

Name = Literal[
    "gradient", "integrated_gradients", "grad_cam", "occlusion", "deep_shap",
    "random", "center", "edges", "size",
]  # fmt: skip
Maps = NDArray[np.float32]
_STEPS = 20  # between nothing and an item, of integrated gradients
OF_TRUTH = ("pointing", "energy", "precision", "outside truth")  # measures that need it
_COARSEST = 4  # pixels an edge that a layer's maps must have to say where


@dataclass(frozen=True)
class Way:
    """A way to draw a map.

    Attributes
    ----------
    modalities : tuple of {"image", "table"}
        What it is for.
    what : str
    draw : callable
        Of `Explained`, the maps, shape (n, h, w), at least 0.
    asks : bool
        Whether it asks the network at all; what does not explains none.
    """

    modalities: tuple[str, ...]
    what: str
    draw: Callable[[Explained], Maps]
    asks: bool = True


def draw(explained: Explained, name: Name) -> Maps:
    """Maps of what speaks for the outcome, shape (n, h, w); each sums to 1, or is 0 all over.

    Raises
    ------
    DataError
        If a value is not finite.
    """
    found = np.asarray(WAYS[name].draw(explained), np.float32)
    if not np.isfinite(found).all():
        raise DataError(f"the maps of {name} are not finite", expected="numbers")
    found = np.maximum(found, 0)
    total = found.sum((1, 2), keepdims=True)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)


def usable(
    names: Sequence[Name], modality: str, *, known: bool = True
) -> tuple[list[Name], pd.DataFrame]:
    """Methods for what the data are, and ``what``, ``why`` of all that is left out.

    Parameters
    ----------
    names : sequence of str
    modality : {"table", "image"}
    known : bool
        Whether it is known what decides; if not, measures that need it are left out, by name.

    Raises
    ------
    RequestError
        If there is no such method, or none that asks a network is left.
    """
    unknown = [name for name in names if name not in WAYS]
    if unknown:
        raise RequestError(f"no method {unknown[0]!r}", expected=", ".join(WAYS))
    kept = [name for name in dict.fromkeys(names) if modality in WAYS[name].modalities]
    left: list[tuple[str, str]] = [
        (n, f"for {WAYS[n].modalities[0]}s, and these are {modality}s")
        for n in dict.fromkeys(names)
        if n not in kept
    ]
    left += [] if known else [(measure, "what decides is not known") for measure in OF_TRUTH]
    if not any(WAYS[name].asks for name in kept):
        raise RequestError("no method can be tried", found="; ".join(w for _, w in left) or "none")
    return kept, pd.DataFrame(left, columns=["what", "why"])


def blind(modality: str) -> list[Name]:
    """Maps that know nothing of the network: what any other has to beat."""
    return [n for n, way in WAYS.items() if not way.asks and modality in way.modalities]


def described(names: Sequence[Name]) -> pd.DataFrame:
    """``method``, ``for``, ``what`` of some ways to draw maps."""
    rows = [(n, " and ".join(WAYS[n].modalities), WAYS[n].what) for n in names]
    return pd.DataFrame(rows, columns=["method", "for", "what"])


def _gradient(explained: Explained) -> Maps:
    from monai.visualize import VanillaGrad

    explain: Any = VanillaGrad(explained.net.eval())
    parts = [explain(one[None].clone(), index=0).detach() for one in explained.x]
    return torch.cat(parts)[:, 0].abs().numpy()


def _integrated_gradients(explained: Explained) -> Maps:
    from captum.attr import IntegratedGradients

    explain: Any = IntegratedGradients(explained.net.eval())
    nothing = explained.background.mean(0, keepdim=True)
    found = explain.attribute(
        explained.x, nothing, target=0, n_steps=_STEPS, internal_batch_size=64
    )
    return np.asarray(found.detach()[:, 0])


def _deep_shap(explained: Explained) -> Maps:
    import shap

    explain: Any = shap.DeepExplainer(explained.net.eval(), explained.background)
    return np.asarray(explain.shap_values(explained.x))[:, 0, :, :, 0]


def _grad_cam(explained: Explained) -> Maps:
    return grad_cam(explained.net, explained.x.clone(), layer=finest_layer(explained))


def finest_layer(explained: Explained) -> str:
    """The last layer whose maps have four pixels an edge: later ones cannot say where.

    Raises
    ------
    DataError
        If there is none.
    """
    found: list[str] = []

    def note(name: str, _: nn.Module, __: Any, given: Any) -> None:
        if (
            isinstance(given, torch.Tensor)
            and given.ndim == 4
            and min(given.shape[2:]) >= _COARSEST
        ):
            found.append(name)

    hooks = [module.register_forward_hook(partial(note, name))
             for name, module in explained.net.named_modules() if name]  # fmt: skip
    with torch.no_grad():
        explained.net.eval()(explained.x[:1])
    for hook in hooks:
        hook.remove()
    if not found:
        raise DataError("the network has no layer that says where", expected="maps of 4 x 4 pixels")
    return found[-1]


def _occlusion(explained: Explained) -> Maps:
    from monai.visualize import OcclusionSensitivity

    size = max(2, explained.x.shape[-1] // 5)
    explain = OcclusionSensitivity(explained.net.eval(), mask_size=size, n_batch=64, verbose=False,
                                   mode="mean_img", overlap=0.5, activate=False)  # fmt: skip
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using a non-tuple sequence")  # MONAI's, of torch
        whole = explained.net(explained.x)[:, 0].numpy()
        hidden = [np.asarray(explain(one[None])[0])[0, 0] for one in explained.x]
    return whole[:, None, None] - np.stack(hidden)


def _random(explained: Explained) -> Maps:
    rng = np.random.default_rng(explained.seed)
    noise = rng.random((len(explained), *explained.x.shape[2:]), dtype=np.float32)
    return noise * explained.within


def _center(explained: Explained) -> Maps:
    _, _, h, w = explained.x.shape
    away = np.hypot(*(np.indices((h, w)) - np.array([(h - 1) / 2, (w - 1) / 2])[:, None, None]))
    return np.broadcast_to(away.max() - away, (len(explained), h, w))


def _edges(explained: Explained) -> Maps:
    from scipy.ndimage import gaussian_gradient_magnitude

    return np.stack([gaussian_gradient_magnitude(one, 1.0) for one in explained.x[:, 0].numpy()])


def _size(explained: Explained) -> Maps:
    return explained.x[:, 0].abs().numpy()


_IMAGE, _TABLE, _BOTH = ("image",), ("table",), ("image", "table")
WAYS: dict[Name, Way] = {
    "gradient": Way(_BOTH, "how the logit moves with each value (MONAI)",
                    _gradient),
    "integrated_gradients": Way(_BOTH, "gradients summed from the mean patient on (Captum)",
                              _integrated_gradients),
    "grad_cam": Way(_IMAGE, "a late layer's maps, weighted by their gradients (MONAI)", _grad_cam),
    "occlusion": Way(_IMAGE, "what the logit loses where a square is hidden (MONAI)", _occlusion),
    "deep_shap": Way(_TABLE, "Shapley values by differences passed back through layers (SHAP)",
                     _deep_shap),
    "random": Way(_BOTH, "noise", _random, asks=False),
    "center": Way(_IMAGE, "the nearer to the center the more", _center, asks=False),
    "edges": Way(_IMAGE, "edges of the image itself", _edges, asks=False),
    "size": Way(_TABLE, "how unusual each value is", _size, asks=False),
}  # fmt: skip
