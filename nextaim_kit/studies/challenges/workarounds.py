"""The five work-arounds for too little memory, trained and measured side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
import torch
from monai.networks.nets import DynUNet
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, binary_cross_entropy_with_logits, interpolate
from torch.utils.data import Dataset

from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.intervals import SHARE, mean_interval
from nextaim_kit.learn.losses import SegmentationLoss
from nextaim_kit.learn.recipe import Recipe
from nextaim_kit.learn.segmentation import dice
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.memory.dry_run import dry_run
from nextaim_kit.memory.measuring import measure
from nextaim_kit.memory.recompute import recomputing
from nextaim_kit.memory.step_memory import Device, Step
from nextaim_kit.studies.challenges.network import (
    Decoder,
    Encoder,
    Norm,
    builder,
    check_edges,
    split_step,
)

Volumes = Sequence[tuple[Tensor, Tensor]]  # image and mask, each (1, x, y, z)
Trick = Literal["plain", "checkpointed", "accumulated", "two stages"]
loss = SegmentationLoss()
_MEAN = binary_cross_entropy_with_logits  # a mean over items, which accumulation needs


@dataclass(frozen=True)
class Way:
    """One way to train the same network on the same patients.

    Attributes
    ----------
    name : str
    width : int
        Feature maps of the first level.
    batch_size : int
    shrink : int
        Factor by which edges are divided before the network sees them.
    patch : int
        Factor by which edges are divided by cutting: 2 trains on eighths of a volume.
    levels : int
    norm : {"instance", "batch"}
    recompute : bool
        Whether blocks are computed twice.
    """

    name: str
    width: int = 8
    batch_size: int = 4
    shrink: int = 1
    patch: int = 1
    levels: int = 3
    norm: Norm = "instance"
    recompute: bool = False

    @property
    def build(self) -> Callable[[], nn.Module]:
        """Makes the network."""
        return builder(self.width, self.levels, self.norm)

    @property
    def blocks(self) -> tuple[type[nn.Module], ...]:
        """What is computed twice."""
        from monai.networks.blocks.dynunet_block import UnetBasicBlock

        return (UnetBasicBlock,) if self.recompute else ()

    def seen(self, size: Sequence[int]) -> tuple[int, ...]:
        """Edges of what the network sees of volumes of this size."""
        check_edges(size, self.levels, factor=self.shrink * self.patch)
        return tuple(n // self.shrink // self.patch for n in size)

    def step(self, size: Sequence[int], device: Device = "cpu") -> Step:
        """As the planner takes it."""
        inputs = (((1, *self.seen(size)), "float32"),)
        return Step(self.build, inputs, loss=loss, batch_size=self.batch_size,
                    recompute=self.blocks, device=device)  # fmt: skip


def five(plain: Way) -> list[Way]:
    """The plain way and four work-arounds that change what is learned.

    The fifth, model parallelism, leaves the numbers as they are (`network.split_step`).
    """
    return [
        plain,
        replace(plain, name="smaller images", shrink=2),
        replace(plain, name="smaller batches", batch_size=2),
        replace(plain, name="patches", patch=2),
        replace(plain, name="fewer feature maps", width=max(1, plain.width // 2)),
    ]


class Patients(Dataset):
    """Items of a way: volumes, shrunk ones, or as many patches as a volume holds."""

    def __init__(self, volumes: Volumes, way: Way) -> None:
        self.volumes = [shrunk(pair, way.shrink) for pair in volumes]
        self.patch, self.each = way.patch, way.patch**3

    def __len__(self) -> int:
        return len(self.volumes) * self.each

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        image, mask = self.volumes[item // self.each]
        if self.patch == 1:
            return image, mask
        edges = [n // self.patch for n in image.shape[1:]]
        at = [
            int(torch.randint(n - e + 1, ())) for n, e in zip(image.shape[1:], edges, strict=True)
        ]
        cut = (slice(None), *(slice(a, a + e) for a, e in zip(at, edges, strict=True)))
        return image[cut], mask[cut]


def shrunk(pair: tuple[Tensor, Tensor], factor: int) -> tuple[Tensor, Tensor]:
    """Image and mask at a coarser grid: means of blocks, the mask where it fills half a block."""
    if factor == 1:
        return pair
    image, mask = (avg_pool3d(one, factor) for one in pair)
    return image, (mask >= 0.5).float()


def train_way(way: Way, parts: tuple[Volumes, Volumes], folder: Path, *, epochs: int,
              learning_rate: float, seed: int) -> Fitted:  # fmt: skip
    """Train one way on the training part; the best epoch is chosen on the validation part."""
    task = Task(way.build, loss, *(Patients(part, way) for part in parts))
    recipe = Recipe(epochs, way.batch_size, learning_rate)
    return train(task, recipe, folder=folder, recompute=way.blocks, seed=seed)


def probability(net: nn.Module, way: Way, image: Tensor) -> NDArray[np.float32]:
    """What a network says of a whole volume, at the volume's own size, shape (x, y, z)."""
    whole = image[None]
    small = avg_pool3d(whole, way.shrink) if way.shrink > 1 else whole
    window = [n // way.patch for n in small.shape[2:]] if way.patch > 1 else None
    logits = apply(net, small, batch_size=4, window=window, overlap=0.5)
    return interpolate(logits, whole.shape[2:], mode="trilinear").sigmoid()[0, 0].numpy()


def costs(ways: Sequence[Way], size: Sequence[int], patients: int, *,
          device: Device = "cpu") -> pd.DataFrame:  # fmt: skip
    """Memory and time of each way, predicted and measured on this machine.

    Parameters
    ----------
    ways : sequence of Way
        The first is what the others are held to.
    size : (int, int, int)
        Voxels of a volume.
    patients : int
        That are learned from in one pass.
    device : {"cpu", "cuda"}

    Returns
    -------
    DataFrame
        ``way``, ``sees`` (edges in voxels), ``batch``, ``updates`` (in one pass), ``predicted_mb``
        and ``measured_mb`` (tensors, 10**6 bytes), ``memory`` and ``time`` of one pass, both in
        units of the first way's. The time is measured on two updates and varies.
    """
    rows = []
    for way in ways:
        step, items = way.step(size, device), patients * way.patch**3
        updates = -(-items // way.batch_size)
        seen = measure(step, updates=3)
        edges = " x ".join(map(str, way.seen(size)))
        rows.append((way.name, edges, way.batch_size, updates, dry_run(step).tensors / 1e6,
                     seen.peak / 1e6, seen.seconds * items / way.batch_size))  # fmt: skip
    names = ["way", "sees", "batch", "updates", "predicted_mb", "measured_mb", "time"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(6, "memory", table["measured_mb"] / table["measured_mb"].iloc[0])
    return table.assign(time=table["time"] / table["time"].iloc[0])


def scores(predicted: Sequence[NDArray], volumes: Volumes) -> NDArray[np.float64]:
    """Dice coefficient of each patient's lesions; 1 where neither has any."""
    return np.array([
        dice(mask[0].numpy() > 0, p >= 0.5)
        for p, (_, mask) in zip(predicted, volumes, strict=True)
    ])  # fmt: skip


def compare(
    by_way: Mapping[str, NDArray], volumes: Volumes, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """Mean Dice of each way and its difference from the first, with 95 % patient intervals.

    Parameters
    ----------
    by_way : mapping of str to array of shape (seeds, patients) or (patients,)
        Dice coefficients; seeds are averaged before patients are drawn.
    volumes : sequence
        The patients, for the size of their lesions.
    n_boot, seed : int

    Returns
    -------
    DataFrame
        ``name``, ``value``, ``low``, ``high``; ``difference``, ``difference_low`` and ``_high``;
        ``small``, the mean over that half of the affected patients whose lesions are smaller.
    """
    size = np.array([float(mask.sum()) for _, mask in volumes])
    ill = size > 0
    small = ill & (size <= np.median(size[ill])) if ill.any() else ill
    means = {name: np.atleast_2d(dsc).mean(axis=0) for name, dsc in by_way.items()}
    plain, rows = next(iter(means.values())), []
    for name, dsc in means.items():
        own = mean_interval(dsc, bounds=SHARE, n_boot=n_boot, seed=seed)
        less = mean_interval(dsc - plain, bounds=(-1, 1), n_boot=n_boot, seed=seed)
        rows.append((name, *own, *less, dsc[small].mean() if small.any() else np.nan))
    columns = ["name", "value", "low", "high", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=[*columns, "small"])


def best_threshold(volumes: Volumes, lungs: Sequence[NDArray]) -> float:
    """The gray level above which lung is called lesion, with the best mean Dice on these."""
    levels = np.linspace(-0.9, 0.5, 15)
    found = [scores(above(volumes, lungs, level), volumes).mean() for level in levels]
    return float(levels[int(np.argmax(found))])


def above(volumes: Volumes, lungs: Sequence[NDArray], level: float) -> list[NDArray]:
    """Lung that is brighter than a gray level, as probabilities 0 and 1."""
    return [
        ((image[0].numpy() > level) & inside).astype(np.float32)
        for (image, _), inside in zip(volumes, lungs, strict=True)
    ]


def few_updates(way: Way, volumes: Volumes, how: Trick = "plain", *, loss: Any = _MEAN,
                updates: int = 2, seed: int = 0) -> NDArray[np.float32]:  # fmt: skip
    """Weights after a few updates on the same batch, by tricks that ought not to change them.

    By plain gradient descent: Adam divides a gradient by its own size, so that it makes a step of
    the mere rounding where a gradient is nearly nothing.

    Parameters
    ----------
    way : Way
    volumes : sequence
        The batch.
    how : {"plain", "checkpointed", "accumulated", "two stages"}
        Blocks computed twice; gradients of single items added up; the two stages of
        `network.split_step`.
    loss : callable, optional
        Of logits and target. By default a mean over items, for which accumulation is exact.
    updates, seed : int

    Returns
    -------
    array of float32
        All weights in a row.
    """
    torch.manual_seed(seed)
    net = cast(DynUNet, way.build()).train()
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = (torch.stack(parts) for parts in zip(*volumes, strict=True))
    size = 1 if how == "accumulated" else len(x)
    twice = replace(way, recompute=how == "checkpointed").blocks
    halves = Encoder(net), Decoder(net)
    with recomputing(net, twice):
        for _ in range(updates):
            descent.zero_grad()
            for a, b in zip(x.split(size), y.split(size), strict=True):
                if how == "two stages":
                    split_step(*halves, a, b, loss)
                else:
                    (loss(net(a), b) * size / len(x)).backward()
            descent.step()
    return torch.cat([p.detach().ravel() for p in net.parameters()]).numpy()
