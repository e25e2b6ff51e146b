"""Two generations of YOLO, built from the published tables of layers: one network, two tables.

Both look once, on three grids of cells 8, 16 and 32 pixels wide. Generation 5 lets each cell choose
among three anchors and say whether a mass is there at all; generation 8 has neither, measures
the four distances from the cell's center to the box's edges, and tells classes in a branch of
their own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nextaim_kit.errors import DataError
from nextaim_kit.studies.breast_masses.layout import channels_last

Generation = Literal["v5", "v8"]
Size = Literal["n", "s", "m"]
STRIDES = (8, 16, 32)
BINS = 16  # of each distance in generation 8, in strides
_NATIVE = 640  # pixels of the pictures that the published anchors and biases are of
# Width and height in pixels, three for each stride.
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
_DEPTH = {"n": 0.33, "s": 0.33, "m": 0.67}
_WIDTH = {"n": 0.25, "s": 0.50, "m": 0.75}
_WIDEST = {"n": 1024, "s": 1024, "m": 768}  # generation 8 caps channels before it scales them
_BASE = (64, 128, 256, 512, 1024)


class Conv(nn.Sequential):
    """Convolution without bias, batch normalization, SiLU."""

    def __init__(self, c1: int, c2: int, kernel: int = 1, stride: int = 1, padding: int = -1):
        pad = kernel // 2 if padding < 0 else padding
        convolution = nn.Conv2d(c1, c2, kernel, stride, pad, bias=False)
        norm = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        super().__init__(OrderedDict(conv=convolution, norm=norm, act=nn.SiLU(inplace=True)))


class Bottleneck(nn.Module):
    """Two convolutions, with a way around them where `shortcut`."""

    def __init__(self, channels: int, first: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Conv(channels, channels, first), Conv(channels, channels, 3))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class C3(nn.Module):
    """Generation 5: half of the channels goes through `n` bottlenecks, half passes by (CSP).

    References
    ----------
    CSPNet, Wang et al. 2020, arXiv:1911.11929.
    """

    def __init__(self, c1: int, c2: int, n: int, shortcut: bool = True) -> None:
        super().__init__()
        half = c2 // 2
        self.through, self.past = Conv(c1, half), Conv(c1, half)
        self.chain = nn.Sequential(*(Bottleneck(half, 1, shortcut) for _ in range(n)))
        self.join = Conv(2 * half, c2)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat([self.chain(self.through(x)), self.past(x)], 1))


class C2f(nn.Module):
    """Generation 8: what every bottleneck gives is kept, and all of it is joined."""

    def __init__(self, c1: int, c2: int, n: int, shortcut: bool = True) -> None:
        super().__init__()
        half = c2 // 2
        self.split = Conv(c1, 2 * half)
        self.chain = nn.ModuleList(Bottleneck(half, 3, shortcut) for _ in range(n))
        self.join = Conv((2 + n) * half, c2)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.split(x).chunk(2, 1))
        for block in self.chain:
            parts.append(block(parts[-1]))
        return self.join(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Largest values within 5, 9 and 13 cells beside the value itself: a wide view, cheaply."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.join = Conv(channels, channels // 2), Conv(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.reduce(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.join(torch.cat(parts, 1))


@dataclass(frozen=True)
class Plan:
    """What tells the two generations and their sizes apart.

    Attributes
    ----------
    block : type
        `C3` or `C2f`.
    channels : tuple of int
        At strides 2, 4, 8, 16 and 32.
    repeats : tuple of int
        Bottlenecks in the backbone at strides 4, 8, 16 and 32.
    neck : int
        Bottlenecks in each block of the neck.
    stem : tuple of int
        Kernel and padding of the first convolution.
    lateral : bool
        Whether the neck halves channels before it goes up (generation 5).
    """

    block: type[C3] | type[C2f]
    channels: tuple[int, ...]
    repeats: tuple[int, ...]
    neck: int
    stem: tuple[int, int]
    lateral: bool


def plan(generation: Generation, size: Size) -> Plan:
    """The layers of a generation in a size, by its multiples of depth and width.

    Examples
    --------
    >>> plan("v8", "m").channels
    (48, 96, 192, 384, 576)
    """
    newer = generation == "v8"
    widest = _WIDEST[size] if newer else max(_BASE)
    channels = tuple(math.ceil(min(c, widest) * _WIDTH[size] / 8) * 8 for c in _BASE)
    times = [max(round(n * _DEPTH[size]), 1) for n in ((3, 6, 6, 3) if newer else (3, 6, 9, 3))]
    block: type[C3] | type[C2f] = C2f if newer else C3
    stem = (3, 1) if newer else (6, 2)
    return Plan(block, channels, tuple(times), times[0], stem, not newer)


class Backbone(nn.Module):
    """From a picture to features at strides 8, 16 and 32."""

    def __init__(self, how: Plan, inputs: int = 3) -> None:
        super().__init__()
        c, (kernel, pad) = how.channels, how.stem
        self.stem = Conv(inputs, c[0], kernel, 2, pad)
        self.down = nn.ModuleList(Conv(a, b, 3, 2) for a, b in pairwise(c))
        self.blocks = nn.ModuleList(
            how.block(a, a, n) for a, n in zip(c[1:], how.repeats, strict=True)
        )
        self.pool = SPPF(c[-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        x, levels = self.stem(x), []
        for down, block in zip(self.down, self.blocks, strict=True):
            x = block(down(x))
            levels.append(x)
        return [*levels[1:-1], self.pool(levels[-1])]


class Neck(nn.Module):
    """Coarse features tell fine ones what is around them, and are told what is within.

    References
    ----------
    Path aggregation, Liu et al. 2018, arXiv:1803.01534.
    """

    def __init__(self, how: Plan) -> None:
        super().__init__()
        c3, c4, c5 = how.channels[2:]
        l5, l4 = (c4, c3) if how.lateral else (c5, c4)
        self.lateral5 = Conv(c5, l5) if how.lateral else nn.Identity()
        self.up4 = how.block(l5 + c4, c4, how.neck, False)
        self.lateral4 = Conv(c4, l4) if how.lateral else nn.Identity()
        self.up3 = how.block(l4 + c3, c3, how.neck, False)
        self.down3 = Conv(c3, c3, 3, 2)
        self.out4 = how.block(c3 + l4, c4, how.neck, False)
        self.down4 = Conv(c4, c4, 3, 2)
        self.out5 = how.block(c4 + l5, c5, how.neck, False)
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        p3, p4, p5 = levels
        p5 = self.lateral5(p5)
        p4 = self.lateral4(self.up4(torch.cat([self.larger(p5), p4], 1)))
        p3 = self.up3(torch.cat([self.larger(p4), p3], 1))
        out4 = self.out4(torch.cat([self.down3(p3), p4], 1))
        return [p3, out4, self.out5(torch.cat([self.down4(out4), p5], 1))]


class AnchorHead(nn.Module):
    """Generation 5: for each cell and anchor four numbers of a box, "something", and classes."""

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.each = 5 + classes
        self.levels = nn.ModuleList(nn.Conv2d(c, 3 * self.each, 1) for c in channels)
        with torch.no_grad():
            for level, stride in zip(self.levels, STRIDES, strict=True):
                bias: Any = level.bias
                bias = bias.view(3, -1)
                bias[:, 4] += math.log(8 / (_NATIVE / stride) ** 2)
                bias[:, 5:] += math.log(0.6 / (classes - 0.99999))

    def forward(self, levels: list[Tensor]) -> Tensor:
        return torch.cat([
            level(x).unflatten(1, (3, self.each)).permute(0, 1, 3, 4, 2).flatten(1, 3)
            for level, x in zip(self.levels, levels, strict=True)
        ], 1)  # fmt: skip


class FreeHead(nn.Module):
    """Generation 8: boxes and classes in branches of their own, no anchors, no "something"."""

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        c3 = channels[0]
        wide, told = max(16, c3 // 4, 4 * BINS), max(c3, min(classes, 100))
        self.boxes = nn.ModuleList(_branch(c, wide, 4 * BINS) for c in channels)
        self.classes = nn.ModuleList(_branch(c, told, classes) for c in channels)
        self.register_buffer("bins", torch.arange(BINS, dtype=torch.float32))
        with torch.no_grad():
            rows: Any = zip(self.boxes, self.classes, STRIDES, strict=True)
            for box, told_by, stride in rows:
                box[-1].bias.fill_(1.0)
                told_by[-1].bias.fill_(math.log(5 / classes / (_NATIVE / stride) ** 2))

    def forward(self, levels: list[Tensor]) -> Tensor:
        pairs = zip(self.boxes, self.classes, levels, strict=True)
        return torch.cat([
            torch.cat([box(x), told(x)], 1).flatten(2).transpose(1, 2) for box, told, x in pairs
        ], 1)  # fmt: skip


def _branch(c1: int, c2: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Conv(c1, c2, 3), Conv(c2, c2, 3), nn.Conv2d(c2, outputs, 1))


class Yolo(nn.Module):
    """A detector of either generation.

    Parameters
    ----------
    generation : {"v5", "v8"}
    size : {"n", "s", "m"}
    classes : int
    anchors : sequence of shape (3, 3, 2), optional
        Width and height in pixels of generation 5's anchors at each stride; by default the
        published ones, which are of pictures of 640 pixels.

    Notes
    -----
    Pictures have the shape (n, 3, h, w), edges that 32 divides. The answer is one tensor of shape
    (n, cells, numbers), finest grid first, rows before columns, in generation 5 anchor by anchor;
    its `decode` makes boxes of it.

    Examples
    --------
    >>> sum(w.numel() for w in Yolo("v5", "n", 80).parameters())
    1872157
    """

    finest = "neck.up3"  # the layer of the finest features
    anchors: Tensor

    def __init__(
        self, generation: Generation, size: Size = "n", classes: int = 1,
        anchors: object = ANCHORS,
    ) -> None:  # fmt: skip
        super().__init__()
        how = plan(generation, size)
        self.generation, self.n_classes = generation, classes
        self.backbone, self.neck = Backbone(how), Neck(how)
        head = FreeHead if generation == "v8" else AnchorHead
        self.head = head(how.channels[2:], classes)
        if generation == "v5":
            self.register_buffer("anchors", torch.as_tensor(anchors, dtype=torch.float32))
        channels_last(self)

    def forward(self, pictures: Tensor) -> Tensor:
        if any(edge % STRIDES[-1] for edge in pictures.shape[2:]):
            raise DataError(
                "the network cannot look at pictures of this size",
                expected=f"edges that {STRIDES[-1]} divides",
                found=" x ".join(map(str, pictures.shape[2:])),
            )
        return self.head(self.neck(self.backbone(pictures)))

    def decode(self, output: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes in pixels, shape (n, cells, 4), and scores, (n, cells), of an answer.

        With one class generation 5's score is "something" alone: it is given no loss of class. With
        several, the best class counts.
        """
        output = output.float()
        if self.generation == "v8":
            where = (one.to(output.device) for one in cells(shape))
            boxes = free_boxes(output[..., : 4 * BINS], *where)
            return boxes, output[..., 4 * BINS :].sigmoid().amax(-1)
        where = (one.to(output.device) for one in anchored_cells(shape, self.anchors))
        boxes = anchored_boxes(output[..., :4], *where)
        scores = output[..., 4].sigmoid()
        several = self.n_classes > 1
        return boxes, scores * output[..., 5:].sigmoid().amax(-1) if several else scores


