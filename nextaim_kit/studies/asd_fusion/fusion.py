"""Joint fusion: a network for each modality, their vectors side by side, one classifier."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from nextaim_kit.learn.dual import Span
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.metrics import operating_point
from nextaim_kit.learn.recipe import Group, Recipe
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train as train_network
from nextaim_kit.studies.asd_fusion.blocks import Blocks, Part
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.models import NOT_KNOWN, Fitted, of_any, sigmoid

# The average of the weights is what is validated and kept: of few subjects, steps are noisy.
RECIPE = Recipe(
    epochs=120, batch_size=32, learning_rate=0.03, optimizer=torch.optim.SGD,
    settings={"momentum": 0.9}, average=0.98, patience=40,
)  # fmt: skip


class FusionNet(nn.Module):
    """From the blocks of a brain to the logit of autism.

    Each block has a representation network that gives a vector of `width` numbers; the vectors
    stand side by side before one classifier. With one block it is that modality's network alone.

    Parameters
    ----------
    sizes : mapping of str to int
        Numbers in each block, in order.
    width : int
        Of each vector.
    hidden : int
        Units between the vectors and the logit.
    dropout : float
    """

    def __init__(
        self, sizes: Mapping[Any, int], *, width: int = 32, hidden: int = 16, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({
            part: nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout))
            for part, size in sizes.items()
        })  # fmt: skip
        for name, weight in self.branches.named_parameters():
            if name.endswith("weight"):  # rows are short: torch's own weights would not see them
                nn.init.normal_(weight, std=0.3)
        self.classifier = nn.Sequential(
            nn.Linear(width * len(sizes), hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, *blocks: Tensor) -> Tensor:
        """Logits, shape (n, 1), of one tensor of shape (n, size) for each block.

        A block of zeros is a modality that the subject lacks: its vector is zero too.
        """
        vectors = [
            branch(block) * block.any(dim=1, keepdim=True)
            for branch, block in zip(self.branches.values(), blocks, strict=True)
        ]
        return self.classifier(torch.cat(vectors, 1))


class Rows(Dataset):
    """Blocks and outcome of each subject."""

    def __init__(self, blocks: Sequence[NDArray], y: NDArray) -> None:
        self.blocks = [torch.as_tensor(block, dtype=torch.float32) for block in blocks]
        self.y = torch.as_tensor(y, dtype=torch.float32)[:, None]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, ...], Tensor]:
        return tuple(block[index] for block in self.blocks), self.y[index]


@dataclass(frozen=True)
class Network:
    """A network of one or several modalities, trained with one loss; of several, their mean logit.

    The first layers see each block in the span of the training subjects (`learn.dual.Span`), where
    gradients with weight decay lead to the same network, in a fraction of the time. The network
    that comes out takes the blocks themselves.

    Attributes
    ----------
    parts : sequence of {"function", "structure"}
    folder : Path
        Checkpoints go below it.
    epochs : int
        At most: with 40 that are no better the training ends.
    members : int
        Networks that differ in their seed, and so in the sixth of the subjects that chooses their
        epoch.
    decays : sequence of float
        Weight decay of the function's first layer; the same sixth chooses among several.
    base : Recipe
        What else is fixed of the training.
    blocks : mapping
        Further settings of `Blocks`.
    net : mapping
        Of `FusionNet`: width, hidden, dropout.
    """

    parts: Sequence[Part]
    folder: Path
    epochs: int = RECIPE.epochs
    members: int = 1
    decays: Sequence[float] = (0.01, 0.02)
    base: Recipe = RECIPE
    blocks: Mapping[str, Any] = field(default_factory=dict)
    net: Mapping[str, Any] = field(default_factory=dict)

    def of(self, parts: Sequence[Part]) -> Network:
        """The same of other modalities."""
        return replace(self, parts=parts)

    def __call__(self, train: Brains, seed: int) -> Fitted:
        """Train on those subjects that have one of the modalities."""
        there = np.flatnonzero(of_any(train, self.parts))
        given = train.at(there)
        found = [self._member(given, seed + 100 * k) for k in range(self.members)]
        inner = np.full(len(train), np.nan)
        with warnings.catch_warnings():  # whoever is in no validation part
            warnings.filterwarnings("ignore", "Mean of empty slice")
            inner[there] = np.nanmean([one.inner for one in found], axis=0)
        known = ~np.isnan(inner)
        threshold = operating_point(train.y[known], sigmoid(inner[known]))
        return mean_of(found, threshold, inner)

    def recipe(self, decay: float) -> Recipe:
        """How it is trained: the structure's few numbers are learned by heart the sooner."""
        groups = [Group("classifier.*", weight_decay=1e-3)]
        if "structure" in self.parts:
            groups.append(Group("branches.structure.*", weight_decay=0.05))
        settings = {**self.base.settings, "weight_decay": decay}
        return replace(self.base, epochs=self.epochs, settings=settings, groups=tuple(groups))

    def _member(self, given: Brains, seed: int) -> Fitted:
        """One network; a sixth of the subjects choose its epoch."""
        first, val = patient_folds(given.table, 6, seed=seed, by=("label",))[0]
        blocks = Blocks(self.parts, **self.blocks).fit(given.at(first))
        apart = blocks.apart(given)
        spans = {part: Span().fit(values[first]) for part, values in apart.items()}
        small = {part: spans[part].transform(values) for part, values in apart.items()}
        sizes = {part: values.shape[1] for part, values in small.items()}
        parts = [Rows([v[rows] for v in small.values()], given.y[rows]) for rows in (first, val)]
        task = Task(partial(FusionNet, sizes, **self.net), nn.BCEWithLogitsLoss(), *parts)
        folder = self.folder / f"{'_'.join(self.parts)}_{seed}_{digest(given)}"
        tried = [
            train_network(task, self.recipe(decay), folder=folder / f"{decay:g}", seed=seed)
            for decay in (self.decays if "function" in self.parts else self.decays[:1])
        ]
        found = min(tried, key=lambda one: one.history["val_loss"].min())
        net = whole(found.net, spans, self.net)
        inner = np.full(len(given), np.nan)
        inner[val] = _logit(blocks, net, given.at(val))
        return of_net(blocks, net, inner)


