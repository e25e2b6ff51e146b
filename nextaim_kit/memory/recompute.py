"""Activation checkpointing: blocks that are computed twice, so that less has to be remembered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputing(net: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[None]:
    """Let blocks of these kinds, meanwhile, forget inner activations until the backward pass.

    Outputs, gradients and batch normalization's running statistics stay the same, and so do the
    names of the weights. In evaluation nothing changes.

    References
    ----------
    Chen et al. 2016, arXiv:1604.06174.
    """
    blocks = [block for block in net.modules() if isinstance(block, kinds)]
    for block in blocks:
        _wrap(block)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # what its class has comes forth again


def _wrap(block: nn.Module) -> None:
    plain = block.forward

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_kept(block)

    def forward(*inputs: Any) -> Any:
        if not block.training:
            return plain(*inputs)
        return checkpoint(plain, *inputs, use_reentrant=False, context_fn=contexts)

    block.forward = forward  # the module itself stays, so that its weights keep their names


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The second computation must not count a batch again in the running statistics."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    before = [(norm.momentum, _copied(norm.num_batches_tracked)) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = counted


def _copied(counted: Tensor | None) -> Tensor | None:
    return None if counted is None else counted.clone()
