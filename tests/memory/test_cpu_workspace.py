"""What convolutions hold inside, by known values of torch's own kernels and by the allocator."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from nextaim_kit.memory.cpu_workspace import cpu_workspace

FLOAT = 4


def call(batch, before, after, edge, kernel=3, stride=1):
    """Arguments of a convolution, and what it gives."""
    x = torch.zeros(batch, before, edge, edge, edge)
    weight = torch.zeros(after, before, kernel, kernel, kernel)
    how = [stride] * 3, [kernel // 2] * 3, [1] * 3, False, [0] * 3, 1
    return (x, weight, None, *how), torch.ops.aten.convolution(x, weight, None, *how)


def test_a_single_small_volume_is_unfolded_into_a_column_for_each_place_of_the_kernel():
    args, out = call(1, 3, 3, 16)
    assert cpu_workspace(args, out) == 3 * 27 * 16**3 * FLOAT
    args, out = call(1, 3, 3, 16, stride=2)
    assert cpu_workspace(args, out) == 3 * 27 * 8**3 * FLOAT


def test_a_kernel_of_one_place_unfolds_nothing():
    args, out = call(1, 3, 3, 16, kernel=1)
    assert cpu_workspace(args, out) == 0


@pytest.mark.parametrize(("before", "after", "stride"), [(16, 32, 1), (16, 32, 2), (1, 16, 1)])
def test_onednn_copies_are_as_large_as_the_allocator_says(before, after, stride):
    args, out = call(2, before, after, 32, stride=stride)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        torch.ops.aten.convolution(*args)
    now = peak = 0
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    assert cpu_workspace(args, out) == pytest.approx(peak - out.numel() * FLOAT, rel=0.05)