def of_net(blocks: Blocks, net: FusionNet, inner: NDArray = NOT_KNOWN) -> Fitted:
    """A fitted network of its parts."""
    return Fitted(partial(_logit, blocks, net), 0.5, inner, (blocks, net))


def mean_of(members: Sequence[Fitted], threshold: float, inner: NDArray = NOT_KNOWN) -> Fitted:
    """Networks whose mean logit counts."""
    return Fitted(partial(_mean_logit, members), threshold, inner, list(members))


def digest(brains: Brains) -> str:
    """A short name for whom a network is trained on, so that no other's checkpoint is taken."""
    who = brains.table[["subject", "label"]].astype(str).agg(" ".join, axis=1)
    return hashlib.sha256("\n".join(who).encode()).hexdigest()[:12]


def _mean_logit(found: Sequence[Fitted], brains: Brains) -> NDArray[np.float64]:
    return np.mean([one.logit(brains) for one in found], axis=0)


def whole(small: nn.Module, spans: Mapping[Any, Span], settings: Mapping[str, Any]) -> FusionNet:
    """The network of the blocks themselves, from that of their coordinates."""
    sizes = {part: len(span.mean_) for part, span in spans.items()}
    net = FusionNet(sizes, **settings)
    weights = dict(small.state_dict())
    for part, span in spans.items():
        layer = f"branches.{part}.0"
        full = torch.from_numpy(span.back(weights[f"{layer}.weight"].double().numpy()))
        shift = full @ torch.from_numpy(span.mean_)
        weights[f"{layer}.weight"] = full.float()
        weights[f"{layer}.bias"] = weights[f"{layer}.bias"] - shift.float()
    net.load_state_dict(weights)
    return net.eval()


def _logit(blocks: Blocks, net: FusionNet, brains: Brains) -> NDArray[np.float64]:
    given = tuple(blocks.apart(brains).values())
    said = apply(net, given, batch_size=256)[:, 0].double().numpy()
    return np.where(of_any(brains, blocks.parts), said, np.nan)
