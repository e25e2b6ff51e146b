"""How much memory a training step really takes, and how long: the truth beside a prediction."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.profiler import ProfilerActivity, profile

from nextaim_kit.memory.recompute import recomputing
from nextaim_kit.memory.step_memory import Device, Shaped, Step


@dataclass(frozen=True)
class Measured:
    """What was seen of a training step that was run.

    Attributes
    ----------
    peak : int
        Bytes that its tensors held at most.
    seconds : float
        Of the fastest update after the first.
    """

    peak: int
    seconds: float


def measure(step: Step, updates: int = 2) -> Measured:
    """Run a step on random numbers and see what it holds.

    Parameters
    ----------
    step : Step
        Without offload.
    updates : int
        At least 2: the optimizer's state is there from the second on.
    """
    seconds: list[float] = []
    peak = peak_of(lambda: train(step, updates, seconds), step.device)
    return Measured(peak, min(seconds[1:]))


def peak_of(run: Callable[[], Any], device: Device = "cpu") -> int:
    """Bytes of tensors that were given out at most while something ran, beyond those before.

    On a CPU torch's profiler sees the allocator give and take; on a GPU the allocator counts.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    # The profiler's library writes the time of every start and stop to the terminal.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with (
        _nothing_old_goes(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler,
    ):
        run()
    results: Any = profiler.profiler
    events = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()  # negative where memory is given back
        peak = max(peak, now)
    return peak


@contextmanager
def _nothing_old_goes() -> Iterator[None]:
    """Collect garbage before, and none meanwhile: old tensors that go would hide new ones."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def train(step: Step, updates: int = 2, seconds: list[float] | None = None) -> None:
    """Real updates by a plain loop, in Lightning's order; `seconds` gets the time of each."""
    device = torch.device(step.device)
    net = step.build().to(device).train()
    adam = (step.optimizer or torch.optim.Adam)(net.parameters())
    given = [*step.inputs, step.target or _like_output(step)]
    with recomputing(net, step.recompute):
        for _ in range(updates):
            began = perf_counter()
            for part in range(step.accumulate):
                _batch(step, net, adam if part == 0 else None, given)
            adam.step()
            if step.device == "cuda":
                torch.cuda.synchronize()
            if seconds is not None:
                seconds.append(perf_counter() - began)


def _batch(step: Step, net: nn.Module, clear: Any, given: list[Shaped]) -> None:
    """A target is there before the forward pass, as a loader gives it."""
    device, loss = torch.device(step.device), step.loss or binary_cross_entropy_with_logits
    *inputs, target = [_drawn(*one, step.batch_size, device) for one in given]
    with torch.autocast(step.device, torch.bfloat16) if step.mixed else nullcontext():
        value = loss(net(*inputs), target)
    if clear is not None:
        clear.zero_grad()
    value.backward()


def _like_output(step: Step) -> Shaped:
    with torch.device("meta"):
        inputs = [torch.empty(1, *shape, dtype=getattr(torch, kind)) for shape, kind in step.inputs]
        output = step.build()(*inputs)
    return tuple(output.shape[1:]), "float32"


def _drawn(shape: tuple[int, ...], kind: str, batch_size: int, device: torch.device) -> Tensor:
    return torch.rand((batch_size, *shape), device=device).to(getattr(torch, kind))
