"""A training step on tensors without data: what it holds and computes. All private torch is here.

torch's fake tensors have shape and type, but no values. The network, the loss, the backward pass
and Adam run on them as on real ones, and each allocation is written down with its end. They are CPU
tensors even where a GPU is asked about: torch without CUDA cannot differentiate others. What is
different on a GPU is put in its place: rounding, Adam over all weights at once, offload. torch
promises none of this to outsiders; `tests/machine/test_memory.py` holds all that is used here.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.recompute import recomputing
from nextaim_kit.machine.cpu_workspace import cpu_workspace
from nextaim_kit.machine.memory import Device, Memory, Step

_BLOCK = 512  # bytes that CUDA's caching allocator rounds up to
_HOST = "host"
_PARTS = 2  # batches of a step that are run: from the second on, gradients are there already
_CONVOLUTIONS = torch.ops.aten.convolution, torch.ops.aten.convolution_backward


def dry_run(step: Step) -> Memory:
    """Run two updates of a step on fake tensors and give its peak.

    The second update is the one that counts: the optimizer's state is there from then on.

    Raises
    ------
    RequestError
        If network or loss cannot take such inputs, or look at the values of a tensor.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices=[]))
        fake = stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        try:
            net = stack.enter_context(_placed(step.build(), fake)).train()
            return _updates(step, net, fake, stack)
        except RequestError:
            raise
        except Exception as error:  # whatever a network does with a shape that does not suit it
            raise RequestError(
                "this training step cannot be predicted",
                expected="a network and a loss that take such inputs and look at no values",
                found=f"{type(error).__name__}: {error}".splitlines()[0],
                mend=f"try them on {_described(step)}, or give target and loss of your own",
            ) from error


def block_kinds(step: Step) -> list[type[nn.Module]]:
    """Kinds of blocks that can be computed twice, largest first.

    A kind has weights and several layers, is not the network itself, and does not contain itself:
    a block in a block would be computed three times. torch's own layers are too small.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        net = step.build()
    sizes: Counter[type[nn.Module]] = Counter()
    for block in list(net.modules())[1:]:
        layers = sum(1 for child in block.modules() if not list(child.children()))
        own = not type(block).__module__.startswith("torch.") or type(block) is nn.Sequential
        if own and layers > 1 and any(True for _ in block.parameters()):
            sizes[type(block)] = max(sizes[type(block)], layers)
    flat = [kind for kind in sizes if not _nested(net, kind) and not isinstance(net, kind)]
    return sorted(flat, key=lambda kind: -sizes[kind])


def has_batch_norm(step: Step) -> bool:
    """Whether the network normalizes by the batch's own mean and variance."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in step.build().modules())


def _nested(net: nn.Module, kind: type[nn.Module]) -> bool:
    blocks = (block for block in net.modules() if isinstance(block, kind))
    return any(isinstance(c, kind) for b in blocks for c in list(b.modules())[1:])


def _updates(step: Step, net: nn.Module, fake: FakeTensorMode, stack: ExitStack) -> Memory:
    loss = step.loss or nn.functional.binary_cross_entropy_with_logits
    if isinstance(loss, nn.Module):
        loss = stack.enter_context(_placed(loss, fake))
    weights = [p for p in net.parameters() if p.requires_grad]
    adam = torch.optim.Adam(weights, amsgrad=step.amsgrad, foreach=step.device == "cuda")
    book = _Book(step.device)
    book.write("parameters", *net.parameters())
    book.write("buffers", *net.buffers())
    for weight in weights:
        hook = weight.register_post_accumulate_grad_hook(lambda p: book.write("gradients", p.grad))
        stack.callback(hook.remove)
    stack.enter_context(recomputing(net, step.recompute))
    stack.enter_context(book)
    for update in range(2):
        for part in range(min(step.accumulate, _PARTS)):
            book.counting = update == part == 0
            _batch(step, net, loss, adam if part == 0 else None, book)
        book.label, book.counting = "optimizer", False
        adam.step()
    return book.memory()


def _batch(step: Step, net: nn.Module, loss: Any, clear: Any, book: _Book) -> None:
    """Forward and backward, in Lightning's order: old gradients go after the forward pass."""
    inputs = [_empty(one, step) for one in step.inputs]
    book.write("inputs", *inputs)
    book.label = "activations"
    # Which operations are computed in bfloat16 is the CPU's list, nearly that of a GPU.
    autocast = torch.autocast("cpu", torch.bfloat16) if step.mixed else nullcontext()
    moved = torch.autograd.graph.saved_tensors_hooks(book.to_host, book.to_device)
    saved = moved if step.offload else nullcontext()
    with autocast, saved:
        output = net(*inputs)
        target = _empty(step.target, step) if step.target else _like(output)
        book.write("inputs", target)
        value = loss(output, target)
        del output  # as Lightning's step, which gives the loss alone
    if clear is not None:
        clear.zero_grad()
    book.label = "temporaries"
    value.backward()


def _empty(one: tuple[tuple[int, ...], str], step: Step) -> Tensor:
    shape, kind = one
    return torch.empty((step.batch_size, *shape), dtype=getattr(torch, kind))


def _like(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise RequestError(
            "the network's output is not one tensor",
            expected="a loss and a target's shape to go with it",
            found=type(output).__name__,
        )
    return torch.empty(output.shape)


def _described(step: Step) -> str:
    return " and ".join(str((step.batch_size, *shape)) for shape, _ in step.inputs)


@contextmanager
def _placed(module: nn.Module, fake: FakeTensorMode) -> Iterator[nn.Module]:
    """The module with fake weights; one that had real ones has them again afterwards."""
    made: dict[int, Tensor] = {}
    kept: list[tuple[dict[str, Any], str, Tensor]] = []
    for owner in module.modules():
        tables: list[dict[str, Any]] = [owner._parameters, owner._buffers]
        for table in tables:
            kept += [(table, name, old) for name, old in table.items() if old is not None]
    for table, name, old in kept:
        if id(old) not in made:
            plain = old.detach() if isinstance(old, FakeTensor) else fake.from_tensor(old.detach())
            weight = isinstance(old, nn.Parameter)
            made[id(old)] = nn.Parameter(plain, old.requires_grad) if weight else plain
        table[name] = made[id(old)]
    mode = module.training
    try:
        yield module
    finally:
        module.train(mode)
        for table, name, old in kept:
            table[name] = old


class _Book(TorchDispatchMode):
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
        self._moved += _size(one) if self.counting else 0
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
        self._workspace = max(self._workspace, sum(map(_size, tensors)))
        if self.device == "cpu":
            self._look(inside=cpu_workspace(args, out))

    def _count(self, func: Any, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        if func._overloadpacket in flop_registry:
            self._flops += int(flop_registry[func._overloadpacket](*args, **kwargs, out_val=out))
        if not func.is_view:
            tensors = [one for one in tree_leaves((args, out)) if isinstance(one, Tensor)]
            self._traffic += sum(map(_size, tensors))

    def _rounded(self, size: int) -> int:
        return math.ceil(size / _BLOCK) * _BLOCK if self.device == "cuda" else size


def _size(one: Tensor) -> int:
    return one.numel() * one.element_size()
