"""A training step that fits into memory: which tricks, in which order, and what each costs.

Tricks that leave the science alone come first; what changes what the network sees or is comes last
and only if it is allowed. Nothing is changed without being said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nextaim_kit.errors import RequestError
from nextaim_kit.memory import tricks
from nextaim_kit.memory.step_memory import GB, Memory, Step, shapes
from nextaim_kit.memory.tricks import LINK, Mixed, Offer

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

# A 1g.10gb slice of an A100-80GB: a seventh of the card's 312e12 operations per second in bfloat16,
# of which a quarter is taken to be reached, and an eighth of its 1.9e12 bytes per second (NVIDIA's
# data sheet).
_SPEED = 0.25 * 312e12 / 7
_BANDWIDTH = 1.9e12 / 8
_WORTH = 0.98  # a trick that leaves more of the memory than this saves nothing


@dataclass(frozen=True)
class Row:
    """A trick and what it does, on top of those that were taken before it.

    Attributes
    ----------
    trick, choice : str
        What it is called, and how it was set.
    memory : Memory or None
        Predicted; None where it was not worked out.
    time : float or None
        Expected, in units of the plain step: an estimate.
    costs : str
        What it costs you.
    verdict : {"taken", "saves nothing", "not needed", "not offered"}
    """

    trick: str
    choice: str
    memory: Memory | None
    time: float | None
    costs: str
    verdict: str


@dataclass(frozen=True)
class Plan:
    """How a training step is to be run so that it fits.

    Attributes
    ----------
    step : Step
        The step to run, with all that was taken.
    memory : Memory
        Its prediction.
    budget_gb : float
        What there is, in GB of 10**9 bytes.
    rows : tuple of Row
        The plain step first, then each trick in order.
    """

    step: Step
    memory: Memory
    budget_gb: float
    rows: tuple[Row, ...]

    @property
    def fits(self) -> bool:
        """Whether the prediction, allowances included, is within the budget."""
        return self.memory.peak <= self.budget_gb * GB

    @property
    def taken(self) -> list[Row]:
        """Tricks that the plan uses."""
        return [row for row in self.rows[1:] if row.verdict == "taken"]

    @property
    def update_seconds(self) -> float:
        """Of one update on a slice of an A100: an estimate, never measured on one."""
        return _seconds(self.step, self.memory)

    @property
    def table(self) -> pd.DataFrame:
        """``trick``, ``choice``, ``memory_gb``, ``expected_time``, ``what_it_costs``, ``verdict``.

        Memory is with all tricks taken above. Time is an estimate in units of the plain step.
        """
        import pandas as pd

        rows = [
            (r.trick, r.choice, r.memory and r.memory.peak / GB, r.time, r.costs, r.verdict)
            for r in self.rows
        ]
        names = "trick", "choice", "memory_gb", "expected_time", "what_it_costs", "verdict"
        return pd.DataFrame(rows, columns=list(names)).astype(
            {"memory_gb": float, "expected_time": float}
        )

    def record(self) -> dict[str, Any]:
        """What was chosen, as plain values."""
        step = self.step
        return {
            "budget_gb": round(self.budget_gb, 3),
            "predicted_gb": round(self.memory.peak / GB, 3),
            "batch_size": step.batch_size,
            "accumulate": step.accumulate,
            "mixed": step.mixed,
            "recompute": [kind.__qualname__ for kind in step.recompute],
            "offload": step.offload,
            "shape": list(step.shape),
            "steps": [f"{row.trick}: {row.choice}" for row in self.taken],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        word = "fits into" if self.fits else "does NOT fit into"
        yield (
            f"memory plan: {self.memory.peak / GB:.2f} GB predicted, {word} {self.budget_gb:.2f} GB"
        )
        for row in self.rows:
            size = f"{row.memory.peak / GB:.2f} GB" if row.memory else "-"
            time = f"{row.time:.2f} x" if row.time else "-"
            name = f"{row.trick}: {row.choice}" if row.choice else row.trick
            yield f"  {name:<52} {size:>10} {time:>8}  {row.verdict}"
            if row.verdict in {"taken", "not offered"}:
                yield f"      {row.costs}"
        for name, bytes_ in self.memory.allowances.items():
            yield f"  of which allowance for {name}: {bytes_ / GB:.2f} GB (estimate)"
        yield (
            "  times are estimates in units of the step as asked, from counted operations and "
            "bytes at the speeds of a 1g slice of an A100"
        )


def plan(
    build: Callable[[], nn.Module],
    inputs: Any,
    *,
    budget_gb: float,
    mixed: Mixed = "offer",
    blocks: Sequence[type] | None = None,
    patches: bool | Sequence[int] = False,
    narrower: Callable[[float], Callable[[], nn.Module]] | None = None,
    every: bool = False,
    **options: Any,
) -> Plan:
    """Choose how to train within a budget of memory, changing as little as can be.

    Tricks are tried in this order, until the step fits: mixed precision, activation
    checkpointing, smaller batches with accumulation, offload of saved activations to the host,
    patches, fewer feature maps. The last two change what the network sees and is: they are used
    only where they are allowed.

    Parameters
    ----------
    build : callable
        Makes a new network.
    inputs : shape, tensor, or list of them
        Of one item, without the batch's axis.
    budget_gb : float
        Memory of the device, GB of 10**9 bytes.
    mixed : {"offer", "on", "off"}
        Whether mixed precision may be used, is used anyway, or is not. Offered on GPUs alone.
    blocks : sequence of module types, optional
        Blocks that may be computed twice; by default each kind that suits is tried.
    patches : bool or sequence of int
        Whether the network may see patches, or of which size: (depth, height, width).
    narrower : callable, optional
        Of a factor of the width in ]0, 1[; gives a `build`. Giving it allows fewer feature maps.
    every : bool
        Work out the tricks that are not needed too, for comparison.
    **options
        Other attributes of `memory.Step`: ``device``, ``batch_size``, ``accumulate``, ``target``,
        ``loss``.

    Returns
    -------
    Plan
        With the best that was found where nothing fits; see ``fits``.

    Raises
    ------
    RequestError
        If the budget is not positive, or the network cannot take such inputs.
    """
    if not budget_gb > 0:
        raise RequestError(
            "no memory to plan with", expected="more than 0 GB", found=f"{budget_gb:g}"
        )
    first = Step(build, shapes(inputs), mixed=mixed == "on", **options)
    search = _Search(first, budget_gb, every)
    search.take(tricks.mixed(search.step, mixed))
    search.take(tricks.recompute(search.step, blocks))
    search.take(tricks.smaller_batch(search.step))
    search.take(tricks.offload(search.step))
    search.take(tricks.patches(search.step, patches))
    search.take(tricks.narrower(search.step, narrower))
    return Plan(search.step, search.memory, budget_gb, tuple(search.rows))


class _Search:
    """The step so far, and the rows of the table."""

    def __init__(self, first: Step, budget_gb: float, every: bool) -> None:
        self.step, self.budget, self.every = first, budget_gb * GB, every
        self.memory = _predict(first)
        self._plain, self._volume = _seconds(first, self.memory), math.prod(first.shape[1:])
        kind = "mixed precision" if first.mixed else "single precision"
        said = f"{kind}, batch of {first.batch_size}" + (
            f", {first.accumulate} accumulated" if first.accumulate > 1 else ""
        )
        self.rows = [Row("as asked", said, self.memory, 1.0, "", "")]

    @property
    def done(self) -> bool:
        return self.memory.peak <= self.budget

    def take(self, offer: Offer) -> None:
        """Take the best way to use a trick, if it is needed and saves something."""
        if not offer.steps:
            self.rows.append(Row(offer.trick, "", None, None, offer.costs, "not offered"))
        elif self.done and not self.every:
            self.rows.append(Row(offer.trick, "", None, None, offer.costs, "not needed"))
        else:
            self._weigh(offer)

    def _weigh(self, offer: Offer) -> None:
        try:
            choice, step, memory = self._best(offer)
        except RequestError as error:
            why = f"none of the ways works with this network: {error.found}"
            self.rows.append(Row(offer.trick, "", None, None, why, "not offered"))
            return
        verdict = "taken" if memory.peak < _WORTH * self.memory.peak else "saves nothing"
        if self.done:
            verdict = "not needed"
        self.rows.append(Row(offer.trick, choice, memory, self._time(step, memory), offer.costs,
                             verdict))  # fmt: skip
        if verdict == "taken":
            self.step, self.memory = step, memory

    def _best(self, offer: Offer) -> tuple[str, Step, Memory]:
        found = []
        for choice, step in offer.steps:
            try:
                found.append((choice, step, _predict(step)))
            except RequestError as error:  # such as a patch that the network's levels do not divide
                failure = error
                continue
            if offer.ordered and found[-1][2].peak <= self.budget:
                return found[-1]
        if not found:
            raise failure
        fitting = [one for one in found if one[2].peak <= self.budget]
        if fitting:
            return min(fitting, key=lambda one: _seconds(one[1], one[2]))
        return min(found, key=lambda one: one[2].peak)

    def _time(self, step: Step, memory: Memory) -> float:
        pieces = self._volume / math.prod(step.shape[1:])  # patches to see as much
        return _seconds(step, memory) * pieces / self._plain


def _seconds(step: Step, memory: Memory) -> float:
    """Of one update on a slice, from what is computed, read and moved; good for ratios only."""
    computing = memory.flops / _SPEED + memory.traffic / _BANDWIDTH
    return step.accumulate * (computing + memory.moved / LINK)


def _predict(step: Step) -> Memory:
    from nextaim_kit.memory.dry_run import dry_run

    return dry_run(step)
