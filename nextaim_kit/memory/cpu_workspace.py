"""What torch's convolutions on a CPU hold for themselves while they compute.

No dry run sees it, since it is inside an operation; for volumes it can be more than all else. The
formulas are those of the allocations that torch 2.13 makes, as its profiler shows them on a
processor with AVX-512; with fewer lanes they are carried over, not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

_FEW = 3  # channels up to which oneDNN has kernels of its own for a first layer


def cpu_workspace(args: Sequence[Any], out: Any) -> int:
    """Bytes inside a call of ``aten.convolution`` or ``aten.convolution_backward``.

    Parameters
    ----------
    args : sequence
        What the operation was called with.
    out : Tensor or tuple of Tensor or None
        What it gave.

    Returns
    -------
    int
        Bytes at its own peak beyond what it gives.
    """
    backward = isinstance(out, tuple | list)
    grad, given, weight, sizes = args[:4] if backward else (out, args[0], args[1], None)
    how = args[4:10] if backward else args[3:9]
    bias = None if backward else args[2]
    kind = str(torch._C._select_conv_backend(given, weight, bias, *how, sizes)).rpartition(".")[2]
    call = _Call(
        given, weight, grad, list(how[0]), bool(how[3]), out[0] is None if backward else None
    )
    if kind.startswith("Slow"):
        return call.columns(plain=not any(how[1]))
    if not kind.startswith("Mkldnn") and kind != "???":  # so torch calls oneDNN's transposed one
        return 0
    peak = call.onednn_backward() if backward else call.onednn_forward()
    given_back = sum(bytes_of(one) for one in tree_leaves(out) if isinstance(one, Tensor))
    return max(0, peak - given_back)


@dataclass(frozen=True)
class _Call:
    """A convolution's operands; `to_weights` says of a backward pass that the input wants none."""

    given: Tensor
    weight: Tensor
    result: Tensor
    stride: list[int]
    transposed: bool
    to_weights: bool | None

    def columns(self, plain: bool) -> int:
        """Torch's own kernels unfold what they read: a column for each place of the kernel."""
        places = math.prod(self.weight.shape[2:])
        if places == 1 and plain and set(self.stride) == {1}:
            return 0
        if self.transposed:  # one item after another, and ones for the bias
            read, voxels = self.result.shape[1], math.prod(self.given.shape[2:])
            ones = math.prod(self.result.shape[2:])
            return (read * places * voxels + ones) * self.given.element_size()
        voxels = math.prod(self.result.shape[2:]) * len(self.given)
        return self.given.shape[1] * places * voxels * self.given.element_size()

    def onednn_forward(self) -> int:
        """OneDNN computes in blocks of channels: operands are copied there, results back."""
        into = _blocked(self.given) if self._reads_blocks else 0
        if self.transposed:
            return self._spread(self.given, self.result)
        made = _blocked(self.result)
        return max(into + self._w + made, made + bytes_of(self.result))

    def onednn_backward(self) -> int:
        """The input's gradient first, then that of the weights."""
        grad = _blocked(self.result) if not self._few_made else 0
        given = _blocked(self.given) if self._reads_blocks else 0
        kept = 0 if self.to_weights else bytes_of(self.given)
        plain = not self._reads_blocks and self.given.shape[1] > _FEW
        second = kept + (0 if plain else grad) + given + 2 * self._w
        if self.to_weights:
            return second
        if max(self.stride) > 1 and not self.transposed:
            return max(self._spread(self.result, self.given), second)
        made = _blocked(self.given)
        return max(grad + self._w + made, made + kept, second)

    def _spread(self, source: Tensor, target: Tensor) -> int:
        """From few voxels to many: the source with a margin, and the target three times."""
        kernel = self.weight.shape[2:]
        rims = (1 + max(0, k - 2) / n for k, n in zip(kernel, source.shape[2:], strict=True))
        margin = int(_blocked(source) * math.prod(rims))
        made = bytes_of(target) if target.shape[1] < _lanes() else _blocked(target)
        return max(margin + _blocked(source) + self._w + made, made + 2 * bytes_of(target))

    @property
    def _reads_blocks(self) -> bool:
        few = self.given.shape[1] < _lanes() and max(self.weight.shape[2:]) > 1
        return self.transposed or not few

    @property
    def _few_made(self) -> bool:
        return self.transposed and self.result.shape[1] <= _FEW

    @cached_property
    def _w(self) -> int:
        return bytes_of(self.weight)


def bytes_of(one: Tensor) -> int:
    """Bytes of a tensor's values."""
    return one.numel() * one.element_size()


def _blocked(one: Tensor) -> int:
    """Bytes with the channels filled up to whole vectors."""
    lanes = _lanes()
    return bytes_of(one) // one.shape[1] * math.ceil(one.shape[1] / lanes) * lanes


def _lanes() -> int:
    return 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
