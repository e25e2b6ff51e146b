"""Training of generators: pixel by pixel, then against a judge, on one set after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Cosine, Recipe
from nextaim_kit.learn.task import Adversary, Loss, Task
from nextaim_kit.learn.training import Fitted, in_stages
from nextaim_kit.memory.training import Budget
from nextaim_kit.studies.microscopy_superres.measures import binned
from nextaim_kit.studies.microscopy_superres.networks import Discriminator, Features, Generator
from nextaim_kit.studies.microscopy_superres.pairs import Pair
from nextaim_kit.studies.microscopy_superres.preparation import normalized, patches

_PIXEL: dict[str, Loss] = {"l1": functional.l1_loss, "l2": functional.mse_loss}
_EPOCH = 50  # updates after which a training is noted, validated and can be gone on with
_PLACES = 500  # corners of patches of each field
_CHECKED = 32  # patches to validate on


@dataclass(frozen=True)
class Size:
    """How large networks are, what they see and minimize; by default as published.

    Attributes
    ----------
    scale : int
    features, blocks, growth : int
        Of the generator.
    channels : int
        1: the three channels of the published one are equal for gray images.
    edge : int
        Of a patch, in pixels of the finer image.
    judge : int
        Channels of the discriminator's first level.
    batch : int
    pixel : {"l1", "l2"}
        What is minimized before there is a judge: mean absolute or squared differences.
    faithful : float
        Weight of L1 beside a judge. As published it is 0.01, for hundreds of thousands of updates;
        in a few hundred the judge then leads away from the image.
    """

    scale: int = 4
    features: int = 64
    blocks: int = 23
    growth: int = 32
    channels: int = 1
    edge: int = 128
    judge: int = 64
    batch: int = 16
    pixel: Literal["l1", "l2"] = "l1"
    faithful: float = 0.01

    def generator(self) -> Generator:
        """A new one."""
        return Generator(self.scale, self.features, self.blocks, self.growth, self.channels)

    def discriminator(self) -> Discriminator:
        """A new one."""
        return Discriminator(self.edge, self.judge, self.channels)


@dataclass(frozen=True)
class Set:
    """A set of fields to learn from, and for how long.

    Attributes
    ----------
    name : str
    train, val : sequence of Pair
        Of different fields; what `val` shows changes nothing that is learned.
    steps : int
        Updates.
    """

    name: str
    train: Sequence[Pair]
    val: Sequence[Pair]
    steps: int


class Patches(Dataset):
    """Patches with structure; to learn from, each is another one, turned and mirrored by chance."""

    def __init__(
        self, pairs: Sequence[Pair], size: Size, count: int, *, chance: bool = True
    ) -> None:
        edge = size.edge // size.scale
        self.count, self.chance, self.size, self.edge = count, chance, size, edge
        self.images = [(normalized(p.widefield), at_scale(p.storm, p.scale, size.scale))
                       for p in pairs]  # fmt: skip
        self.places = [
            (k, *corner) for k, p in enumerate(pairs) for corner in patches(p, edge, _PLACES)
        ]
        if not self.places:
            raise DataError(
                "no field has a patch with structure",
                expected=f"fields of at least {edge} pixels, brighter than a tenth in places",
                found=f"{len(pairs)} fields",
                mend="take smaller patches, or look at the pairs first",
            )

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = int(torch.randint(len(self.places), ())) if self.chance else index * _STRIDE
        turn = int(torch.randint(8, ())) if self.chance else 0
        k, r, c = self.places[number % len(self.places)]
        found = []
        for image, s in zip(self.images[k], (1, self.size.scale), strict=True):
            part = image[r * s : (r + self.edge) * s, c * s : (c + self.edge) * s]
            part = np.rot90(part.T if turn % 2 else part, turn // 2)
            whole = torch.from_numpy(np.ascontiguousarray(part, np.float32))
            found.append(whole.expand(self.size.channels, -1, -1))
        return found[0], found[1]


_STRIDE = 7919  # a prime: validation patches of all fields


def at_scale(storm: NDArray, scale: int, wanted: int) -> NDArray[np.float32]:
    """A STORM image on a grid `wanted` times as fine as the widefield one, not `scale` times."""
    if scale == wanted:
        return np.asarray(storm, np.float32)
    if scale % wanted == 0:
        return binned(storm, scale // wanted).astype(np.float32)
    moved = ndimage.zoom(storm, wanted / scale, order=1, grid_mode=True, mode="nearest")
    return np.asarray(moved, np.float32)


class Perceptual(nn.Module):
    """How far the features of two images are apart: the mean of the absolute differences."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.features(target)
        return functional.l1_loss(self.features(output), wanted)


def relativistic(real: Tensor, made: Tensor) -> Tensor:
    """A judge's loss: a target should look more real than the mean output, and the reverse.

    References
    ----------
    Jolicoeur-Martineau 2019, arXiv:1807.00734.
    """
    wrong = functional.softplus(made.mean() - real).mean()
    return (wrong + functional.softplus(made - real.mean()).mean()) / 2


