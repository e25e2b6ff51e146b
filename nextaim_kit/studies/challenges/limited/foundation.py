"""Features of images by a foundation model, from a local folder of weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply

_GRAY = 0.5  # mean and spread of a model that does not say what it was trained with


def frozen_features(x: NDArray[np.float32], folder: Path) -> NDArray[np.float64]:
    """What a model of images says of each, its weights as they are.

    Parameters
    ----------
    x : array of shape (n, 1, h, w)
        Brought to 0 to 1 by the smallest and the largest value of all, and to the model's size and
        normalization.
    folder : Path
        As ``save_pretrained`` of transformers writes it: ``config.json``, ``model.safetensors``
        and, where there is one, ``preprocessor_config.json``. Nothing is downloaded, no code run.

    Returns
    -------
    array of shape (n, p)

    Raises
    ------
    DataError
        If the folder holds no such model.
    """
    net, mean, spread = _load(folder)
    low, high = float(x.min()), float(x.max())
    gray = (torch.from_numpy(x) - low) / max(high - low, 1e-12)
    found = apply(_Frozen(net, mean, spread), gray, batch_size=16)
    return found.double().numpy()


def _load(folder: Path) -> tuple[Any, Tensor, Tensor]:
    from transformers import AutoModel

    try:
        net: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        size = net.config.image_size
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder.name} holds no model of images",
            expected="a folder with config.json and model.safetensors, as save_pretrained writes",
            found=f"{type(error).__name__}: {str(error).splitlines()[0][:120]}",
            mend="give the folder of a model of images of transformers, such as a ViT or DINOv2",
        ) from error
    net.nextaim_size = (size, size) if isinstance(size, int) else tuple(size)
    file = folder / "preprocessor_config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    channels = int(getattr(net.config, "num_channels", 3))
    mean, spread = (
        torch.tensor(said.get(key) or [_GRAY] * channels).reshape(1, -1, 1, 1)
        for key in ("image_mean", "image_std")
    )
    return net, mean, spread


class _Frozen(nn.Module):
    """Gray images of any size to the model's vector of each."""

    def __init__(self, net: Any, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.net = net
        self.mean, self.spread = nn.Buffer(mean), nn.Buffer(spread)

    def forward(self, gray: Tensor) -> Tensor:
        """Mean of the last tokens, shape (n, p)."""
        x = interpolate(gray, self.net.nextaim_size, mode="bilinear", antialias=True)
        told = self.net(pixel_values=(x - self.mean) / self.spread).last_hidden_state
        return told.flatten(2).mean(2) if told.ndim == 4 else told.mean(1)
