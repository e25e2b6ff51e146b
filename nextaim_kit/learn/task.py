"""What a network learns, and from what; told as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Loss = Callable[[Any, Any], Any]
Metric = Callable[[Any, Any], float]
Judgments = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Adversary:
    """The second network of a task (Goodfellow et al. 2014, arXiv:1406.2661).

    Attributes
    ----------
    build : callable
        Makes the judge, which gives logits for targets and for outputs.
    loss : callable
        Of its judgments of targets and of outputs: what the judge minimizes.
    fools : callable
        Of the same: what the first network minimizes besides its own losses.
    weight : float
        Of `fools` among these.
    learning_rate : float
    optimizer, settings
        As of a `Recipe`.
    sees : callable, optional
        Of a batch's inputs and of targets or outputs: what the judge is given, by default the
        latter alone.
    """

    build: Callable[[], nn.Module]
    loss: Judgments
    fools: Judgments
    weight: float = 1.0
    learning_rate: float = 1e-4
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam
    settings: Mapping[str, Any] = field(default_factory=dict)
    sees: Callable[[Any, Any], Any] | None = None

    def record(self) -> dict[str, Any]:
        """Its numbers as plain values."""
        return {"weight": self.weight, "learning_rate": self.learning_rate,
                "optimizer": self.optimizer.__name__, "settings": dict(self.settings)}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What is learned, from what, and what the best epoch is best in.

    Attributes
    ----------
    build : callable
        Makes the network, whose first weights the seed decides, whatever was drawn before. It
        takes what the data sets give as inputs: one tensor, or several of a tuple.
    loss : callable, or mapping of str to (weight, callable)
        Of outputs and targets; gives a scalar. Of a mapping, the weighted sum is minimized, and
        each has its own column in the history. So have the parts of one loss that gives several
        scalars by their names, as where they share what is costly to find; their sum is minimized.
    train, val : Dataset
        Items are ``(inputs, target)``.
    metrics : mapping of str to callable
        Computed after each epoch from all outputs and targets of `val`.
    monitor, mode : str
        What the best weights are best in: ``val_loss`` or ``val_<metric>``; "min" or "max". With
        ``epoch`` and "max" the last weights are kept, as where two networks learn against each
        other.
    collate : callable, optional
        Makes a batch of items whose targets differ in number, such as the boxes of a detector;
        lists of a batch's items are joined for the metrics.
    start : torch.nn.Module or Path, optional
        Weights to begin with, of a network or of a file that `save_weights` wrote.
    adversary : Adversary, optional
        A second network that learns to tell outputs from targets, while the first deceives it.

    Examples
    --------
    >>> from torch.utils.data import TensorDataset
    >>> part = TensorDataset(torch.zeros(8, 3), torch.zeros(8, 1))
    >>> Task(lambda: nn.Linear(3, 1), nn.BCEWithLogitsLoss(), part, part).monitor
    'val_loss'
    """

    build: Callable[[], nn.Module]
    loss: Loss | Mapping[str, tuple[float, Loss]]
    train: Dataset
    val: Dataset
    _: KW_ONLY
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    collate: Callable[[list[Any]], Any] | None = None
    start: nn.Module | Path | None = None
    adversary: Adversary | None = None
