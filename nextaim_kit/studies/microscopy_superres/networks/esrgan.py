"""The generator and the discriminator of ESRGAN, and what lies between two generators."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.weights import check_same_network

_RESIDUAL = 0.2  # share of what a block adds
_SMALL = 0.1  # of Kaiming's first weights: deep sums of blocks begin near 0
_CONVOLUTIONS = 5  # of a dense block
_SCALES = {2: 2, 4: 2, 8: 3}  # doublings; 2 first folds 2 by 2 pixels into channels


class Dense(nn.Module):
    """Five convolutions, each of which sees the outputs of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * (_CONVOLUTIONS - 1) + [features]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(features + k * growth, wide, 3, padding=1) for k, wide in enumerate(widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for convolution in self.convolutions[:-1]:
            seen.append(functional.leaky_relu(convolution(torch.cat(seen, 1)), 0.2))
        return x + _RESIDUAL * self.convolutions[-1](torch.cat(seen, 1))


class Block(nn.Module):
    """A residual-in-residual dense block: three dense ones, a fifth of whose sum is added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(Dense(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + _RESIDUAL * self.dense(x)


class Generator(nn.Module):
    """The generator of ESRGAN: most of its work is done on the coarse grid.

    Parameters
    ----------
    scale : {4, 2, 8}
        How much finer its output is. For 2 the input is folded, 2 by 2 pixels into channels.
    features, blocks, growth : int
        Channels, residual-in-residual dense blocks, and channels that each convolution adds.
    channels : int
        Of input and output: 3 as published; gray images need 1.

    Raises
    ------
    RequestError
        If the scale is another one.

    References
    ----------
    Wang et al. 2018, arXiv:1809.00219.

    Examples
    --------
    >>> small = Generator(4, features=8, blocks=1, growth=4, channels=1)
    >>> small(torch.zeros(1, 1, 10, 12)).shape
    torch.Size([1, 1, 40, 48])
    """

    def __init__(
        self, scale: int = 4, features: int = 64, blocks: int = 23, growth: int = 32,
        channels: int = 3,
    ) -> None:  # fmt: skip
        super().__init__()
        if scale not in _SCALES:
            raise RequestError(
                "no generator of this scale", expected="2, 4 or 8", found=str(scale),
                mend="choose one of these; the images are resampled to it",
            )  # fmt: skip
        self.scale, self.channels = scale, channels
        self.settings = {"scale": scale, "features": features, "blocks": blocks,
                         "growth": growth, "channels": channels}  # fmt: skip
        self.fold = 2 if scale == 2 else 1  # edges of its tiles begin at multiples of this
        sizes = (features, features, 3)
        self.first = nn.Conv2d(channels * self.fold**2, features, 3, padding=1)
        self.trunk = nn.Sequential(
            *(Block(features, growth) for _ in range(blocks)), nn.Conv2d(*sizes, padding=1)
        )
        self.up = nn.ModuleList(nn.Conv2d(*sizes, padding=1) for _ in range(_SCALES[scale]))
        self.fine = nn.Conv2d(*sizes, padding=1)
        self.last = nn.Conv2d(features, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                module.weight.data *= _SMALL
                module.bias.data.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        x = padded(x, self.fold)
        x = self.first(functional.pixel_unshuffle(x, self.fold))
        x = x + self.trunk(x)
        for convolution in self.up:
            x = functional.leaky_relu(convolution(functional.interpolate(x, scale_factor=2)), 0.2)
        x = self.last(functional.leaky_relu(self.fine(x), 0.2))
        return x[..., : rows * self.scale, : columns * self.scale]


def receptive_radius(generator: Generator) -> int:
    """How many input pixels away an output pixel still looks, at most.

    A part of an image with so many pixels around it gives what the whole image gives there, if the
    part begins at a multiple of `Generator.fold`.

    Examples
    --------
    >>> receptive_radius(Generator(blocks=2, features=8, growth=4))
    34
    """
    blocks = sum(isinstance(module, Block) for module in generator.trunk)
    reach, fine = 2, 2 ** len(generator.up)  # two convolutions after the last doubling
    at = fine - 1 + reach  # the farthest fine pixel that the last one of pixel 0 sees
    for _ in generator.up:
        at = (at + 1) // 2
    return generator.fold * (1 + 3 * _CONVOLUTIONS * blocks + 1 + at)


class Discriminator(nn.Module):
    """The judge of ESRGAN: convolutions as VGG's, halved five times, one logit.

    Parameters
    ----------
    edge : int
        Of what it judges, a multiple of 32.
    width : int
        Channels of its first level; eight times as many in the last ones.
    channels : int
        Of what it judges.
    """

    def __init__(self, edge: int = 128, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        if edge % 32 or edge < 32:
            raise RequestError(
                "no discriminator of this size", expected="a multiple of 32", found=str(edge)
            )
        widths = [width * k for k in (1, 2, 4, 8, 8)]
        layers: list[nn.Module] = []
        for k, (before, wide) in enumerate(zip([channels, *widths], widths, strict=False)):
            layers += [nn.Conv2d(before, wide, 3, padding=1, bias=not k)]
            layers += [nn.BatchNorm2d(wide)] if k else []
            layers += [nn.LeakyReLU(0.2), nn.Conv2d(wide, wide, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*layers)
        self.logit = nn.Sequential(
            nn.Linear(widths[-1] * (edge // 32) ** 2, 100), nn.LeakyReLU(0.2), nn.Linear(100, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.logit(self.convolutions(x).flatten(1))


def interpolated(first: nn.Module, second: nn.Module, alpha: float) -> nn.Module:
    """A network whose weights lie between those of two: 0 the first, 1 the second.

    Between a network trained by L1 and one fine-tuned from it by a GAN, `alpha` is how much is
    made up (arXiv:1809.00219, section 3.4).

    Examples
    --------
    >>> one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> half = interpolated(one, other, 0.5)
    >>> bool(half.bias == (one.bias + other.bias) / 2)
    True
    """
    check_same_network(first, second.state_dict(), "the second network", "give two of one kind")
    between = copy.deepcopy(first)
    held = second.state_dict()
    mixed = {
        k: torch.lerp(v, held[k], alpha) if v.is_floating_point() else v
        for k, v in first.state_dict().items()
    }
    between.load_state_dict(mixed)
    return between


def padded(x: Tensor, multiple: int) -> Tensor:
    """With edges that are multiples, by repeating the last row and column."""
    rows, columns = (-n % multiple for n in x.shape[-2:])
    return functional.pad(x, (0, columns, 0, rows), "replicate") if rows or columns else x
