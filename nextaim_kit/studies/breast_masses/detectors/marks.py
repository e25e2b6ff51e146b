"""From a detector's answer to marks in pictures; and marks of a baseline that learns no weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nextaim_kit.learn.inference import apply
from nextaim_kit.studies.breast_masses.detectors.boxes import suppressed
from nextaim_kit.studies.breast_masses.detectors.transformer import RTDetr
from nextaim_kit.studies.breast_masses.detectors.yolo import Yolo
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, Pictures

Detector = Yolo | RTDetr
OVERLAP = 0.45  # of two marks, above which the weaker one goes
_CANDIDATES, _MARKS, _LEAST = 300, 50, 0.001


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
        edges = np.log(
            (views.masses[["x1", "y1"]].to_numpy() - views.masses[["x0", "y0"]].to_numpy()).mean(1)
        )
        least, most = np.quantile(edges, [0.02, 0.98])
        tried = np.linspace(least, most, steps)
        width = max(edges.std(), 0.1) * len(edges) ** -0.2
        prior = np.exp(-0.5 * ((tried[:, None] - edges) / width) ** 2).sum(1)
        return cls(np.exp(tried), prior / prior.max())

    def find(self, pictures: NDArray[np.float32]) -> pd.DataFrame:
        """Marks of pictures, as `find` gives them; the score is contrast times prior."""
        filters = self._filters(pictures.shape[1:])
        found = [self._of(picture, filters) for picture in pictures]
        parts = [np.c_[np.full(len(one), k), one] for k, one in enumerate(found)]
        table = pd.DataFrame(np.concatenate(parts), columns=["row", *BOX, "score"])
        return table.astype({"row": int})

    def _filters(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """For each diameter what its filter does to the waves of a cosine transform."""
        y, x = (np.pi * np.arange(n) / n for n in shape)
        square = self.diameters[:, None, None] ** 2 / 8 * (y[:, None] ** 2 + x**2)
        return (self.prior[:, None, None] * square * np.exp(-square / 2)).astype(np.float32)

    def _of(
        self, picture: NDArray[np.float32], filters: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        from scipy import fft, ndimage

        # Cosines go on beyond the border as if the picture were mirrored there.
        spots = fft.idctn(fft.dctn(picture) * filters, axes=(1, 2))
        peaks = (spots == ndimage.maximum_filter(spots, size=(3, 7, 7))) & (spots > 0)
        k, y, x = np.nonzero(peaks)
        half = self.diameters[k] / 2
        boxes = np.stack([x - half, y - half, x + half, y + half], 1) + 0.5
        keep = suppressed(boxes, spots[k, y, x], above=0.2, most=_MARKS)
        return np.c_[boxes, spots[k, y, x]][keep]


def at_random(seen: Pictures, asked: Pictures, n: int, *, seed: int) -> pd.DataFrame:
    """Marks without any knowledge: `n` squares anywhere in each breast, as large as masses are."""
    rng = np.random.default_rng(seed)
    boxes = seen.masses[BOX].to_numpy(float)
    half = float(np.median(np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1)))) / 2
    parts = []
    for row, picture in enumerate(asked.pictures):
        inside = np.argwhere(picture > 0)
        middle = rng.choice(inside, n)[:, ::-1] + 0.5
        parts.append(np.c_[np.full(n, row), middle - half, middle + half, rng.random(n)])
    table = pd.DataFrame(np.concatenate(parts), columns=["row", *BOX, "score"])
    return table.astype({"row": int})


class Loudest(nn.Module):
    """A detector as a classifier: the logit of its highest score in each picture, shape (n, 1)."""

    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        shape = (pictures.shape[2], pictures.shape[3])
        return self.net.decode(self.net(pictures), shape)[1].amax(1, keepdim=True).logit(1e-6)


def looks_at(net: Detector, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grad-CAM of the highest score in each picture, shape (n, h, w): `learn.saliency.grad_cam`.

    Of the finest features that the answer is made of.
    """
    from nextaim_kit.learn.saliency import grad_cam

    seen = torch.from_numpy(pictures)[:, None].repeat(1, 3, 1, 1)
    return grad_cam(Loudest(net), seen, layer=f"net.{net.finest}")
