"""Joint fusion: a network for each modality, their vectors side by side, one classifier."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Dataset

from nextaim_kit.learn.dual import Span
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.metrics import operating_point
from nextaim_kit.learn.recipe import Cosine, Group, Recipe
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import train as train_network
from nextaim_kit.studies.asd_fusion.blocks import Blocks, Part
from nextaim_kit.studies.asd_fusion.brains import Brains
from nextaim_kit.studies.asd_fusion.models import NOT_KNOWN, Fitted, of_any, sigmoid

# A rate that is high first leaves the plateau where all logits are 0 within a few epochs, and one
# that falls ends quietly. The average of the weights is what is validated and kept.
RECIPE = Recipe(
    epochs=60, batch_size=128, learning_rate=0.25, optimizer=torch.optim.SGD,
    settings={"momentum": 0.9}, schedule=Cosine(), average=0.92,
)  # fmt: skip
_STEPS = 6  # of an epoch at least


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
        _enlarge(self.branches)
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


def _enlarge(branches: nn.Module) -> None:
    for name, weight in branches.named_parameters():
        if name.endswith("weight"):  # rows are short: torch's own weights would not see them
            nn.init.normal_(weight, std=0.3)


class Several(nn.Module):
    """Networks side by side, alike at first, that learn from the same batches.

    Each learns what it would learn alone, as the gradient of a sum of their losses is each one's
    own, and all drop the same units. What a step costs beside the sums of so small a network is
    paid once for all.

    Parameters
    ----------
    sizes, settings
        As `FusionNet` takes them.
    count : int
    """

    def __init__(self, sizes: Mapping[Any, int], count: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        first = FusionNet(sizes, **settings)
        self.nets = nn.ModuleList([first, *(deepcopy(first) for _ in range(count - 1))])

    def forward(self, *blocks: Tensor) -> Tensor:
        """Logits of each network, shape (n, count)."""
        said, chance = [], torch.get_rng_state()
        for net in self.nets:
            torch.set_rng_state(chance)
            said.append(net(*blocks))
        return torch.cat(said, 1)


def losses(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of each network, shape (count,)."""
    each = binary_cross_entropy_with_logits(logits, y.expand_as(logits), reduction="none")
    return each.mean(0)


def total(logits: Tensor, y: Tensor) -> Tensor:
    """What all networks minimize, each its own part of it."""
    return losses(logits, y).sum()


def least(logits: Tensor, y: Tensor) -> float:
    """The loss of the best of them."""
    return float(losses(logits, y).min())


class Rows(Dataset):
    """Blocks and outcome of each subject, or of a batch of them at once."""

    def __init__(self, blocks: Sequence[NDArray], y: NDArray) -> None:
        self.blocks = [torch.as_tensor(block, dtype=torch.float32) for block in blocks]
        self.y = torch.as_tensor(y, dtype=torch.float32)[:, None]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, ...], Tensor]:
        return tuple(block[index] for block in self.blocks), self.y[index]

    __getitems__ = __getitem__  # by which torch takes a whole batch


@dataclass(frozen=True)
class Network:
    """A network of one or several modalities, trained with one loss; of several, their mean logit.

    The first layers see each block in the span of the training subjects (`learn.dual.Span`), where
    gradients with weight decay lead to the same network, in a fraction of the time. The network
    that comes out takes the blocks themselves. Those of several decays are trained side by side.

    Attributes
    ----------
    parts : sequence of {"function", "structure"}
    folder : Path
        Checkpoints go below it.
    epochs : int
        In which the learning rate falls to 0.
    members : int
        Networks that differ in their seed, and so in the sixth of the subjects that chooses their
        epoch.
    decays : sequence of float
        Weight decay of the function's first layer; the same sixth chooses among several.
    base : Recipe
        What else is fixed of the training. Of few subjects batches are smaller, so that an epoch
        has six steps; a rate that were smaller too would leave some networks on their plateau.
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

    def recipe(self, n: int) -> Recipe:
        """How so many are learned from: structure's few numbers are known by heart the sooner."""
        groups = [Group("*.classifier.*", weight_decay=1e-3)]
        if "structure" in self.parts:
            groups.append(Group("*.branches.structure.*", weight_decay=0.05))
        for k, decay in enumerate(self._decays()):
            if "function" in self.parts:
                groups.append(Group(f"nets.{k}.branches.function.*", weight_decay=decay))
        size = math.ceil(n / max(_STEPS, math.ceil(n / self.base.batch_size)))
        return replace(self.base, epochs=self.epochs, groups=tuple(groups), batch_size=size)

    def _decays(self) -> Sequence[float]:
        """Those that there is something to choose by."""
        return self.decays if "function" in self.parts else self.decays[:1]

    def _member(self, given: Brains, seed: int) -> Fitted:
        """One network; a sixth of the subjects choose its epoch and its decay."""
        first, val = patient_folds(given.table, 6, seed=seed, by=("label",))[0]
        blocks = Blocks(self.parts, **self.blocks).fit(given.at(first))
        apart = blocks.apart(given)
        spans = {part: Span().fit(values[first]) for part, values in apart.items()}
        small = {part: spans[part].transform(values) for part, values in apart.items()}
        train, left = (Rows([v[rows] for v in small.values()], given.y[rows])
                       for rows in (first, val))  # fmt: skip
        sizes = {part: values.shape[1] for part, values in small.items()}
        task = Task(
            partial(Several, sizes, len(self._decays()), self.net), total, train, left,
            metrics={"least": least}, monitor="val_least", collate=_as_it_is,
        )  # fmt: skip
        folder = self.folder / f"{'_'.join(self.parts)}_{seed}_{digest(given)}"
        several = train_network(task, self.recipe(len(train)), folder=folder, seed=seed).net
        found = losses(apply(several, tuple(left.blocks), batch_size=256), left.y)
        net = whole(several.get_submodule(f"nets.{int(found.argmin())}"), spans, self.net)
        inner = np.full(len(given), np.nan)
        inner[val] = _logit(blocks, net, given.at(val))
        return of_net(blocks, net, inner)


def _as_it_is(batch: Any) -> Any:
    return batch


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
