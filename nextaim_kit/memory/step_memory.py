"""How much memory a training step takes, found without running it and without a GPU.

GB are 10**9 bytes, here and in every ``study.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

GB = 10**9

Device = Literal["cpu", "cuda"]
Shaped = tuple[tuple[int, ...], str]  # a tensor's shape without the batch, and its type

# Measured by nobody here: no GPU was at hand.
CONTEXT = int(0.5 * GB)
FRAGMENTS = 0.05


@dataclass(frozen=True)
class Step:
    """A training step as it is asked about.

    Attributes
    ----------
    build : callable
        Makes a new network.
    inputs : tuple of (shape, type)
        Of each input, without the batch's axis.
    target : (shape, type), optional
        By default like the network's output.
    loss : callable, optional
        Of output and target; by default binary cross-entropy with logits.
    batch_size : int
        Items that are computed at once.
    accumulate : int
        Batches whose gradients are added up before an update.
    device : {"cuda", "cpu"}
    mixed : bool
        bfloat16 where torch's automatic mixed precision allows it.
    recompute : tuple of module types
        Blocks that are computed twice (`memory.recompute`).
    offload : bool
        Saved activations wait in the host's memory.
    optimizer : callable, optional
        Of the weights; makes the optimizer, by default Adam.
    """

    build: Callable[[], nn.Module]
    inputs: tuple[Shaped, ...]
    target: Shaped | None = None
    loss: Callable[..., Any] | None = None
    batch_size: int = 1
    accumulate: int = 1
    device: Device = "cuda"
    mixed: bool = False
    recompute: tuple[type, ...] = ()
    offload: bool = False
    optimizer: Callable[..., Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first input, without the batch."""
        return self.inputs[0][0]


@dataclass(frozen=True)
class Memory:
    """What a training step holds at its peak.

    Attributes
    ----------
    parts : dict of str to int
        Bytes at the peak: ``parameters``, ``buffers``, ``gradients``, ``optimizer``,
        ``activations`` (made in the forward pass), ``temporaries`` (made in the backward pass,
        those computed twice among them), ``inputs``.
    host : int
        Bytes that wait in the host's memory at most, when activations are offloaded.
    flops : int
        Floating-point operations of convolutions and matrix products in one batch, forward and
        backward.
    traffic : int
        Bytes that all operations of one batch read and write.
    moved : int
        Bytes that one batch moves between device and host, both ways.
    workspace : int
        Bytes of the operands of the largest convolution.
    device : {"cuda", "cpu"}
    """

    parts: dict[str, int]
    host: int = 0
    flops: int = 0
    traffic: int = 0
    moved: int = 0
    workspace: int = 0
    device: Device = field(default="cuda", kw_only=True)

    @property
    def tensors(self) -> int:
        """Bytes of all tensors at the peak."""
        return sum(self.parts.values())

    @property
    def allowances(self) -> dict[str, int]:
        """Bytes that no dry run sees: estimates, not measured on a GPU by us.

        The context and libraries of CUDA hold some 0.5 GB. cuDNN's kernels for tensor cores want
        channels last and copy what a convolution reads and writes. torch's allocator keeps blocks
        that fit no other tensor. On a CPU there is none of these.
        """
        if self.device == "cpu":
            return {}
        return {
            "CUDA context": CONTEXT,
            "cuDNN workspace": self.workspace,
            "fragments": int(FRAGMENTS * self.tensors),
        }

    @property
    def peak(self) -> int:
        """Bytes to have: tensors and allowances."""
        return self.tensors + sum(self.allowances.values())

    @property
    def table(self) -> pd.DataFrame:
        """Where the memory goes: ``part``, ``gb``, largest first, allowances last."""
        import pandas as pd

        parts = sorted(self.parts.items(), key=lambda part: -part[1])
        rows = [*parts, *((f"allowance: {k}", v) for k, v in self.allowances.items())]
        return pd.DataFrame([(name, size / GB) for name, size in rows], columns=["part", "gb"])


def shapes(inputs: Any) -> tuple[Shaped, ...]:
    """Shape and type of each input, from shapes or tensors, without the batch's axis."""
    several = isinstance(inputs, Sequence) and not all(isinstance(n, int) for n in inputs)
    return tuple(_shaped(one) for one in (inputs if several else [inputs]))


def _shaped(one: Any) -> Shaped:
    if hasattr(one, "shape"):
        return tuple(one.shape), str(one.dtype).removeprefix("torch.")
    if len(one) == 2 and isinstance(one[1], str):
        return tuple(one[0]), one[1]
    return tuple(one), "float32"
