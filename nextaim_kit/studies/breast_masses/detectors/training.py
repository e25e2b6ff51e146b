"""Detectors of masses, built and trained by `learn.train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.recipe import Cosine, Group, Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.memory.training import Budget
from nextaim_kit.studies.breast_masses.detectors.augmentation import (
    Augmentation,
    MassPictures,
    padded,
)
from nextaim_kit.studies.breast_masses.detectors.froc import average_precision, judge
from nextaim_kit.studies.breast_masses.detectors.marks import Detector, marks_of
from nextaim_kit.studies.breast_masses.detectors.transformer import RTDetr, SetLoss
from nextaim_kit.studies.breast_masses.detectors.yolo import ANCHORS, Size, Yolo
from nextaim_kit.studies.breast_masses.detectors.yolo_losses import AnchorLoss, FreeLoss
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, Pictures

Kind = Literal["yolov5", "yolov8", "rtdetr"]
_SHORT = 10_000  # updates up to which generation 8 chooses AdamW by itself
_NOMINAL = 64  # pictures in an update of the published recipes, whose losses are sums over them
_MOST = 16  # masses in a picture that are learned from


@dataclass(frozen=True)
class Training:
    """How detectors are trained, the same for all.

    Attributes
    ----------
    epochs, batch_size : int
    size : {"n", "s", "m"}
    optimizer : {"auto", "adamw", "sgd"}
        As `recipe` has it.
    anchors : {"published", "k-means"}
        Of generation 5: as published, or of the training boxes.
    augmentation : Augmentation
    memory : "auto" or float, optional
        As of `learn.train`.
    seed : int
    """

    epochs: int
    batch_size: int = 8
    size: Size = "n"
    optimizer: Literal["auto", "adamw", "sgd"] = "auto"
    anchors: Literal["published", "k-means"] = "published"
    augmentation: Augmentation = field(default_factory=Augmentation)
    memory: Budget | None = None
    seed: int = 0


def recipe(kind: Kind, training: Training, pictures: int) -> tuple[Recipe, float]:
    """How a detector learns from so many pictures, and what its loss is multiplied by.

    ``auto`` is what generation 8's own automatic takes: AdamW at 0.002 up to 10,000 updates, else
    SGD at 0.01 with Nesterov's momentum of 0.937. Generation 5 has no automatic: its published
    recipe is SGD, made for 300 epochs of 118,000 pictures. Decay of 0.0005, none on biases and
    normalizations; a warm-up of three epochs or 100 updates, at most a fifth of all; then half a
    cosine to a hundredth (the published default is a straight line); gradients of norm 10 at most;
    an average of the weights over about the last tenth of the updates (published: 0.9999, for
    trainings a hundred times as long). SGD's loss is a sum over 64 pictures, as in the published
    recipes; the warm-up of momentum and the larger first rate of biases are left out. RT-DETR has
    AdamW at 0.0002 always (published: 0.0001, for trainings a hundred times as long).
    """
    each = -(-pictures // training.batch_size)
    updates = each * training.epochs
    short = updates <= _SHORT
    auto = training.optimizer == "auto" and short
    adam = auto or training.optimizer == "adamw" or kind == "rtdetr"
    rate = 0.0002 if kind == "rtdetr" else 0.002 if adam else 0.01
    sgd = {"momentum": 0.937, "nesterov": True, "weight_decay": 0.0005}
    made = Recipe(
        training.epochs, training.batch_size, rate,
        torch.optim.AdamW if adam else torch.optim.SGD,
        {"weight_decay": 0.0005} if adam else sgd,
        groups=(Group("*.bias", weight_decay=0.0), Group("*norm*.weight", weight_decay=0.0)),
        schedule=Cosine(rate / 100, warmup=min(max(3 * each, 100), updates // 5)),
        clip=10.0, average=min(0.9999, max(0.1, 1 - 10 / max(updates, 11))),
    )  # fmt: skip
    return made, 1.0 if adam else float(_NOMINAL)


def build(kind: Kind, size: Size = "n", anchors: Any = ANCHORS, momentum: float = 0.03) -> Detector:
    """A detector of one class.

    Raises
    ------
    RequestError
        If there is no such detector.
    """
    if kind == "rtdetr":
        return RTDetr(size)
    if kind not in ("yolov5", "yolov8"):
        raise RequestError(f"no detector {kind!r}", expected="yolov5, yolov8 or rtdetr")
    net = Yolo("v5" if kind == "yolov5" else "v8", size, 1, anchors)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum
    return net


def anchors_of(boxes: NDArray, seed: int) -> NDArray[np.float64]:
    """Nine anchors that training boxes have in the middle of their clusters, by area, (3, 3, 2).

    k-means on the logarithms of width and height, so that twice and half are as far.
    """
    from sklearn.cluster import KMeans

    edges = np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0))
    if len(np.unique(edges, axis=0)) < 9:
        raise DataError(
            "anchors cannot be found", expected="nine boxes of different sizes",
            found=str(len(edges)), mend="take the published anchors",
        )  # fmt: skip
    found = np.exp(KMeans(9, n_init=10, random_state=seed).fit(edges).cluster_centers_)
    return found[np.argsort(found.prod(1))].reshape(3, 3, 2)


def train_detector(
    kind: Kind, training: Training, first: Pictures, second: Pictures, folder: Path
) -> Fitted:
    """Train on some views, keep the weights with the best average precision on others.

    Average precision is the mean of those at IoU 0.25 and 0.5: early, the latter alone is 0.

    Raises
    ------
    RequestError
        If memory is to be planned for RT-DETR, whose loss needs true numbers.
    """
    if kind == "rtdetr" and training.memory is not None:
        raise RequestError(
            "memory cannot be planned for rtdetr", expected="yolov5 or yolov8",
            found="a loss that matches true numbers", mend="set memory_gb to 0",
        )  # fmt: skip
    shape = first.pictures.shape[1:]
    anchors: Any = np.array(ANCHORS) * max(shape) / 640
    if training.anchors == "k-means":
        anchors = anchors_of(first.masses[BOX].to_numpy(float), training.seed)
    how, times = recipe(kind, training, len(first.pictures))
    # Running statistics begin at a variance of 1, which a hundred updates at 0.03 do not forget.
    momentum = 0.1 if isinstance(how.schedule, Cosine) and times == 1.0 else 0.03
    make = partial(build, kind, training.size, anchors, momentum)
    learned, held = (
        MassPictures(
            torch.from_numpy(np.require(part.pictures, requirements="W")),
            list(map(torch.tensor, part.boxes())), (part.images["view"] == "CC").tolist(), vary,
        )
        for part, vary in ((first, training.augmentation), (second, None))
    )  # fmt: skip
    task = Task(
        make, loss_of(make(), shape, times), learned, held,
        metrics={"ap": partial(_mean_ap, make(), shape)}, monitor="val_ap", mode="max",
        collate=partial(padded, most=_MOST),
    )  # fmt: skip
    return train(task, how, folder=folder, memory=training.memory, seed=training.seed)


def loss_of(net: Detector, shape: tuple[int, int], times: float = 1.0) -> nn.Module:
    """What a detector minimizes on pictures of a shape."""
    if isinstance(net, RTDetr):
        return SetLoss(net.config, shape)
    if net.generation == "v8":
        return FreeLoss(shape, times=times)
    return AnchorLoss(shape, net.anchors, times=times)


def _mean_ap(net: Detector, shape: tuple[int, int], output: Tensor, target: Tensor) -> float:
    masses = [
        (row, *box[1:].tolist()) for row, one in enumerate(target) for box in one if box[0] >= 0
    ]
    truth = pd.DataFrame(masses, columns=["row", *BOX])
    marks = marks_of(net, output, shape)
    unknown = np.full(len(output), np.nan)
    everyone = np.ones((1, len(output)))
    found = [
        average_precision(judge(marks, truth, unknown, rule))(everyone)[0]
        for rule in ("IoU 0.25", "IoU 0.5")
    ]
    return float(np.nan_to_num(np.mean(found)))
