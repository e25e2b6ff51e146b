"""What a training step holds at each moment: every allocation of a dry run, with its end."""

from __future__ import annotations

import math
import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nextaim_kit.memory.cpu_workspace import bytes_of, cpu_workspace
from nextaim_kit.memory.step_memory import Device, Memory

_BLOCK = 512  # bytes that CUDA's caching allocator rounds up to
_HOST = "host"
_CONVOLUTIONS = torch.ops.aten.convolution, torch.ops.aten.convolution_backward


class Book(TorchDispatchMode):
    """Writes down each storage when it is made and when it goes."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device, self.label, self.counting = device, "parameters", False
        self._held: dict[int, tuple[Any, str, int]] = {}  # by the storage's address
        self._now, self._peak, self._host = Counter[str](), Counter[str](), 0
        self._flops, self._traffic, self._moved, self._workspace = 0, 0, 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self._enter(self.label, *(one for one in tree_leaves(out) if isinstance(one, Tensor)))
        packet = func._overloadpacket
        if packet in _CONVOLUTIONS:
            self._convolved(packet, args, out)
        if self.counting:
            self._count(func, args, kwargs or {}, out)
        return out

    def write(self, label: str, *tensors: Tensor | None) -> None:
        """Enter tensors under a label, whatever they were entered under before."""
        self._enter(label, *(one for one in tensors if one is not None), again=True)

    def to_host(self, one: Tensor) -> Tensor:
        """What torch's `save_on_cpu` does: a copy in the host's memory."""
        return self._copied(one, _HOST)

    def to_device(self, one: Tensor) -> Tensor:
        """And back, another copy."""
        return self._copied(one, self.label)

    def memory(self) -> Memory:
        """What was found."""
        found = self._host, self._flops, self._traffic, self._moved, self._workspace
        return Memory(dict(+self._peak), *found, device=self.device)

    def _copied(self, one: Tensor, label: str) -> Tensor:
        before, self.label = self.label, label
        copied = one.detach().clone()
        self.label = before
        self._moved += bytes_of(one) if self.counting else 0
        return copied

    def _enter(self, label: str, *tensors: Tensor, again: bool = False) -> None:
        for one in tensors:
            storage = one.untyped_storage()
            key = storage._cdata
            if key in self._held:
                if not again:
                    continue
                self._strike(key)
            size = self._rounded(storage.nbytes())
            # mypy infers no type for a lambda that binds the loop's value.
            end = weakref.ref(storage, lambda _, key=key: self._strike(key))  # type: ignore[misc]
            self._held[key] = end, label, size
            self._now[label] += size
        self._look()

    def _strike(self, key: int) -> None:
        _, label, size = self._held.pop(key)
        self._now[label] -= size

    def _look(self, inside: int = 0) -> None:
        """Note the peak; `inside` are bytes that an operation held for itself."""
        self._host = max(self._host, self._now[_HOST])
        if self._now.total() - self._now[_HOST] + inside > self._peak.total():
            self._peak = Counter(self._now | {"inside operations": inside})
            del self._peak[_HOST]

    def _convolved(self, packet: Any, args: Any, out: Any) -> None:
        tensors = [one for one in tree_leaves((args, out)) if isinstance(one, Tensor)]
        self._workspace = max(self._workspace, sum(map(bytes_of, tensors)))
        if self.device == "cpu":
            self._look(inside=cpu_workspace(args, out))

    def _count(self, func: Any, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        if func._overloadpacket in flop_registry:
            self._flops += int(flop_registry[func._overloadpacket](*args, **kwargs, out_val=out))
        if not func.is_view:
            tensors = [one for one in tree_leaves((args, out)) if isinstance(one, Tensor)]
            self._traffic += sum(map(bytes_of, tensors))

    def _rounded(self, size: int) -> int:
        return math.ceil(size / _BLOCK) * _BLOCK if self.device == "cuda" else size
