"""Detectors of masses: built, trained by `learn.train`, and asked; and one that learns nothing."""

from __future__ import annotations

from collections.abc import Sequence
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
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.recipe import Cosine, Group, Recipe
from nextaim_kit.learn.task import Task
from nextaim_kit.learn.training import Fitted, train
from nextaim_kit.memory.training import Budget
from nextaim_kit.studies.breast_masses.augmentation import Augmentation, MassPictures, padded
from nextaim_kit.studies.breast_masses.boxes import suppressed
from nextaim_kit.studies.breast_masses.froc import BOX, average_precision, judge
from nextaim_kit.studies.breast_masses.mammograms import Mammograms
from nextaim_kit.studies.breast_masses.preparation import prepare_all
from nextaim_kit.studies.breast_masses.transformer import RTDetr, SetLoss
from nextaim_kit.studies.breast_masses.yolo import ANCHORS, Size, Yolo
from nextaim_kit.studies.breast_masses.yolo_losses import AnchorLoss, FreeLoss

Kind = Literal["yolov5", "yolov8", "rtdetr"]
Detector = Yolo | RTDetr
OVERLAP = 0.45  # of two marks, above which the weaker one goes
_CANDIDATES, _MARKS, _LEAST = 300, 50, 0.001
_SHORT = 10_000  # updates up to which generation 8 chooses AdamW by itself
_NOMINAL = 64  # pictures in an update of the published recipes, whose losses are sums over them
_MOST = 16  # masses in a picture that are learned from


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of a cohort, and their masses in the pictures' pixels.

    Attributes
    ----------
    images : DataFrame
        As in `Mammograms`, one row per picture.
    pictures : array of float32, shape (n, size, size)
    masses : DataFrame
        As `Mammograms.lesions`, with ``row`` of the picture, and the box in the picture.
    spacing : array of shape (n,)
        mm of a picture's pixel, NaN where unknown.
    """

    images: pd.DataFrame
    pictures: NDArray[np.float32]
    masses: pd.DataFrame
    spacing: NDArray[np.float64]

    def take(self, rows: Sequence[int] | NDArray) -> Pictures:
        """Some of the pictures, in that order."""
        rows = np.asarray(rows, int)
        new = pd.Series(np.arange(len(rows)), index=rows)
        masses = self.masses[self.masses["row"].isin(rows)]
        masses = masses.assign(row=new.loc[masses["row"]].to_numpy()).sort_values("row", kind="stable")
        return Pictures(self.images.iloc[rows].reset_index(drop=True), self.pictures[rows],
                     masses.reset_index(drop=True), self.spacing[rows])  # fmt: skip

    def boxes(self) -> list[NDArray[np.float64]]:
        """Boxes of each picture, shape (k, 4)."""
        rows, boxes = self.masses["row"].to_numpy(), self.masses[BOX].to_numpy(float)
        return [boxes[rows == k] for k in range(len(self.pictures))]


def pictures_of(mammograms: Mammograms, size: int) -> tuple[Pictures, pd.DataFrame]:
    """Prepare a cohort: its pictures with their masses, and the images that could not be read."""
    pictures, prepared, failures = prepare_all(mammograms, size=size)
    images = mammograms.images
    images = images[~images["subject"].isin(failures["subject"])].reset_index(drop=True)
    row = pd.Series(np.arange(len(images)), index=images["subject"])
    masses = mammograms.lesions[mammograms.lesions["subject"].isin(row.index)].copy()
    masses["row"] = row.loc[masses["subject"]].to_numpy()
    moved = [prepared[k].to_picture(box)[0]
             for k, box in zip(masses["row"], masses[BOX].to_numpy(float), strict=True)]  # fmt: skip
    masses[BOX] = np.reshape(moved, (-1, 4))
    spacing = np.array([one.spacing for one in prepared])
    order = masses.sort_values("row", kind="stable").reset_index(drop=True)
    return Pictures(images, pictures, order, spacing), failures


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
    start : str
        File of weights to begin with.
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
    recipes; the warm-up of momentum and the larger first rate of biases are left out.
    """
    each = -(-pictures // training.batch_size)
    updates = each * training.epochs
    short = updates <= _SHORT
    adam = training.optimizer == "adamw" or (training.optimizer == "auto" and short)
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


def build(
    kind: Kind, size: Size = "n", anchors: Any = ANCHORS, momentum: float = 0.03
) -> Detector:
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
    """
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
            torch.from_numpy(part.pictures), list(map(torch.tensor, part.boxes())),
            (part.images["view"] == "CC").tolist(), vary,
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


def marks_of(net: Detector, output: Tensor, shape: tuple[int, int]) -> pd.DataFrame:
    """A network's answer as marks: ``row``, ``x0, y0, x1, y1`` and ``score``, best first in a row.

    Of the 300 best boxes of a picture with scores of at least 0.001, those that overlap a
    better one by more than 0.45 go; 50 stay at most, and their boxes end at the border.
    """
    boxes, scores = net.decode(output, shape)
    most = min(_CANDIDATES, scores.shape[1])
    scores, best = scores.topk(most, 1)
    boxes = boxes.gather(1, best[..., None].expand(-1, -1, 4))
    boxes = torch.stack([boxes[..., k].clamp(0, shape[1 - k % 2]) for k in range(4)], -1)
    parts = []
    for row, (box, score) in enumerate(zip(boxes.numpy(), scores.numpy(), strict=True)):
        box, score = box[score >= _LEAST], score[score >= _LEAST]
        keep = suppressed(box, score, above=OVERLAP, most=_MARKS)
        parts.append(np.c_[np.full(len(keep), row), box[keep], score[keep]])
    table = pd.DataFrame(np.concatenate(parts), columns=["row", *BOX, "score"])
    return table.astype({"row": int})


def find(net: Detector, pictures: NDArray[np.float32], *, batch_size: int = 16) -> pd.DataFrame:
    """Ask a detector about pictures, shape (n, h, w): its marks, as `marks_of` gives them."""
    # Three times the same gray picture is a view, no copy.
    seen = torch.from_numpy(pictures)[:, None].expand(-1, 3, -1, -1)
    parts = []
    for k in range(0, len(pictures), 4 * batch_size):
        output = apply(net, seen[k : k + 4 * batch_size], batch_size=batch_size)
        found = marks_of(net, output, pictures.shape[1:])
        parts.append(found.assign(row=found["row"] + k))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Blobs:
    """The baseline: bright round spots of a mass's size, found by a Laplacian of Gaussian.

    Attributes
    ----------
    diameters : array of float
        In pixels, tried one by one.
    prior : array of float
        How common each is among training masses; a spot's contrast is multiplied by it.

    References
    ----------
    Scale space: Lindeberg 1998, doi:10.1023/A:1008045108935.
    """

    diameters: NDArray[np.float64]
    prior: NDArray[np.float64]

    @classmethod
    def fit(cls, views: Pictures, steps: int = 8) -> Blobs:
        """Learn from training views how large masses are."""
        edges = np.log((views.masses[["x1", "y1"]].to_numpy() - views.masses[["x0", "y0"]].to_numpy()).mean(1))
        tried = np.linspace(*np.quantile(edges, [0.02, 0.98]), steps)
        width = max(edges.std(), 0.1) * len(edges) ** -0.2
        prior = np.exp(-0.5 * ((tried[:, None] - edges) / width) ** 2).sum(1)
        return cls(np.exp(tried), prior / prior.max())

    def find(self, pictures: NDArray[np.float32]) -> pd.DataFrame:
        """Marks of pictures, as `find` gives them; the score is contrast times prior."""
        parts = [np.c_[np.full(len(one), k), one] for k, one in enumerate(map(self._of, pictures))]
        table = pd.DataFrame(np.concatenate(parts), columns=["row", *BOX, "score"])
        return table.astype({"row": int})

    def _of(self, picture: NDArray[np.float32]) -> NDArray[np.float64]:
        from scipy import ndimage

        spots = np.stack([
            -((d / 2 / np.sqrt(2)) ** 2) * ndimage.gaussian_laplace(picture, d / 2 / np.sqrt(2)) * p
            for d, p in zip(self.diameters, self.prior, strict=True)
        ])  # fmt: skip
        peaks = (spots == ndimage.maximum_filter(spots, size=(3, 7, 7))) & (spots > 0)
        k, y, x = np.nonzero(peaks)
        half = self.diameters[k] / 2
        boxes = np.stack([x - half, y - half, x + half, y + half], 1) + 0.5
        keep = suppressed(boxes, spots[k, y, x], above=0.2, most=_MARKS)
        return np.c_[boxes, spots[k, y, x]][keep]


class Loudest(nn.Module):
    """A detector as a classifier: the logit of its highest score in each picture, shape (n, 1)."""

    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        shape = (pictures.shape[2], pictures.shape[3])
        return self.net.decode(self.net(pictures), shape)[1].amax(1, keepdim=True).logit(1e-6)
