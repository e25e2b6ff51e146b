"""Training of any study's network within a budget that is the same for few patients and many."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from nextaim_kit.learn.recipe import Cosine, Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train

Parts = tuple[TensorDataset, TensorDataset]
_EVERY = 20  # updates between two looks at the validation patients


@dataclass(frozen=True)
class Budget:
    """What every network may spend, pre-training included.

    Attributes
    ----------
    updates : int
        In all. What is pre-trained spends half of them before it sees a label.
    batch_size : int
    learning_rate : float
        Of AdamW; it falls along half a cosine.
    """

    updates: int = 240
    batch_size: int = 16
    learning_rate: float = 2e-3

    @property
    def half(self) -> Budget:
        """Half of it, in whole looks at the validation patients."""
        return replace(self, updates=max(_EVERY, self.updates // 2))

    @property
    def recipe(self) -> Recipe:
        """As `learn.train` takes it; an epoch has twenty updates of however many patients."""
        return Recipe(
            max(1, round(self.updates / _EVERY)),
            self.batch_size,
            self.learning_rate,
            optimizer=torch.optim.AdamW,
            settings={"weight_decay": 0.01},
            schedule=Cosine(),
        )


class Again(Dataset):
    """As many items as an epoch's updates take: each of few over and over, or some of many.

    Parameters
    ----------
    items : TensorDataset
    count : int
    """

    def __init__(self, items: TensorDataset, count: int) -> None:
        self.items, self.count = items, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        n = len(self.items)
        return self.items[index % n if n <= self.count else int(torch.randint(n, ()))]


def labeled(x: Tensor, y: Any) -> TensorDataset:
    """Inputs with their outcomes, as a network of one logit learns them."""
    return TensorDataset(x, torch.as_tensor(y, dtype=torch.float32)[:, None])


def fit(
    make: Callable[[], nn.Module], parts: Parts, to: Path, budget: Budget, *,
    start: nn.Module | None = None, seed: int = 0,
) -> Any:  # fmt: skip
    """Train a network of one logit; the second part's patients choose the epoch.

    Parameters
    ----------
    make : callable
    parts : (train, val)
        `labeled` items.
    to : Path
        Where a finished training is kept, and read back.
    budget : Budget
    start : torch.nn.Module, optional
        Whose weights it begins with.
    seed : int
    """
    learned = Again(parts[0], budget.batch_size * _EVERY)
    task = Task(make, nn.BCEWithLogitsLoss(), learned, parts[1], start=start)
    return _quietly(task, budget, to, seed)


def fit_unlabeled(
    make: Callable[[], nn.Module], loss: Any, x: Tensor, to: Path, budget: Budget, *, seed: int = 0
) -> Any:
    """Train a network that needs no labels; its last weights are kept."""
    items = TensorDataset(x, torch.zeros(len(x)))
    learned = Again(items, budget.batch_size * _EVERY)
    looked_at = TensorDataset(*items[: budget.batch_size])
    task = Task(make, loss, learned, looked_at, monitor="epoch", mode="max")
    return _quietly(task, budget, to, seed)


def _quietly(task: Task, budget: Budget, to: Path, seed: int) -> Any:
    """Without a line for each of so many trainings."""
    with redirect_stdout(io.StringIO()):
        return train(task, budget.recipe, folder=to, seed=seed).net
