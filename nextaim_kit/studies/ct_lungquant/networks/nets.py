"""The three networks: a box regressor, and a U-Net for lungs and one for lesions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.losses import SegmentationLoss

Architecture = Literal["unet", "dynunet"]
Version = Literal["v1", "v2"]
BOX_GRID = (48, 48, 48)  # voxels that any scan is brought to for BB-net
MULTIPLE = 16  # patches are multiples: four halvings


def segmenter(outputs: int, architecture: Architecture = "unet", width: int = 8) -> nn.Module:
    """A network from HU, shape (n, 1, d, h, w), to logits, shape (n, outputs, d, h, w).

    Parameters
    ----------
    outputs : int
        1 for lesions, or for lungs without sides; 3 for background, right and left lung.
    architecture : {"unet", "dynunet"}
        MONAI's plain U-Net (Falk et al. 2019, doi:10.1038/s41592-018-0261-2) or nnU-Net's (Isensee
        et al. 2021, doi:10.1038/s41592-020-01008-z), both with four halvings. The layers of the
        published U-Nets are not all given.
    width : int
        Features of the first two levels; twice as many with each further halving.

    Notes
    -----
    Batch norm, not the usual instance norm: that one takes away how dense a patch is on the
    whole, which tells affected lungs from healthy ones.

    Raises
    ------
    RequestError
        If there is no such network.
    """
    widths = [width, width, 2 * width, 4 * width, 8 * width]
    if architecture == "unet":
        with without_transformers():
            from monai.networks.nets import BasicUNet

        return BasicUNet(3, 1, outputs, (*widths, width), act="relu", norm="batch")
    if architecture == "dynunet":
        with without_transformers():
            from monai.networks.nets import DynUNet

        kernels, steps = [3] * 5, [1, 2, 2, 2, 2]
        return DynUNet(3, 1, outputs, kernels, steps, steps[1:], filters=widths, norm_name="batch")
    raise RequestError(f"no network {architecture!r}", expected="unet or dynunet")


@contextmanager
def without_transformers() -> Iterator[None]:
    """Within, MONAI is imported as where its optional package transformers is not installed.

    It would import that for a single network, Transchex: 2 s of processor time and 110 MB of every
    process. In a process that has imported neither before, Transchex says that transformers is
    missing; who wants it imports monai first. All else of MONAI, and transformers itself, are as
    ever.
    """
    modules: dict[str, Any] = sys.modules
    hidden = "transformers" not in modules
    if hidden:
        modules["transformers"] = None  # Python's own sign for what cannot be imported
    try:
        yield
    finally:
        if hidden:
            del modules["transformers"]


class BoxNet(nn.Module):
    """BB-net: from a whole scan on `BOX_GRID` to the lungs' box.

    Convolutions of stride 2 and two linear layers: the published layers are not given.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        pairs = ((1, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width))
        levels = [
            nn.Sequential(nn.Conv3d(a, b, 3, 2, 1), nn.InstanceNorm3d(b, affine=True), nn.ReLU())
            for a, b in pairs
        ]
        cells = BOX_GRID[0] // 16 * BOX_GRID[1] // 16 * BOX_GRID[2] // 16
        self.features = nn.Sequential(*levels, nn.Flatten())
        self.box = nn.Sequential(nn.Linear(4 * width * cells, 64), nn.ReLU(), nn.Linear(64, 6))

    def forward(self, x: Tensor) -> Tensor:
        """Two corners, shape (n, 6), as shares of the scan: z, y, x first, then z, y, x last."""
        return self.box(self.features(x)).sigmoid()


def normalized(hu: Tensor) -> Tensor:
    """HU from -1000 to 300 as -1 to 1: lung to soft tissue; bone is as dense as contrast."""
    return (hu.float().clamp(-1000, 300) + 350) / 650


def loss(version: Version) -> nn.Module:
    """v1: Dice. v2: a term beside it, which is not published; cross-entropy stands for it."""
    return SegmentationLoss(cross_entropy=version == "v2")


def box_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Smooth L1 of the corners, in percent of the scan."""
    return nn.functional.smooth_l1_loss(100 * predicted, 100 * truth)


def box_iou(predicted: Tensor, truth: Tensor) -> float:
    """Mean overlap of boxes over their union."""
    low, high = (
        torch.maximum(predicted[:, :3], truth[:, :3]),
        torch.minimum(predicted[:, 3:], truth[:, 3:]),
    )
    both = (high - low).clamp(min=0).prod(1)
    volumes = [(b[:, 3:] - b[:, :3]).clamp(min=0).prod(1) for b in (predicted, truth)]
    return float((both / (sum(volumes) - both).clamp(min=1e-9)).mean())