def fooling(real: Tensor, made: Tensor) -> Tensor:
    """The generator's: what it makes should look more real than the mean target."""
    return relativistic(made, real)


def train_psnr(
    sets: Sequence[Set],
    size: Size,
    *,
    folder: Path,
    build: Callable[[], nn.Module] | None = None,
    start: nn.Module | None = None,
    rate: float = 2e-4,
    memory: Budget | None = None,
    seed: int = 0,
) -> list[Fitted]:
    """Train pixel by pixel (`Size.pixel`), on one set after the other: a curriculum.

    Each set begins with the last weights of the one before; its rate falls along half a cosine,
    and what is kept is the moving average of the weights at its end.

    Parameters
    ----------
    sets : sequence of Set
    size : Size
    folder : Path
        Checkpoints live here: a killed training goes on in the set and epoch where it was.
    build : callable, optional
        Makes another network than the generator of `size`.
    start : Module, optional
        Weights to begin with.
    rate : float
        Adam's; the published one.
    memory : "auto" or float, optional
        As of `learn.train`.
    seed : int

    Returns
    -------
    list of Fitted
        One for each set; the history has ``val_psnr`` in dB.
    """
    stages = [
        (_task(one, size, build or size.generator, {size.pixel: (1.0, _PIXEL[size.pixel])}),
         _recipe(one, size, rate, (0.9, 0.999)))
        for one in sets
    ]  # fmt: skip
    return _staged(stages, start, folder=folder, memory=memory, seed=seed)


def train_gan(
    sets: Sequence[Set],
    size: Size,
    start: nn.Module,
    *,
    folder: Path,
    features: Features | None = None,
    rate: float = 1e-4,
    memory: Budget | None = None,
    seed: int = 0,
) -> list[Fitted]:
    """Train against a judge, from weights learned pixel by pixel, as ESRGAN's second stage.

    The loss is `Size.faithful` of L1 (0.01 as published), the perceptual one where there are
    features, and 0.005 of what fools the judge. The judge begins anew with each set.

    Parameters
    ----------
    sets, size, folder, rate, memory, seed
        As of `train_psnr`.
    start : Module
    features : Features, optional
        Of the perceptual loss; none without.

    Returns
    -------
    list of Fitted
    """
    losses: dict[str, Any] = {"l1": (size.faithful, functional.l1_loss)}
    losses |= {"perceptual": (1.0, Perceptual(features))} if features else {}
    judge = Adversary(
        size.discriminator, relativistic, fooling, weight=5e-3, learning_rate=rate,
        settings={"betas": (0.9, 0.99)},
    )  # fmt: skip
    stages = [
        (_task(one, size, size.generator, losses, adversary=judge),
         _recipe(one, size, rate, (0.9, 0.99)))
        for one in sets
    ]  # fmt: skip
    return _staged(stages, start, folder=folder, memory=memory, seed=seed)


def _task(
    one: Set, size: Size, build: Callable[[], nn.Module], losses: Mapping[str, Any], **more: Any
) -> Task:
    updates = -(-one.steps // _epochs(one))
    return Task(
        build, losses, Patches(one.train, size, updates * size.batch),
        Patches(one.val, size, _CHECKED, chance=False),
        metrics={"psnr": _psnr}, monitor="epoch", mode="max", **more,
    )  # fmt: skip


def _epochs(one: Set) -> int:
    if one.steps < 1:
        raise RequestError(f"nothing is learned from {one.name}", expected="1 step or more")
    return -(-one.steps // _EPOCH)


def _psnr(outputs: Tensor, targets: Tensor) -> float:
    return float(-10 * torch.log10(functional.mse_loss(outputs.clip(0, 1), targets)))


def _recipe(one: Set, size: Size, rate: float, betas: tuple[float, float]) -> Recipe:
    average = min(0.999, max(0.5, 1 - 20 / one.steps))  # of a short training the last steps alone
    return Recipe(
        _epochs(one), size.batch, rate, settings={"betas": betas},
        schedule=Cosine(rate / 100), average=average,
    )  # fmt: skip


def _staged(
    stages: list[tuple[Task, Recipe]], start: nn.Module | None, **options: Any
) -> list[Fitted]:
    (task, recipe), *others = stages
    return in_stages([(replace(task, start=start), recipe), *others], **options)


def predict(net: nn.Module, widefield: NDArray) -> NDArray[np.float32]:
    """What a network makes of a whole widefield image: STORM's gray levels, 0 to 1.

    Parameters
    ----------
    net : Module
        With the attribute ``channels``.
    widefield : array of shape (rows, columns)
        As stored.

    Returns
    -------
    array of shape (scale * rows, scale * columns)
    """
    channels = int(net.channels)  # type: ignore[arg-type]  # torch's stubs know no such attribute
    image = torch.from_numpy(normalized(widefield)).expand(1, channels, -1, -1)
    return np.clip(apply(net, image)[0].mean(0).numpy(), 0, 1)
