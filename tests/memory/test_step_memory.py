"""The predicted memory of a training step, against known values, the allocator, and MemTracker."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.dry_run import block_kinds
from nextaim_kit.memory.predict import predict
from nextaim_kit.memory.step_memory import GB, Step, shapes


class Block(nn.Module):
    """Two convolutions, as a unit that can be computed twice."""

    def __init__(self, before, after):
        super().__init__()
        self.one, self.two = nn.Conv3d(before, after, 3, padding=1), nn.Conv3d(after, after, 1)
        self.norm = nn.InstanceNorm3d(after)

    def forward(self, x):
        return torch.relu(self.two(torch.relu(self.norm(self.one(x)))))


def network(width=8):
    return nn.Sequential(Block(1, width), Block(width, width), nn.Conv3d(width, 1, 1))


def linear():
    return nn.Linear(1000, 500, bias=False)


def train(build, shape, batch_size, updates=2):
    net = build()
    adam = torch.optim.Adam(net.parameters())
    for _ in range(updates):
        value = net(torch.randn(batch_size, *shape)).square().mean()
        adam.zero_grad()
        value.backward()
        adam.step()
        del value


def square(output, target):
    return output.square().mean()


def true_peak(build, shape, batch_size):
    """Of the CPU's allocator, as torch's profiler saw it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        train(build, shape, batch_size)
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def test_weights_gradients_and_adam_s_two_states_have_their_known_sizes():
    found = predict(linear, (1000,), device="cpu")
    size = 1000 * 500 * 4
    assert found.parts["parameters"] == found.parts["gradients"] == size
    assert found.parts["optimizer"] >= 2 * size
    more = predict(linear, (1000,), device="cpu", optimizer=partial(torch.optim.Adam, amsgrad=True))
    assert more.parts["optimizer"] - found.parts["optimizer"] == pytest.approx(size, rel=0.01)


def test_operations_are_counted_forward_and_backward():
    found = predict(linear, (1000,), device="cpu", batch_size=10)
    forward = 2 * 10 * 1000 * 500
    assert found.flops == 2 * forward  # the input wants no gradient


def test_activations_grow_with_the_batch_and_the_volume():
    def growing(batch, edge):
        found = predict(network, (1, edge, edge, edge), batch_size=batch)
        fixed = ("parameters", "gradients", "optimizer", "buffers")
        return found.tensors - sum(found.parts.get(name, 0) for name in fixed)

    one = growing(1, 16)
    assert growing(2, 16) == pytest.approx(2 * one, rel=0.02)
    assert growing(1, 32) == pytest.approx(8 * one, rel=0.02)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_prediction_is_what_the_cpu_s_allocator_gives_out(batch_size):
    shape = (1, 40, 40, 40)
    found = predict(network, shape, batch_size=batch_size, device="cpu", loss=square)
    # What convolutions hold inside was seen with AVX-512; elsewhere oneDNN has other kernels.
    known = torch.backends.cpu.get_cpu_capability() == "AVX512"
    assert found.peak == pytest.approx(
        true_peak(network, shape, batch_size), rel=0.05 if known else 0.3
    )


@pytest.mark.parametrize("batch_size", [1, 300])
def test_without_convolutions_the_prediction_holds_on_every_processor(batch_size):
    def layers():
        return nn.Sequential(nn.Linear(1000, 500), nn.ReLU(), nn.LayerNorm(500), nn.Linear(500, 9))

    found = predict(layers, (1000,), batch_size=batch_size, device="cpu", loss=square)
    assert found.peak == pytest.approx(true_peak(layers, (1000,), batch_size), rel=0.05)


def test_torch_s_own_tracker_says_the_same():
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    with FakeTensorMode():
        tracker = MemTracker()
        with tracker:
            train(network, (1, 32, 32, 32), 2, updates=1)
        theirs = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    ours = predict(network, (1, 32, 32, 32), batch_size=2, loss=square)  # none inside operations
    assert ours.tensors == pytest.approx(theirs, rel=0.05)


