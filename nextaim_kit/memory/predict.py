"""The peak memory of a training step, predicted without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.step_memory import Memory, Step, shapes


def predict(build: Callable[[], nn.Module], inputs: Any, **options: Any) -> Memory:
    """Predict the peak memory of a training step with Adam, without running it.

    Two updates are run on tensors that have a shape but no values, as torch would run them: the
    memory of a real one is what these would have held. It takes a second or two and next to no
    memory, for any network and any size.

    Parameters
    ----------
    build : callable
        Makes a new network.
    inputs : shape, tensor, or list of them
        Of one item, without the batch's axis: ``(channels, depth, height, width)``. A list is for
        a network of several inputs.
    **options
        Other attributes of `Step`: ``batch_size``, ``device``, ``mixed``, ``recompute``, ...

    Returns
    -------
    Memory

    Raises
    ------
    RequestError
        If the network cannot take such inputs.

    Examples
    --------
    >>> from torch import nn
    >>> net = lambda: nn.Sequential(nn.Linear(1000, 1000, bias=False))
    >>> found = predict(net, (1000,), device="cpu")
    >>> found.parts["parameters"], found.parts["gradients"]
    (4000000, 4000000)
    """
    return dry_run(Step(build, shapes(inputs), **options))
