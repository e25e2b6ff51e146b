import sys
from types import SimpleNamespace

import pytest

from nextaim_kit.machine.gpu import Gpu, device_memories, device_sizes, find_gpu


class Block:
    """Stands for a tensor of ones on the device."""

    def __init__(self, number):
        self.number = number

    def sum(self):
        return self

    def item(self):
        return self.number


@pytest.fixture
def device(monkeypatch):
    """Plant a torch that sees a device of this name; `ones` replaces its allocation."""

    def plant(name, ones=lambda n, **_: Block(n)):
        cuda = SimpleNamespace(
            is_available=lambda: True,
            synchronize=lambda: None,
            empty_cache=lambda: None,
            mem_get_info=lambda _: (9 * 2**30, 10 * 2**30),
            get_device_properties=lambda _: SimpleNamespace(name=name),
        )
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, ones=ones, float32=0))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return plant


def test_a_whole_gpu_is_found_with_its_memory(device):
    device("NVIDIA A100")
    assert find_gpu() == Gpu("gpu", "NVIDIA A100", 10 * 2**30, 9 * 2**30)


def test_a_slice_is_told_by_its_name(device):
    device("NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    assert find_gpu().kind == "mig"


def test_a_slice_is_told_by_the_visible_devices(device, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-0fa2")
    device("NVIDIA A100")
    assert find_gpu().kind == "mig"


def test_a_device_without_room_is_none_with_the_reason(device):
    def full(n, **_):
        raise RuntimeError("CUDA out of memory\nmore")

    device("NVIDIA A100", ones=full)
    assert find_gpu() == Gpu(problem="CUDA out of memory")


def test_a_device_that_adds_wrongly_is_none(device):
    device("NVIDIA A100", ones=lambda n, **_: Block(n - 1))
    found = find_gpu()
    assert (found.kind, "adds wrongly" in found.problem) == ("none", True)


def test_without_torch_there_is_none_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "cannot be imported" in find_gpu().problem


@pytest.mark.gpu
def test_the_gpu_of_this_machine_is_found():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("left out: no GPU here")
    found = find_gpu()
    assert found.kind in {"gpu", "mig"}
    assert 0 < found.free <= found.total


def test_sizes_are_of_as_many_devices_as_memories_and_no_smaller():
    sizes, free = device_sizes(), list(device_memories().values())
    assert len(sizes) == len(free)
    assert all(size >= left for size, left in zip(sizes, free, strict=True))
