"""The multi-input network: an image branch, a clinical branch, joined at their bottoms."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.studies.cxr_severity.preprocessing import Films, jitter

Backbone = Literal["small", "resnet18", "resnet34"]
CAM_LAYER = "image.0.layer3"  # its maps are twice as fine as the last ones
_FEATURES = 16


class SeverityNet(nn.Module):
    """From a film and clinical values to the logit of a severe course.

    Without one of its branches it is the network that sees only the other: what fusion is
    compared with is built from the same parts.

    Parameters
    ----------
    image : bool
        With the image branch, a residual network (He et al. 2016, doi:10.1109/CVPR.2016.90).
    clinical : int
        Number of clinical values; 0: without that branch.
    backbone : {"small", "resnet18", "resnet34"}
        "small" has one block of 16, 32, 64 and 128 features a level, for a CPU.

    Attributes
    ----------
    field : int
        Edge in pixels of what one value of `CAM_LAYER`'s maps stands for: 8 for "small", 16 for the
        others, which halve the film once more at their beginning.
    """

    def __init__(self, *, image: bool, clinical: int, backbone: Backbone = "small") -> None:
        super().__init__()
        if not image and not clinical:
            raise RequestError("a network needs a film or clinical values to look at")
        self.field = 8 if backbone == "small" else 16
        self.image = nn.Sequential(_resnet(backbone), nn.ReLU(), nn.Dropout(0.3)) if image else None
        self.clinical = (
            nn.Sequential(
                nn.Linear(clinical, _FEATURES), nn.ReLU(), nn.Dropout(0.3),
                nn.Linear(_FEATURES, _FEATURES), nn.ReLU(),
            )
            if clinical
            else None
        )  # fmt: skip
        branches = [b for b in (self.image, self.clinical) if b is not None]
        self.head = nn.Linear(_FEATURES * len(branches), 1)
        # A third faster on a CPU. torch's stubs leave this form out.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, film: Tensor, clinical: Tensor) -> Tensor:
        """Logits, shape (n, 1), of films, shape (n, 1, h, w), and values, shape (n, p)."""
        found = [
            branch(given)
            for branch, given in ((self.image, film), (self.clinical, clinical))
            if branch is not None
        ]
        return self.head(torch.cat(found, 1))

    def take_branches(self, image: SeverityNet, clinical: SeverityNet) -> SeverityNet:
        """Begin with the branches of two trained networks, their logits added up."""
        for name, one in (("image", image), ("clinical", clinical)):
            self.get_submodule(name).load_state_dict(one.get_submodule(name).state_dict())
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([image.head.weight, clinical.head.weight], 1))
            self.head.bias.copy_(image.head.bias + clinical.head.bias)
        return self


def _resnet(backbone: Backbone) -> nn.Module:
    from monai.networks.nets import ResNet

    layers = {"small": [1, 1, 1, 1], "resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}
    if backbone not in layers:
        raise RequestError(f"no backbone {backbone!r}", expected=", ".join(layers))
    widths = [16, 32, 64, 128] if backbone == "small" else [64, 128, 256, 512]
    return ResNet(
        "basic", layers[backbone], widths, spatial_dims=2, n_input_channels=1,
        conv1_t_size=5, conv1_t_stride=2, no_max_pool=backbone == "small", num_classes=_FEATURES,
    )  # fmt: skip


class Patients(Dataset):
    """A film, clinical values and the outcome of each row.

    Parameters
    ----------
    films : array of shape (n, size, size)
    clinical : array of shape (n, p)
        Standardized.
    y : array-like of shape (n,)
        Outcomes 0/1.
    augment : bool
        Mirror, shift and vary the films.
    """

    def __init__(
        self, films: Films, clinical: NDArray[np.float32], y: ArrayLike, *, augment: bool = False
    ) -> None:
        self.films, self.clinical = torch.from_numpy(films), torch.from_numpy(clinical)
        self.y = torch.as_tensor(np.asarray(y, np.float32))[:, None]
        self.shift = films.shape[1] // 16 if augment else 0

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        film = self.films[index]
        film = jitter(film, shift=self.shift) if self.shift else film
        return (film[None], self.clinical[index]), self.y[index]


def logits(net: nn.Module, films: Films, clinical: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the network gives for each row, shape (n,)."""
    return apply(net, (films[:, None], clinical), batch_size=64)[:, 0].double().numpy()