def cells(shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centers (x, y) of all cells in pixels, shape (cells, 2), and their strides, (cells, 1)."""
    centers, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(*(torch.arange(n // stride) for n in shape), indexing="ij")
        found = (torch.stack([x, y], -1).view(-1, 2) + 0.5) * stride
        centers.append(found)
        strides.append(torch.full((len(found), 1), float(stride)))
    return torch.cat(centers), torch.cat(strides)


def anchored_cells(shape: tuple[int, int], anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `cells`, once for each anchor of a stride, with the anchor's width and height."""
    found = []
    centers, strides = cells(shape)
    for stride, three in zip(STRIDES, anchors.cpu(), strict=True):
        here = strides[:, 0] == stride
        for anchor in three:
            n = int(here.sum())
            found.append((centers[here], strides[here], anchor.expand(n, 2)))
    centers, strides, sizes = (torch.cat(part) for part in zip(*found, strict=True))
    return centers, strides, sizes


def free_boxes(numbers: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """Boxes in pixels of generation 8's numbers, shape (..., cells, 64).

    Each of the four distances is the mean of a distribution over 0, 1, ... 15 strides.

    References
    ----------
    Distribution focal loss, Li et al. 2020, arXiv:2006.04388.
    """
    chance = numbers.unflatten(-1, (4, BINS)).softmax(-1)
    away = (chance * torch.arange(BINS, device=numbers.device)).sum(-1) * strides
    return torch.cat([centers - away[..., :2], centers + away[..., 2:]], -1)


def anchored_boxes(numbers: Tensor, centers: Tensor, strides: Tensor, sizes: Tensor) -> Tensor:
    """Boxes in pixels of generation 5's numbers, shape (..., cells, 4).

    A center lies up to a cell beside its own, an edge is up to four times the anchor's.
    """
    told = numbers.sigmoid()
    middle = centers + (2 * told[..., :2] - 1) * strides
    half = 2 * told[..., 2:].square() * sizes
    return torch.cat([middle - half, middle + half], -1)
