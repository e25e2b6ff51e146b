"""How a network is trained, told in full as plain values: optimizer, learning rate, groups."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import lr_scheduler

from nextaim_kit.errors import RequestError


@dataclass(frozen=True)
class Constant:
    """A learning rate that stays, after `warmup` updates in which it rises from nearly 0."""

    warmup: int = 0


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls along half a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983).

    Attributes
    ----------
    lowest : float
        Where it ends.
    warmup : int
        Updates in which it rises first; with any, it changes at every update, else at every epoch.
    """

    lowest: float = 0.0
    warmup: int = 0


@dataclass(frozen=True)
class Plateau:
    """A learning rate that is multiplied by `factor` after `patience` epochs without a better one.

    It does not fall below `lowest`.
    """

    patience: int = 8
    factor: float = 0.5
    lowest: float = 0.0


@dataclass(frozen=True)
class Steps:
    """A learning rate that is multiplied by `factor` after every so many epochs."""

    every: int
    factor: float = 0.1


@dataclass(frozen=True)
class Group:
    """Weights that learn in a way of their own; the first group whose pattern fits counts.

    Attributes
    ----------
    pattern : str
        Of the weights' names, such as ``encoder.*``.
    factor : float
        Of the recipe's learning rate.
    weight_decay : float, optional
        In place of the recipe's.
    frozen : bool
        The weights stay as they are, and so do the statistics of their normalizations.
    """

    pattern: str
    factor: float = 1.0
    weight_decay: float | None = None
    frozen: bool = False


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        0: the task's `start` is taken as it is, as a network of an earlier run.
    batch_size : int
    learning_rate : float
    optimizer : type
        Of ``torch.optim``: Adam, AdamW, SGD, ...
    settings : mapping
        What else the optimizer takes: ``weight_decay``, ``momentum``, ``amsgrad``, ``betas``.
    groups : tuple of Group
        Weights with another rate, another decay, or frozen.
    schedule : Constant, Cosine, Plateau or Steps
        Of the learning rate.
    accumulate : int
        Batches whose gradients are added up before an update, with less memory. It is the same
        update only where the loss is a mean over items and nothing else looks at a whole batch: a
        Dice over the batch (`learn.losses`) and batch normalization then see a smaller one.
    clip : float, optional
        Largest norm of the gradients; longer ones are shortened to it.
    average : float, optional
        Decay, such as 0.999, of an exponential moving average of the weights, which is validated
        and kept in place of the weights themselves (Polyak & Juditsky 1992, doi:10.1137/0330046).
    patience : int, optional
        Epochs without improvement after which training ends.

    Examples
    --------
    >>> frozen = Group("encoder.*", frozen=True)
    >>> Recipe(20, learning_rate=1e-3, groups=(frozen,), schedule=Cosine(warmup=50)).epochs
    20
    """

    epochs: int
    batch_size: int = 8
    learning_rate: float = 1e-4
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam
    settings: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    schedule: Constant | Cosine | Plateau | Steps = Constant()
    accumulate: int = 1
    clip: float | None = None
    average: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would fail far from here, or be passed over without a word."""
        rules = {
            "epochs": (self.epochs >= 0, "0 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "accumulate": (self.accumulate >= 1, "1 or more"),
            "patience": (self.patience is None or self.patience >= 1, "1 or more"),
            "learning_rate": (0 <= self.learning_rate < math.inf, "0 or more"),
            "clip": (self.clip is None or 0 < self.clip < math.inf, "more than 0"),
            "average": (self.average is None or 0 < self.average < 1, "between 0 and 1"),
        }
        for name, (holds, expected) in rules.items():
            if not holds:
                found = str(getattr(self, name))
                raise RequestError(f"{name} is out of bounds", expected=expected, found=found)
        if "lr" in self.settings:
            raise RequestError("the rate is given twice", mend="give it as learning_rate alone")

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
        plain = asdict(self) | {"optimizer": self.optimizer.__name__}
        return plain | {"schedule": {"kind": type(self.schedule).__name__, **plain["schedule"]}}


def optimizer_for(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """An optimizer of the weights that are not frozen; those of no group come first.

    Raises
    ------
    RequestError
        If the optimizer does not take a setting, a pattern fits no weight, or nothing may learn.
    """
    kind, takes = recipe.optimizer.__name__, inspect.signature(recipe.optimizer).parameters
    for name in recipe.settings:
        if name not in takes:
            raise RequestError(f"{kind} takes no {name}", expected=", ".join(list(takes)[1:]))
    groups: list[dict[str, Any]] = []
    for group, weights in _by_group(net, recipe.groups):
        if group.frozen or not weights:
            continue
        own = {} if group.weight_decay is None else {"weight_decay": group.weight_decay}
        groups.append({"params": weights, "lr": recipe.learning_rate * group.factor, **own})
    if not groups:
        raise RequestError("no weight may learn", expected="a group that is not frozen")
    make: Any = recipe.optimizer
    return make(groups, lr=recipe.learning_rate, **recipe.settings)


def freeze(net: nn.Module, groups: tuple[Group, ...]) -> None:
    """Let frozen weights have no gradient."""
    for group, weights in _by_group(net, groups):
        for weight in weights if group.frozen else ():
            weight.requires_grad_(False)


def hold_statistics(net: nn.Module) -> None:
    """Let normalizations whose weights are frozen use their running statistics, and keep them."""
    for module in net.modules():
        own = list(module.parameters(recurse=False))
        if hasattr(module, "running_mean") and own and not any(w.requires_grad for w in own):
            module.eval()


def _by_group(net: nn.Module, groups: tuple[Group, ...]) -> list[tuple[Group, list[nn.Parameter]]]:
    found: list[tuple[Group, list[nn.Parameter]]] = [(g, []) for g in (Group("*"), *groups)]
    for name, weight in net.named_parameters():
        fits = (k for k, group in enumerate(groups, 1) if fnmatchcase(name, group.pattern))
        found[next(fits, 0)][1].append(weight)
    for group, weights in found[1:]:
        if not weights:
            first = next((name for name, _ in net.named_parameters()), "no weight at all")
            raise RequestError(
                f"the pattern {group.pattern!r} fits no weight", expected=f"names such as {first}"
            )
    return found


def schedule_for(
    optimizer: torch.optim.Optimizer, recipe: Recipe, mode: Literal["min", "max"], updates: int
) -> tuple[Any, str] | None:
    """What changes the learning rate, and how often: at each "epoch" or "step", if it does."""
    how = recipe.schedule
    if isinstance(how, Plateau):
        falling = lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, factor=how.factor, patience=how.patience, min_lr=how.lowest
        )
        return falling, "epoch"
    if isinstance(how, Steps):
        return lr_scheduler.StepLR(optimizer, how.every, how.factor), "epoch"
    if how.warmup >= updates > 0:
        raise RequestError(
            "the warm-up is as long as the training",
            expected=f"fewer than {updates} updates", found=str(how.warmup),
        )  # fmt: skip
    rest = updates - how.warmup if how.warmup else recipe.epochs
    after = (
        lr_scheduler.CosineAnnealingLR(optimizer, rest, how.lowest)
        if isinstance(how, Cosine)
        else lr_scheduler.ConstantLR(optimizer, factor=1.0)
    )
    if not how.warmup:
        return (after, "epoch") if isinstance(how, Cosine) else None
    rising = lr_scheduler.LinearLR(optimizer, 1 / how.warmup, total_iters=how.warmup)
    return lr_scheduler.SequentialLR(optimizer, [rising, after], [how.warmup]), "step"
