"""What a network can learn without labels: which views are of one item, and what is hidden."""

from __future__ import annotations

from typing import Any

import torch
from monai.losses import ContrastiveLoss
from torch import Tensor, nn
from torch.nn import functional

from nextaim_kit.studies.challenges.limited.bodies import body_of

_HIDDEN = 0.6  # share of an image's patches that are hidden, as of SimMIM
_SWAPPED = 0.4  # share of a table's values that are another patient's
_PATCHES = 8  # patches of an image in a row


def vary(x: Tensor, strength: float = 1.0) -> Tensor:
    """Images shifted, turned, scaled, of other contrast and noise, by torch's chance.

    Parameters
    ----------
    x : Tensor of shape (n, 1, h, w)
    strength : float
        1: up to a twelfth of the edge, 10 degrees, a tenth in size, a fifth in contrast. They are
        never mirrored: a heart has its side.
    """
    n = len(x)
    turn, size, right, down, contrast = (
        strength * wide * (2 * torch.rand(n, device=x.device) - 1)
        for wide in (0.17, 0.1, 0.17, 0.17, 0.2)
    )
    sine, cosine = torch.sin(turn) * (1 + size), torch.cos(turn) * (1 + size)
    rows = torch.stack([cosine, -sine, right, sine, cosine, down], 1).reshape(n, 2, 3)
    grid = functional.affine_grid(rows, list(x.shape), align_corners=False)
    moved = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return moved * (1 + contrast)[:, None, None, None] + 0.05 * strength * torch.randn_like(x)


def swap(x: Tensor, share: float = _SWAPPED) -> tuple[Tensor, Tensor]:
    """Rows of a table with some values of other rows, and which these are; shape (n, p) each."""
    hidden = torch.rand_like(x) < share
    others = x[torch.argsort(torch.rand_like(x), dim=0), torch.arange(x.shape[1])]
    return torch.where(hidden, others, x), hidden


def hide(x: Tensor, share: float = _HIDDEN) -> tuple[Tensor, Tensor]:
    """Images with some patches at 0, and which pixels these are; shape (n, 1, h, w) each."""
    coarse = torch.rand(len(x), 1, _PATCHES, _PATCHES, device=x.device) < share
    hidden = functional.interpolate(coarse.float(), x.shape[2:]) > 0.5
    return x.masked_fill(hidden, 0.0), hidden


class Contrastive(nn.Module):
    """Learn which two views are of one item (SimCLR, arXiv:2002.05709; of tables arXiv:2106.15147).

    Parameters
    ----------
    net : torch.nn.Module
        Its body learns; its last layer is taken off.
    like : Tensor
        An input.
    """

    def __init__(self, net: nn.Module, like: Tensor) -> None:
        super().__init__()
        self.body, width = body_of(net)
        self.project = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 32))

    def forward(self, x: Tensor) -> Tensor:
        """Projections of two views of each item, shape (n, 2, 32)."""
        views = [vary(x, 1.5) if x.ndim == 4 else swap(x)[0] for _ in range(2)]
        return torch.stack([self.project(self.body(view)) for view in views], 1)

    @staticmethod
    def loss(projected: Tensor, _: Any) -> Tensor:
        """MONAI's: own views near each other, other items' far."""
        return ContrastiveLoss(temperature=0.5)(projected[:, 0], projected[:, 1])


class Masked(nn.Module):
    """Tell what is hidden from what is seen (SimMIM, arXiv:2111.09886; of tables arXiv:2006.05278).

    Of an image the last maps of the network tell the pixels by one linear layer, of a table the
    body's numbers tell the values.

    Parameters
    ----------
    net : torch.nn.Module
    like : Tensor
        An input.
    """

    def __init__(self, net: nn.Module, like: Tensor) -> None:
        super().__init__()
        self.body, width = body_of(net)
        self._maps: list[Tensor] = []
        if like.ndim == 2:
            self.tell: nn.Module = nn.Linear(width, like.shape[1])
            return
        for layer in self.body.modules():
            if not list(layer.children()) and "Pool" not in type(layer).__name__:
                layer.register_forward_hook(self._keep)
        with torch.no_grad():
            maps = self._last_maps(like.repeat(2, 1, 1, 1))
        step = -(-like.shape[-1] // maps.shape[-1])
        self.tell = nn.Sequential(nn.Conv2d(maps.shape[1], step**2, 1), nn.PixelShuffle(step))

    def _keep(self, _layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        if output.ndim == 4:
            self._maps[:] = [output]

    def _last_maps(self, x: Tensor) -> Tensor:
        """What the last layer before all pooling gives."""
        self.body(x)
        return self._maps.pop()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is told, what is there, and where it was hidden; each of the shape of `x`."""
        if x.ndim == 2:
            shown, hidden = swap(x)
            return self.tell(self.body(shown)), x, hidden
        shown, hidden = hide(x)
        told = self.tell(self._last_maps(shown))
        return functional.interpolate(told, x.shape[2:]), x, hidden

    @staticmethod
    def loss(told: tuple[Tensor, Tensor, Tensor], _: Any) -> Tensor:
        """Mean distance where it was hidden."""
        guess, there, hidden = told
        return ((guess - there).abs() * hidden).sum() / hidden.sum().clamp(min=1)


class Varied(nn.Module):
    """A network that sees varied images while it trains, and images as they are otherwise."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """What the network gives."""
        return self.net(vary(x) if self.training else x)
