"""The networks: T1 to thalamus, and T1 or diffusion to connectivity; what they see and minimize."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad
from torch.utils.data import Dataset

from nextaim_kit.learn.losses import SegmentationLoss
from nextaim_kit.learn.recipe import Cosine, Recipe
from nextaim_kit.learn.segmentation import mean_dice
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.machine.jobs import Job
from nextaim_kit.machine.workers import parallel
from nextaim_kit.memory.planning import plan
from nextaim_kit.memory.step_memory import GB
from nextaim_kit.memory.training import Budget
from nextaim_kit.studies.thalamus_tractography import augmentation
from nextaim_kit.studies.thalamus_tractography.augmentation import How
from nextaim_kit.studies.thalamus_tractography.cases import Case, learned_of
from nextaim_kit.studies.thalamus_tractography.channels import PUBLISHED, TENSOR, channels
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS
from nextaim_kit.studies.thalamus_tractography.shape import Shape
from nextaim_kit.studies.thalamus_tractography.tensor import Tensors

Form = Literal["tensor", "published", "mask"]
Place = tuple[slice, slice, slice]
INPUTS = {"tensor": 4 + len(TENSOR), "published": len(PUBLISHED), "mask": 4}
# Channels of a tensor, which turn with the head. The place in the thalamus is the tissue's own and
# goes with it; the published channels, scaled each by itself, have lost their direction.
DIRECTED: dict[Form, slice] = {"tensor": slice(5, 11)}
MARGIN = 5  # voxels around the thalamus that are looked at


class UNet(nn.Module):
    """MONAI's U-Net for images of any size: from images to logits of the same size.

    Its first layer already halves the image, so that most is computed on voxels of 2 mm.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    widths : sequence of int
        Features of each level, each half as fine as the one before.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        from monai.networks.nets import UNet as Layers

        self.settings = {"inputs": inputs, "outputs": outputs, "widths": list(widths)}
        self.multiple = 2 ** (len(widths) - 1)
        self.layers = Layers(3, inputs, outputs, widths, (2,) * (len(widths) - 1),
                             num_res_units=1, norm="instance")  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (n, outputs, x, y, z)."""
        ends = [-n % self.multiple for n in x.shape[2:]]
        filled = pad(x, [side for end in reversed(ends) for side in (0, end)])
        return self.layers(filled)[..., : x.shape[2], : x.shape[3], : x.shape[4]]


def normalized(t1: NDArray) -> NDArray[np.float32]:
    """T1 from 0 to 1 within the box, as published."""
    low, high = float(t1.min()), float(t1.max())
    return ((t1 - low) / max(high - low, 1e-6)).astype(np.float32)


def seen(tensors: Tensors, thalamus: NDArray[np.bool_], form: Form) -> NDArray[np.float32]:
    """What a network of maps sees, channels first.

    Of the own forms the mask, the place in the thalamus (from its middle, in units of its reach)
    and, unless the mask alone is to be seen, FA and the tensor.
    """
    if form == "published":
        return channels(tensors, thalamus, form)
    parts = [thalamus[None], np.moveaxis(Shape.of(thalamus).places(), -1, 0)]
    parts += [channels(tensors, thalamus)] if form == "tensor" else []
    return np.concatenate(parts).astype(np.float32)


def around(mask: NDArray[np.bool_], least: Sequence[int] = (0, 0, 0)) -> Place:
    """The part of the box that a network of maps looks at: the mask and a margin.

    The published ones look at all of it, which takes three times as long; their maps are outside
    of the mask set to 0 like these.
    """
    found = []
    for axis, n in enumerate(mask.shape):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        size = min(n, max(least[axis], int(there[-1] - there[0]) + 1 + 2 * MARGIN))
        first = int(np.clip((there[0] + there[-1] + 1 - size) // 2, 0, n - size))
        found.append(slice(first, first + size))
    return found[0], found[1], found[2]


def map_loss(logits: Tensor, target: Tensor) -> Tensor:
    """How unlikely the shares of streamlines are, in the thalamus alone.

    Parameters
    ----------
    logits : Tensor of shape (n, maps, x, y, z)
    target : Tensor of shape (n, maps + 1, x, y, z)
        Shares, and the thalamus last.
    """
    shares, inside = target[:, :-1], target[:, -1:]
    wrong = binary_cross_entropy_with_logits(logits, shares, reduction="none")
    return (wrong * inside).sum() / (inside.sum() * shares.shape[1]).clamp(min=1)


class Boxes(Dataset):
    """Pairs of images that are changed by chance alike, if at all; `gray` if the first is T1."""

    def __init__(
        self, pairs: Sequence[tuple[NDArray, NDArray]], how: How, *,
        tensor: slice = augmentation.NONE, gray: bool = False,
    ) -> None:  # fmt: skip
        self.pairs = [tuple(torch.from_numpy(np.float32(one)) for one in pair) for pair in pairs]
        self.how, self.tensor, self.gray = how, tensor, gray and how != "none"

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, target = self.pairs[index]
        inputs, target = augmentation.augmented(inputs, target, self.how, self.tensor)
        return augmentation.recolored(inputs) if self.gray else inputs, target


@dataclass(frozen=True)
class Training:
    """How networks are trained.

    Attributes
    ----------
    widths : tuple of int
        Features of the levels.
    epochs, batch_size : int
    rate : float
        Of Adam, falling to 0 along half a cosine.
    memory : "auto", float or None
        As of `learn.train`.
    seed : int
    """

    widths: tuple[int, ...] = (16, 32, 64)
    epochs: int = 40
    batch_size: int = 2
    rate: float = 1e-2
    memory: Budget | None = None
    seed: int = 0

    def thalamus(self, first: Sequence[Case], val: Sequence[Case], folder: Path) -> Fitted:
        """Train a network that finds the thalamus in T1, of whatever contrast."""

        def items(cases: Sequence[Case], how: How) -> Boxes:
            pairs = [(normalized(c.t1)[None], c.thalamus[None]) for c in cases]
            return Boxes(pairs, how, gray=True)

        task = Task(partial(UNet, 1, 1, self.widths), SegmentationLoss(), items(first, "right"),
                    items(val, "none"), metrics={"dice": mean_dice}, monitor="val_dice",
                    mode="max")  # fmt: skip
        return self.fit(task, folder)

    def maps(
        self,
        first: Sequence[Case],
        val: Sequence[Case],
        folder: Path,
        *,
        form: Form = "tensor",
        how: How = "right",
        targets: Sequence[str] = TARGETS,
    ) -> Fitted:
        """Train a network that finds the maps of some targets.

        Parameters
        ----------
        first, val : sequence of Case
        folder : Path
        form : {"tensor", "published", "mask"}
            What it sees.
        how : {"right", "published", "none"}
            How the images it learns from are changed.
        targets : sequence of str
        """
        places = [TARGETS.index(name) for name in targets]
        boxes = [c.thalamus[around(c.thalamus)].shape for c in (*first, *val)]
        size = np.max(boxes, axis=0)  # of all, so that they make batches

        def items(cases: Sequence[Case], how: How) -> Boxes:
            wanted = [np.concatenate([np.moveaxis(maps[..., places], -1, 0), c.thalamus[None]])
                      for c, maps in zip(cases, learned_of(cases), strict=True)]  # fmt: skip
            shown = [seen(c.tensors, c.thalamus, form) for c in cases]
            parts = [(slice(None), *around(c.thalamus, size)) for c in cases]
            pairs = [(s[at], w[at]) for s, w, at in zip(shown, wanted, parts, strict=True)]
            return Boxes(pairs, how, tensor=DIRECTED.get(form, augmentation.NONE))

        build = partial(UNet, INPUTS[form], len(places), self.widths)
        return self.fit(Task(build, map_loss, items(first, how), items(val, "none")), folder)

    def fit(self, task: Task, folder: Path) -> Fitted:
        """Train any task by this recipe; a killed training goes on where it was."""
        how = Recipe(self.epochs, self.batch_size, self.rate, schedule=Cosine())
        return train(task, how, folder=folder, memory=self.memory, seed=self.seed)


def side_by_side(trainings: Mapping[str, Job], *, few: bool = False) -> dict[str, Fitted]:
    """Trainings by their names, on a CPU a core each: two cores are no help to so small a network.

    Parameters
    ----------
    trainings : mapping of str to delayed call
        As ``joblib.delayed`` makes them.
    few : bool
        One after another, since processes would take longer to start.
    """
    one_by_one = few or torch.cuda.is_available()
    found = parallel(trainings.values(), n_jobs=1 if one_by_one else None, batch_size=1)
    return dict(zip(trainings, found, strict=True))


def planned(widths: Sequence[int], *, budget_gb: float, subjects: int, epochs: int,
            batch_size: int = 2) -> pd.DataFrame:  # fmt: skip
    """What trainings in the box of 1 mm would take on a slice of a GPU, worked out and not run.

    Returns
    -------
    DataFrame
        ``network``, ``trainings``, ``memory_gb`` of an update, ``changes`` that were needed to fit
        into the budget, and ``hours`` of all, estimated from operations and bytes (`memory.Plan`).
    """
    rows = []
    kinds = {"thalamus": (1, 1, 1), "six networks": (INPUTS["published"], 1, len(TARGETS)),
             "one network": (INPUTS["tensor"], len(TARGETS), 1)}  # fmt: skip
    for name, (inputs, outputs, trainings) in kinds.items():
        build = partial(UNet, inputs, outputs, widths)
        found = plan(build, (inputs, *BOX_SHAPE), budget_gb=budget_gb, batch_size=batch_size)
        updates = epochs * -(-subjects // (found.step.batch_size * found.step.accumulate))
        hours = trainings * updates * found.update_seconds / 3600
        changes = ", ".join(row.trick for row in found.taken)
        rows.append((name, trainings, found.memory.peak / GB, changes or "none", hours))
    return pd.DataFrame(rows, columns=["network", "trainings", "memory_gb", "changes", "hours"])
