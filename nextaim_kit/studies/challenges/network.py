"""The 3-D U-Net of the memory grid, whole and cut into two stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

import pandas as pd
import torch
from monai.networks.nets import DynUNet
from torch import Tensor, nn

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.step_memory import GB, Step

Norm = Literal["instance", "batch"]
_NORMS: dict[str, Any] = {"instance": ("INSTANCE", {"affine": True}), "batch": "BATCH"}


def unet(
    width: int = 16, levels: int = 3, *, channels: int = 1, norm: Norm = "instance"
) -> DynUNet:
    """MONAI's DynUNet, nnU-Net's network: full resolution first, the width doubles by level.

    Parameters
    ----------
    width : int
        Feature maps of the first level.
    levels : int
        Resolutions, at least 3; each halves the edge, so that edges must be multiples of
        ``2 ** (levels - 1)``.
    channels : int
        Of the input.
    norm : {"instance", "batch"}

    References
    ----------
    Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """
    filters = [width * 2**level for level in range(levels)]
    strides = [1] + [2] * (levels - 1)
    kernels = [3] * levels
    return DynUNet(3, channels, 1, kernels, strides, strides[1:], filters, norm_name=_NORMS[norm])


def check_edges(edges: Sequence[int], levels: int, *, factor: int = 1) -> None:
    """Refuse edges that the levels of a network do not divide, also after a division by `factor`.

    Raises
    ------
    RequestError
    """
    grid = factor * 2 ** (levels - 1)
    wrong = [n for n in edges if n % grid or n < 2 * grid]
    if wrong:
        below = max(2 * grid, wrong[0] // grid * grid)
        raise RequestError(
            f"a network of {levels} levels cannot take an edge of {wrong[0]} voxels"
            + (f" divided by {factor}" if factor > 1 else ""),
            expected=f"multiples of {grid}, from {2 * grid}",
            found=" x ".join(map(str, edges)),
            mend=f"take {below} or {below + grid}, or fewer levels",
        )


class Encoder(nn.Module):
    """First stage: the way down. Gives what each level hands over, the lowest last."""

    def __init__(self, whole: DynUNet) -> None:
        super().__init__()
        self.first, self.down, self.lowest = whole.input_block, whole.downsamples, whole.bottleneck

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """From (batch, channels, ...)."""
        kept = [self.first(x)]
        for block in (*self.down, self.lowest):
            kept.append(block(kept[-1]))
        return tuple(kept)


class Decoder(nn.Module):
    """Second stage: the way up. Its inputs are leaves, as if they came from another device."""

    def __init__(self, whole: DynUNet) -> None:
        super().__init__()
        self.up, self.last = whole.upsamples, whole.output_block
        self.received: list[Tensor] = []

    def forward(self, *handed: Tensor) -> Tensor:
        """From what `Encoder` gives; keeps the received tensors, which get gradients."""
        self.received = [one.detach().requires_grad_() for one in handed]
        *skips, x = self.received
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = block(x, skip)
        return self.last(x)


def split_step(
    encoder: Encoder, decoder: Decoder, x: Tensor, target: Tensor, loss: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    """One batch through two stages, forward and backward; gives output and loss.

    Only the tensors between the stages go over, forward, and their gradients, backward.
    """
    handed = encoder(x)
    output = decoder(*handed)
    value = loss(output, target)
    value.backward()
    gradients = [one.grad for one in decoder.received]
    torch.autograd.backward(handed, cast(Any, gradients))
    return output.detach(), value.detach()


def stages(whole: Step) -> tuple[Step, Step, int]:
    """The two stages of a training step as steps of their own, and the bytes between them.

    Parameters
    ----------
    whole : Step
        Whose `build` makes a `unet`.

    Returns
    -------
    (Step, Step, int)
        Encoder, decoder, and what one batch hands over in bytes, one way.
    """
    build = cast("Callable[[], DynUNet]", whole.build)
    with torch.device("meta"):
        handed = Encoder(build())(torch.empty(1, *whole.shape))
    shaped = tuple((tuple(one.shape[1:]), "float32") for one in handed)
    size = sum(one.numel() * one.element_size() for one in handed) * whole.batch_size
    ends = ((1,), "float32")  # nothing is held to the encoder's outputs: their gradients come back
    first = replace(
        whole, build=lambda: Encoder(build()), target=ends, loss=_all_at_once, recompute=()
    )
    second = replace(whole, build=lambda: Decoder(build()), inputs=shaped, recompute=())
    return first, second, size


def two_devices(whole: Step) -> pd.DataFrame:
    """Predicted memory of a training step on one device alone, and of its two stages.

    Returns
    -------
    DataFrame
        ``device`` (one device, way down, way up), ``gb`` with the allowances, ``tensors_mb``.
    """
    held = [dry_run(step) for step in (whole, *stages(whole)[:2])]
    return pd.DataFrame({
        "device": ["one device", "way down", "way up"],
        "gb": [one.peak / GB for one in held],
        "tensors_mb": [one.tensors / 1e6 for one in held],
    })  # fmt: skip


def _all_at_once(handed: tuple[Tensor, ...], _target: Tensor) -> Tensor:
    """Stands for the gradients that come back: one for each tensor that was handed over."""
    return sum((one.square().mean() for one in handed), start=torch.zeros(()))


def pipeline(first: Step, second: Step, handed: int, pieces: Sequence[int]) -> pd.DataFrame:
    """What two devices gain in time when a batch goes through them in pieces.

    Computed, not measured: operations are counted as if both devices were alike; the time of the
    link between them is left out.

    Parameters
    ----------
    first, second : Step
        As `stages` gives them.
    handed : int
        Bytes between the stages, one way.
    pieces : sequence of int
        Parts that a batch is divided into.

    Returns
    -------
    DataFrame
        ``pieces``, ``expected_time`` (of one device alone), ``idle`` (% of the two devices' time),
        ``link_gb`` (both ways, for one batch).

    References
    ----------
    Huang et al. 2019, GPipe, arXiv:1811.06965.
    """
    work = [dry_run(step).flops for step in (first, second)]
    rows = []
    for n in pieces:
        time = ((n - 1) * max(work) + sum(work)) / n
        rows.append((n, time / sum(work), 100 * (1 - sum(work) / (2 * time)), 2 * handed / GB))
    return pd.DataFrame(rows, columns=["pieces", "expected_time", "idle", "link_gb"])


def builder(width: int, levels: int, norm: Norm = "instance") -> Callable[[], DynUNet]:
    """What makes this `unet`."""
    return partial(unet, width, levels, norm=norm)
