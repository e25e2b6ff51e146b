"""A training step on tensors without data: what it holds and what it computes.

torch's fake tensors have shape and type, but no values. The network, the loss, the backward pass
and Adam run on them as on real ones, and each allocation is written down with its end. They are CPU
tensors even where a GPU is asked about: torch without CUDA cannot differentiate others. What is
different on a GPU is put in its place: rounding, Adam over all weights at once, offload.

What torch does not promise to outsiders is used here, in `allocations` and `cpu_workspace`, and
nowhere else in the kit; `tests/memory/test_step.py` holds it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.allocations import Book
from nextaim_kit.memory.recompute import recomputing
from nextaim_kit.memory.step_memory import Memory, Step

_PARTS = 2  # batches of a step that are run: from the second on, gradients are there already


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
    adam = (step.optimizer or torch.optim.Adam)(weights, foreach=step.device == "cuda")
    book = Book(step.device)
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


def _batch(step: Step, net: nn.Module, loss: Any, clear: Any, book: Book) -> None:
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
