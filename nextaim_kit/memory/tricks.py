"""The tricks of the memory planner: how each can be set, and what it costs you.

References
----------
Mixed precision: Micikevicius et al. 2018, arXiv:1710.03740. Checkpointing: Chen et al. 2016,
arXiv:1604.06174. Offload: Rhu et al. 2016, arXiv:1602.08124. Patches: Isensee et al. 2021,
doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nextaim_kit.errors import RequestError
from nextaim_kit.memory.step_memory import Step

if TYPE_CHECKING:
    from torch import nn

LINK = 12e9  # bytes per second between host and device: under half of PCIe 4.0 x16, a guess
_GRID = 16  # edges of patches are multiples: four halvings
_WIDTHS = (0.75, 0.5, 0.25)

Mixed = Literal["offer", "on", "off"]


@dataclass(frozen=True)
class Offer:
    """Ways to use a trick; where they are ordered, the first that fits is the best."""

    trick: str
    costs: str
    steps: Sequence[tuple[str, Step]] = ()
    ordered: bool = True


def mixed(step: Step, asked: Mixed) -> Offer:
    """Bfloat16 in the arithmetic, single precision in weights and losses."""
    trick = "mixed precision"
    if step.device == "cpu":
        return Offer(trick, "a CPU computes bfloat16 more slowly, not less")
    if step.mixed:
        return Offer(trick, "in use already")
    if asked == "off":
        return Offer(trick, "switched off by you")
    costs = (
        "bfloat16 rounds to 2 or 3 digits where that is known to be harmless; weights and losses "
        "stay in single precision (Micikevicius 2018). Time: fewer bytes, arithmetic no faster"
    )
    return Offer(trick, costs, [("bfloat16", replace(step, mixed=True))])


def recompute(step: Step, blocks: Sequence[type] | None) -> Offer:
    """Blocks whose activations are computed again instead of kept."""
    from nextaim_kit.memory.dry_run import block_kinds

    trick = "activation checkpointing"
    if step.recompute:
        return Offer(trick, "in use already")
    kinds = block_kinds(step) if blocks is None else list(blocks)
    if not kinds:
        return Offer(trick, "the network has no blocks that could be computed twice")
    costs = (
        "the same numbers, later: blocks are computed twice. Time from counted operations and "
        "bytes; Chen 2016 measured +30 %"
    )
    steps = [(kind.__name__, replace(step, recompute=(kind,))) for kind in kinds]
    return Offer(trick, costs, steps, ordered=False)


def smaller_batch(step: Step) -> Offer:
    """Fewer items at once, and as many to an update as before."""
    from nextaim_kit.memory.dry_run import has_batch_norm

    trick, whole = "smaller batch, accumulated", step.batch_size
    parts = [n for n in range(whole - 1, 0, -1) if whole % n == 0]
    if not parts:
        return Offer(trick, "the batch is a single item already")
    costs = (
        f"an update still sees {whole * step.accumulate} items; small batches use a GPU less well"
    )
    if has_batch_norm(step):
        costs += ". BATCH NORM SEES THE SMALLER BATCH: other statistics, other numbers"
    else:
        costs += (
            ". No batch norm in this network: the same update where the loss is a mean over items"
        )
    steps = [
        (f"{n} x {step.accumulate * whole // n}",
         replace(step, batch_size=n, accumulate=step.accumulate * whole // n))
        for n in parts
    ]  # fmt: skip
    return Offer(trick, costs, steps)


def offload(step: Step) -> Offer:
    """What the backward pass needs waits in the host's memory."""
    trick = "offload of saved activations"
    if step.device == "cpu":
        return Offer(trick, "there is no device to take them off")
    costs = (
        "the same numbers, later: activations go to the host's memory and come back. Time from "
        f"bytes moved at an assumed {LINK / 1e9:g} GB/s (idea: Rhu 2016)"
    )
    return Offer(trick, costs, [("to the host's memory", replace(step, offload=True))])


def patches(step: Step, allowed: bool | Sequence[int]) -> Offer:
    """Parts of the volume, where they are allowed."""
    trick = "patches"
    if not allowed:
        return Offer(trick, "not allowed by you: the network would no longer see the whole volume")
    if len(step.inputs) > 1 or (step.target and len(step.target[0]) != len(step.shape)):
        return Offer(trick, "inputs and target have no common grid that could be cut")
    sizes = _halved(step.shape[1:]) if allowed is True else [tuple(allowed)]
    costs = (
        "CHANGES WHAT THE NETWORK SEES: no context beyond a patch, and a volume is put together "
        "from many (Isensee 2021)"
    )
    steps = [(" x ".join(map(str, size)), _cut(step, size)) for size in sizes]
    return Offer(trick, costs, steps)


def _halved(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Ever smaller patches: the longest edge is halved, on a grid, until all are at the least."""
    found, size = [], list(shape)
    while max(size) > _GRID:
        longest = size.index(max(size))
        size[longest] = max(_GRID, size[longest] // 2 // _GRID * _GRID)
        found.append(tuple(size))
    return found


def _cut(step: Step, size: tuple[int, ...]) -> Step:
    (shape, kind), target = step.inputs[0], step.target
    if len(size) != len(shape) - 1 or any(a > b for a, b in zip(size, shape[1:], strict=True)):
        raise RequestError(
            "this patch cannot be cut out of the volume",
            expected=f"{len(shape) - 1} edges, none above {shape[1:]}",
            found=str(size),
        )
    return replace(
        step,
        inputs=(((shape[0], *size), kind),),
        target=((target[0][0], *size), target[1]) if target else None,
    )


def narrower(step: Step, narrower: Callable[[float], Callable[[], nn.Module]] | None) -> Offer:
    """Another network, where it is allowed."""
    trick = "fewer feature maps"
    if narrower is None:
        return Offer(trick, "not allowed by you: it would be another network")
    costs = "ANOTHER NETWORK: it can learn less; results are not those of the one asked for"
    steps = [(f"{w:g} of the width", replace(step, build=narrower(w))) for w in _WIDTHS]
    return Offer(trick, costs, steps)
