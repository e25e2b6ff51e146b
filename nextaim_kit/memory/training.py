"""The memory planner's use in training: what there is, what one item is, what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch.utils.data import Dataset, default_collate

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.machine.limits import memory_available
from nextaim_kit.memory.planning import Plan, plan
from nextaim_kit.memory.step_memory import CONTEXT, GB, Shaped, Step

_SHARE = 0.9  # of a CPU's free memory; the rest is for loading and for what else is open

Budget = Literal["auto"] | float


def make_room(asked: Step, memory: Budget, before: Mapping[str, Any] | None = None) -> Plan:
    """Plan a training that fits, and say what was chosen.

    Parameters
    ----------
    asked : Step
        As the training would run without a plan.
    memory : "auto" or float
        What is free now, or GB of 10**9 bytes.
    before : mapping, optional
        What was chosen when this training began (`Plan.record`); kept as long as it fits.

    Raises
    ------
    RequestError
        If nothing fits that leaves input and network as they are.
    """
    budget = _budget_gb(memory)
    found = _again(asked, before, budget) if before else None
    found = found or plan(
        asked.build, asked.inputs, budget_gb=budget, device=asked.device,
        mixed="on" if asked.mixed else "off", batch_size=asked.batch_size,
        accumulate=asked.accumulate, target=asked.target, loss=asked.loss,
        optimizer=asked.optimizer, recompute=asked.recompute,
    )  # fmt: skip
    if not found.fits:
        raise RequestError(
            "the training does not fit into memory",
            expected=f"at most {budget:.2f} GB",
            found=str(found),
            mend="take a larger slice, smaller inputs or a smaller network: the last two change "
            "the results, so they are yours to choose",
        )
    print(found if found.taken else str(found).splitlines()[0])
    return found


def item_shapes(
    train: Dataset, collate: Callable[[list[Any]], Any] | None = None
) -> tuple[tuple[Shaped, ...], Shaped]:
    """What one item takes: shapes and types of its inputs and of its target, as `Step` has them.

    Raises
    ------
    DataError
        If they are no tensors.
    """
    with torch.random.fork_rng(devices=[]):
        inputs, target = (collate or default_collate)([train[0]])
    several = inputs if isinstance(inputs, list | tuple) else [inputs]
    if not all(isinstance(one, torch.Tensor) for one in (*several, target)):
        raise DataError(
            "memory cannot be planned for such items",
            expected="tensors, or what becomes tensors in a batch",
            found=", ".join(type(one).__name__ for one in (*several, target)),
            mend="train without memory=...",
        )
    shaped = [(tuple(x.shape[1:]), str(x.dtype).removeprefix("torch.")) for x in several]
    return tuple(shaped), (tuple(target.shape[1:]), str(target.dtype).removeprefix("torch."))


def _budget_gb(memory: Budget) -> float:
    """What may be planned with; a GPU's context is in the plan, and here already."""
    if isinstance(memory, int | float) and memory > 0:
        return float(memory)
    if memory != "auto":
        raise RequestError(
            "no memory to plan with", expected="auto, or more than 0 GB", found=repr(memory)
        )
    if torch.cuda.is_available():
        return (torch.cuda.mem_get_info()[0] + CONTEXT) / GB
    return _SHARE * memory_available() / GB


def _again(asked: Step, before: Mapping[str, Any], budget: float) -> Plan | None:
    """What was chosen before, if it fits here too: a resumed training keeps its numbers."""
    from nextaim_kit.memory.dry_run import block_kinds, dry_run

    kinds = {kind.__qualname__: kind for kind in (*asked.recompute, *block_kinds(asked))}
    if not set(before["recompute"]) <= set(kinds):
        return None
    step = replace(
        asked,
        batch_size=before["batch_size"],
        accumulate=before["accumulate"],
        recompute=tuple(kinds[name] for name in before["recompute"]),
        offload=before["offload"],
    )
    found = Plan(step, dry_run(step), budget, ())
    return found if found.fits else None
