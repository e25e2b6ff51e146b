"""What VGG19, or a random network of its layers, sees: features that a loss compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.weights import check_same_network

_VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Features(nn.Module):
    """What the first 16 convolutions of VGG19 see, before the last one's activation (conv5_4).

    Without weights of a file they are drawn at random, always the same: the structure of such a
    network, more than its training, makes it useful in a loss (arXiv:2103.10571).

    Parameters
    ----------
    weights : Path, optional
        Of VGG19 as torchvision names them (``features.0.weight``, ...).
    width : int
        Channels of the first level of random ones, 64 in VGG19.
    seed : int
        Of random weights.

    Raises
    ------
    DataError
        If the file holds other weights.
    """

    def __init__(self, weights: Path | None = None, width: int = 64, seed: int = 19) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, width = (3, 64) if weights else (1, width)
        for wide in _VGG19:
            if wide:
                layers += [nn.Conv2d(before, wide * width // 64, 3, padding=1), nn.ReLU()]
                before = wide * width // 64
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.pretrained = weights is not None
        self.register_buffer("levels", torch.tensor(_IMAGENET)[:, None, :, None, None])
        self.levels: Tensor
        self._read(weights) if weights else self._drawn(seed)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.pretrained:
            mean, spread = self.levels
            x = (x.expand(-1, 3, -1, -1) - mean) / spread
        else:
            x = x.mean(1, keepdim=True)
        return self.features(x)

    def _drawn(self, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=chance)
                module.bias.data.zero_()  # type: ignore[union-attr]

    def _read(self, path: Path) -> None:
        try:
            held = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch's reader raises whatever the bytes lead it to
            raise DataError(
                f"{path.name} holds no weights",
                expected="weights of VGG19 that torch wrote",
                found="" if path.is_file() else "No such file",
                mend='vgg="" for random ones',
            ) from error
        here = self.features.state_dict()
        known = held if isinstance(held, Mapping) else {}
        found = {k: known[f"features.{k}"] for k in here if f"features.{k}" in known}
        check_same_network(self.features, found, path.name, "give VGG19's weights")
        self.features.load_state_dict(found)
