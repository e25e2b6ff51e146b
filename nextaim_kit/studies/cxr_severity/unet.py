"""The study's residual U-Net for the lungs, and MONAI's networks that can take its place."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from nextaim_kit.errors import RequestError

Architecture = Literal["residual_unet", "dynunet", "segresnet"]
WIDTHS = (16, 32, 64, 128, 256, 512)
_DROPOUT = 0.2


def lung_net(architecture: Architecture = "residual_unet") -> nn.Module:
    """A network from a film, shape (n, 1, h, w), to the logit of lung, of the same shape.

    Parameters
    ----------
    architecture : {"residual_unet", "dynunet", "segresnet"}
        The study's own, or MONAI's of about its depth; height and width are multiples of 32.

    Raises
    ------
    RequestError
        If there is no such network.
    """
    if architecture == "residual_unet":
        return ResidualUNet()
    if architecture == "dynunet":
        from monai.networks.nets import DynUNet

        steps: Any = [1, 2, 2, 2, 2, 2]
        return DynUNet(2, 1, 1, [3] * 6, steps, steps[1:], list(WIDTHS), dropout=_DROPOUT)
    if architecture == "segresnet":
        from monai.networks.nets import SegResNet

        return SegResNet(2, 16, 1, 1, _DROPOUT, blocks_down=(1, 1, 2, 2, 2), blocks_up=(1,) * 4)
    raise RequestError(
        f"no network {architecture!r}", expected="residual_unet, dynunet or segresnet"
    )


class ResidualBlock(nn.Module):
    """A shortcut around one 3x3 convolution: first to the new width, and to half the size.

    The first convolution is 1x1, or 2x2 with stride 2; then 3x3, then 1x1, each with batch
    normalization; channel dropout.
    """

    def __init__(self, inside: int, outside: int, *, halve: bool) -> None:
        super().__init__()
        edge = 2 if halve else 1
        self.enter = _convolution(inside, outside, edge, stride=edge)
        self.inner = _convolution(outside, outside, 3, padding=1)
        self.leave = nn.Sequential(
            nn.Conv2d(outside, outside, 1, bias=False), nn.BatchNorm2d(outside)
        )
        self.last = nn.Sequential(nn.ReLU(), nn.Dropout2d(_DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        """From (n, inside, h, w) to (n, outside, h, w), or half the height and width."""
        entered = self.enter(x)
        return self.last(entered + self.leave(self.inner(entered)))


class _Up(nn.Module):
    """Transposed convolution, the encoder's features beside it, 3x3, 1x1."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(inside, outside, 2, 2)
        self.join = nn.Sequential(
            _convolution(2 * outside, outside, 3, padding=1), _convolution(outside, outside, 1)
        )

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        return self.join(torch.cat([self.grow(x), beside], 1))


class ResidualUNet(nn.Module):
    """Residual U-Net: five levels of 16 to 256 features and a bottleneck of 512.

    As in the public code of the study (doi:10.1007/978-3-031-64636-2_18), after Ronneberger et
    al. 2015, doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(zip((1, *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList(
            ResidualBlock(a, b, halve=level > 0) for level, (a, b) in enumerate(pairs)
        )
        self.up = nn.ModuleList(_Up(b, a) for a, b in reversed(pairs[1:]))
        self.out = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, shape (n, 1, h, w), of films of that shape."""
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
        for block, beside in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(x, beside)
        return self.out(x)


def _convolution(inside: int, outside: int, edge: int, **options: Any) -> nn.Sequential:
    made = nn.Conv2d(inside, outside, edge, bias=False, **options)
    return nn.Sequential(made, nn.BatchNorm2d(outside), nn.ReLU())
