"""A trained network with the items it is to explain, of images or of a table alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.splits import Rows
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.studies.challenges.limited.bodies import Seen, builder
from nextaim_kit.studies.challenges.limited.patients import Split
from nextaim_kit.studies.challenges.limited.training import Budget, fit, labeled

_LEARNED = 0.8  # of the pool's patients, drawn anew for each model
_BACKGROUND = 24  # training items that an explanation compares with


@dataclass(frozen=True)
class Explained:
    """What a method of explanation is given. A table's row is an image of one row of pixels.

    Attributes
    ----------
    net : torch.nn.Module
        From `x` to logits (n, 1).
    x : Tensor of shape (n, 1, h, w)
        Tested items with the outcome; of a table (n, 1, 1, features), standardized.
    background : Tensor of shape (m, 1, h, w)
        Some that trained the network.
    groups : array of str, shape (n,)
        Patients.
    truth : array of bool, shape (n, h, w), or None
        What decides, where known.
    modality : {"table", "image"}
    seed : int
    """

    net: nn.Module
    x: Tensor
    background: Tensor
    groups: NDArray[Any]
    truth: NDArray[np.bool_] | None
    modality: str
    seed: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def within(self) -> NDArray[np.bool_]:
        """Where there is anything to look at: a table's features, or what is no empty border."""
        if self.modality == "table":
            return np.ones((len(self), *self.x.shape[2:]), bool)
        return np.asarray((self.x != self.x[:, :, :1, :1])[:, 0], bool)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Items of which it is known where the truth lies."""
        if self.truth is None:
            return np.zeros(len(self), bool)
        return np.asarray(self.truth.any((1, 2)), bool)

    @property
    def emptied(self) -> Tensor:
        """The items without what they say: films blurred by an eighth of their edge, or means."""
        from scipy.ndimage import gaussian_filter

        if self.modality == "table":
            return torch.zeros_like(self.x)
        wide = max(1.0, self.x.shape[-1] / 8)
        blurred = [gaussian_filter(one, wide) for one in self.x[:, 0].numpy()]
        return torch.from_numpy(np.stack(blurred))[:, None]

    def probability(self, x: Tensor) -> NDArray[np.float64]:
        """What the network says of items, shape (n,)."""
        return torch.sigmoid(apply(self.net, x, batch_size=64))[:, 0].double().numpy()

    def by(self, net: nn.Module) -> Explained:
        """The same items, to be explained by another network."""
        return replace(self, net=net)


@dataclass(frozen=True)
class Workshop:
    """Where networks of one task are trained, all with one budget.

    Attributes
    ----------
    split : Split
    budget : Budget
    folder : Path
        A finished training in it is not made again.
    seed : int
    most : int
        Items that are explained.
    """

    split: Split
    budget: Budget
    folder: Path
    seed: int = 0
    most: int = 40

    @classmethod
    def of(cls, task: StudyTask, budget: tuple[int, int, float], folder: Path, seed: int,
           most: int) -> Workshop:  # fmt: skip
        """Of a task, one patient in three tested; `budget` as `Budget` takes it."""
        return cls(Split.of(task, 3, seed), Budget(*budget), folder, seed, most)

    @property
    def task(self) -> StudyTask:
        """Whose network it is."""
        return self.split.task

    def other(self, task: StudyTask, name: str) -> Workshop:
        """The same for another cohort, or for the same one with something planted in it."""
        split = Split.of(task, 3, self.seed)
        return replace(self, split=split, folder=self.folder / name)

    def fresh(self, number: int) -> nn.Module:
        """A network before training."""
        own = builder(self.task)(self.seed + 1000 * (number + 1))
        return nn.Sequential(nn.Flatten(), own) if self.task.modality == "table" else own

    def trained(self, number: int, *, shuffled: bool = False) -> nn.Module:
        """A network of its own patients and first weights; `shuffled`: of outcomes at random."""
        size = round(_LEARNED * self.split.patients)
        known = self.split.draw(size, number, self.seed)
        y = self.task.y
        if shuffled:
            y = np.random.default_rng(self.seed + number).permutation(y)
        seen = self.seen(known.train)
        parts = (labeled(seen(known.train), y[known.train]),
                 labeled(seen(known.val), y[known.val]))  # fmt: skip
        to = self.folder / f"{'shuffled' if shuffled else 'net'}_{number}"
        seed = self.seed + 1000 * (number + 1)
        return fit(partial(self.fresh, number), parts, to, self.budget, seed=seed)

    def seen(self, rows: Rows) -> Callable[[Rows], Tensor]:
        """Inputs of some rows as the network takes them, a table's standardized by `rows`."""
        found = Seen(self.task, rows)
        table = self.task.modality == "table"
        return lambda rows: found(rows)[:, None, None] if table else found(rows)

    def explained(self, number: int = 0, *, net: nn.Module | None = None) -> Explained:
        """The tested items with the outcome, and a network trained for them unless one is given.

        Raises
        ------
        DataError
            If fewer than two tested items have the outcome.
        """
        task, known = self.task, self.split.draw(
            round(_LEARNED * self.split.patients), number, self.seed
        )  # fmt: skip
        rows = self.split.test[task.y[self.split.test] == 1][: self.most]
        if len(rows) < 2:
            raise DataError("too few tested items have the outcome", expected="at least 2",
                            found=str(len(rows)), mend="take more patients")  # fmt: skip
        seen = self.seen(known.train)
        return Explained(
            net or self.trained(number), seen(rows), seen(known.train[:_BACKGROUND]),
            task.groups[rows], _truth(task, rows), task.modality, self.seed,
        )  # fmt: skip

    def scores(self, number: int, task: StudyTask | None = None) -> tuple[NDArray, NDArray]:
        """Outcomes and logits of those a network tests, as they are or as another task has them."""
        there = task or self.task
        tested = np.unique(self.task.groups[self.split.test])
        rows = np.flatnonzero(np.isin(there.groups, tested))
        known = self.split.draw(round(_LEARNED * self.split.patients), number, self.seed)
        if there.modality == "table":
            found = Seen(self.task, known.train)
            found.task = there
            x = found(rows)[:, None, None]
        else:
            x = torch.from_numpy(there.x[rows])
        return there.y[rows], apply(self.trained(number), x, batch_size=64)[:, 0].numpy()


def _truth(task: StudyTask, rows: Rows) -> NDArray[np.bool_] | None:
    if task.truth is None:
        return None
    if isinstance(task.truth, tuple):
        of = np.isin(task.names, task.truth)
        return np.broadcast_to(of, (len(rows), 1, len(of))).copy()
    return task.truth[rows]