@pytest.fixture
def one_thread():
    """What operations hold inside grows with the threads that share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_blocks_computed_twice_hold_less_and_compute_more(one_thread):
    shape = 1, 32, 32, 32
    plain = predict(network, shape, batch_size=2, device="cpu")
    twice = predict(network, shape, batch_size=2, device="cpu", recompute=(Block,))
    assert twice.peak < 0.8 * plain.peak
    assert 1.1 < twice.flops / plain.flops < 1.5


def test_mixed_precision_needs_less_although_no_gpu_is_here():
    shape = 1, 32, 32, 32
    plain, mixed = (predict(network, shape, batch_size=4, mixed=m) for m in (False, True))
    assert mixed.tensors < 0.75 * plain.tensors
    assert not torch.is_autocast_enabled("cuda")


def test_offloaded_activations_wait_on_the_host():
    shape = 1, 32, 32, 32
    plain, moved = (predict(network, shape, batch_size=4, offload=o) for o in (False, True))
    assert moved.tensors < 0.7 * plain.tensors
    assert moved.host > plain.tensors - moved.tensors
    assert moved.moved == pytest.approx(2 * moved.host, rel=0.1)


def test_gradients_that_are_added_up_stay_during_the_next_batch():
    one, two = (predict(linear, (1000,), batch_size=8000, accumulate=n, device="cpu")
                for n in (1, 2))  # fmt: skip
    assert two.tensors - one.tensors == pytest.approx(1000 * 500 * 4, rel=0.01)


def test_allowances_are_named_for_a_gpu_and_none_for_a_cpu():
    here, there = (predict(network, (1, 16, 16, 16), device=d) for d in ("cpu", "cuda"))
    assert here.allowances == {}
    assert set(there.allowances) == {"CUDA context", "cuDNN workspace", "fragments"}
    assert there.peak == there.tensors + sum(there.allowances.values())
    assert there.table["gb"].sum() == pytest.approx(there.peak / GB)


def test_a_volume_far_larger_than_this_machine_is_predicted():
    found = predict(network, (1, 1024, 1024, 1024), batch_size=4)
    assert found.peak > 1000 * GB


def test_a_network_that_is_there_already_keeps_its_weights():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    predict(lambda: net, (1, 16, 16, 16))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert net(torch.zeros(1, 1, 8, 8, 8)).isfinite().all()


def test_a_prediction_draws_nothing_from_the_generator():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    predict(network, (1, 16, 16, 16))
    assert torch.equal(torch.rand(2), expected)


def test_a_shape_that_the_network_cannot_take_is_refused():
    with pytest.raises(RequestError, match=r"cannot be predicted(.|\n)*\(1, 2, 8, 8, 8\)"):
        predict(network, (2, 8, 8, 8))


def test_a_loss_that_looks_at_values_is_refused():
    def loss(output, target):
        return output.mean() if output.sum() > 0 else output.sum()

    with pytest.raises(RequestError, match="look at no values"):
        predict(network, (1, 8, 8, 8), loss=loss)


def test_a_network_of_several_inputs_and_several_outputs_needs_a_loss():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 2), nn.Linear(3, 2)

        def forward(self, x, y):
            return self.a(x), self.b(y)

    with pytest.raises(RequestError, match="not one tensor"):
        predict(Two, [(4,), (3,)])
    found = predict(Two, [(4,), (3,)], loss=lambda o, _: (o[0] + o[1]).sum(),
                    target=((2,), "float32"))  # fmt: skip
    assert found.tensors > 0


def test_a_loss_with_weights_of_its_own_goes_to_the_device():
    weighted = nn.BCEWithLogitsLoss(pos_weight=torch.ones(1) * 3)
    assert predict(network, (1, 8, 8, 8), loss=weighted).tensors > 0
    assert weighted.pos_weight.tolist() == [3]


def test_inputs_are_shapes_tensors_or_lists_of_them():
    assert shapes((1, 8)) == (((1, 8), "float32"),)
    assert shapes(torch.zeros(3, dtype=torch.int64)) == (((3,), "int64"),)
    assert shapes([(1, 8), torch.zeros(2)]) == (((1, 8), "float32"), ((2,), "float32"))


def test_blocks_are_offered_that_are_neither_too_small_nor_the_whole():
    def kinds(build):
        return block_kinds(Step(build, shapes((1, 8, 8, 8))))

    assert kinds(network) == [Block]
    assert kinds(lambda: nn.Sequential(nn.Conv3d(1, 1, 1), nn.ReLU())) == []


def test_the_planner_is_imported_without_torch():
    lines = (
        "import sys, nextaim_kit.memory.planning, nextaim_kit.memory.fitting;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", lines], check=True)


@pytest.mark.gpu
def test_the_prediction_is_what_a_gpu_s_allocator_gives_out():
    if not torch.cuda.is_available():
        pytest.skip("left out: no GPU here")
    shape = 1, 64, 64, 64
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    with torch.device("cuda"):
        train(network, shape, 2)
    found = predict(network, shape, batch_size=2, loss=square)
    assert found.tensors == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.1)
    assert torch.cuda.max_memory_reserved() <= found.peak
