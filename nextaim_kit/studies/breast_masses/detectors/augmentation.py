"""Pictures and boxes varied together, as a network is shown them in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from nextaim_kit.studies.breast_masses.detectors.boxes import areas

Item = tuple[Tensor, Tensor]
_LEAST_EDGE = 2.0  # pixels that must be left of a box
_LEAST_SHARE = 0.1  # of its area


@dataclass(frozen=True)
class Augmentation:
    """How much pictures are varied; what is drawn is drawn by torch's seed.

    Attributes
    ----------
    mosaic : float
        Probability that four pictures are joined into one. Half of them by default, so that whole
        breasts are seen too; the published recipes join all, generation 8 none in its last epochs.
    scale : float
        Edges are divided or multiplied by up to 1 plus this.
    shift : float
        Largest way, as a share of the edge.
    contrast : float
        Gray values, 0 to 1, are raised to a power between its inverse and this.
    """

    mosaic: float = 0.5
    scale: float = 0.5
    shift: float = 0.1
    contrast: float = 1.5


def clipped(boxes: Tensor, frame: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Boxes cut at a frame (x0, y0, x1, y1), and which of them are still to be called masses.

    One is dropped with less than 2 pixels of an edge or 10 % of its area left.
    """
    x0, y0, x1, y1 = frame
    low, high = boxes.new_tensor([x0, y0, x0, y0]), boxes.new_tensor([x1, y1, x1, y1])
    cut = torch.minimum(torch.maximum(boxes, low), high)
    edges = cut[:, 2:] - cut[:, :2]
    share = areas(cut) / areas(boxes).clamp(min=1e-9)
    return cut, (edges >= _LEAST_EDGE).all(1) & (share >= _LEAST_SHARE)


def looked_at(picture: Tensor, boxes: Tensor, center: Sequence[float], scale: float,
              size: Sequence[int]) -> Item:  # fmt: skip
    """What a window of a size sees of a picture, black beyond its border.

    Parameters
    ----------
    picture : Tensor of shape (h, w)
    boxes : Tensor of shape (k, 4)
    center : (float, float)
        x and y in the picture of the window's center.
    scale : float
        Pixels of the window for each of the picture.
    size : (int, int)
        Rows and columns of the window.

    Returns
    -------
    picture : Tensor of shape `size`
    boxes : Tensor of shape (k, 4)
        In the window's pixels, not cut.
    """
    (h, w), (rows, columns) = picture.shape, size
    x = (torch.arange(columns) + 0.5 - columns / 2) / scale + center[0]
    y = (torch.arange(rows) + 0.5 - rows / 2) / scale + center[1]
    grid = torch.stack(torch.meshgrid(2 * x / w - 1, 2 * y / h - 1, indexing="xy"), -1)
    seen = functional.grid_sample(
        picture[None, None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0, 0]
    middle = boxes.new_tensor([columns / 2, rows / 2] * 2)
    return seen, (boxes - boxes.new_tensor([*center] * 2)) * scale + middle


class MassPictures(Dataset):
    """Prepared mammograms and the boxes of their masses.

    Parameters
    ----------
    pictures : Tensor of shape (n, h, w)
        Gray, 0 to 1; chest wall at the left.
    boxes : sequence of Tensor of shape (k, 4)
    flips : sequence of bool
        Which pictures may be turned upside down: craniocaudal ones may, in oblique ones the armpit
        is always above. None is mirrored, since all have their chest wall at the left.
    how : Augmentation, optional
        By default pictures are given as they are.

    Notes
    -----
    An item is a picture of shape (3, h, w), three times the same, and its masses, shape (k, 5):
    class 0 and the box. `padded` makes batches of them.
    """

    def __init__(
        self, pictures: Tensor, boxes: Sequence[Tensor], flips: Sequence[bool],
        how: Augmentation | None = None,
    ) -> None:  # fmt: skip
        self.pictures, self.flips, self.how = pictures, list(flips), how
        self.boxes = [torch.as_tensor(b, dtype=torch.float32).reshape(-1, 4) for b in boxes]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Item:
        picture, boxes = self.pictures[index], self.boxes[index]
        if self.how is not None:
            picture, boxes = self._varied(index, self.how)
        return picture.expand(3, -1, -1), functional.pad(boxes, (1, 0))

    def _varied(self, index: int, how: Augmentation) -> Item:
        joined = bool(torch.rand(()) < how.mosaic)
        picture, boxes = self.mosaic(index) if joined else self._flipped(index)
        size = self.pictures.shape[1:]
        scale = math.exp(_within(-1, 1) * math.log(1 + how.scale))
        center = [n / 2 + _within(-how.shift, how.shift) * e
                  for n, e in zip(picture.shape[::-1], size[::-1], strict=True)]  # fmt: skip
        picture, moved = looked_at(picture, boxes, center, scale, size)
        cut, keep = clipped(moved, (0, 0, size[1], size[0]))
        power = math.exp(_within(-1, 1) * math.log(how.contrast))
        return picture.clamp(0, 1) ** power, cut[keep]

    def _flipped(self, index: int) -> Item:
        picture, boxes = self.pictures[index], self.boxes[index]
        if not self.flips[index] or torch.rand(()) < 0.5:
            return picture, boxes
        turned = boxes[:, [0, 3, 2, 1]]
        turned[:, 1::2] = picture.shape[0] - turned[:, 1::2]
        return picture.flip(0), turned

    def mosaic(self, index: int) -> Item:
        """Four pictures round a point on a canvas of twice the size, each cut at its quarter."""
        h, w = self.pictures.shape[1:]
        others = torch.randint(len(self), (3,)).tolist()
        x, y = int(_within(0.5, 1.5) * w), int(_within(0.5, 1.5) * h)
        canvas, found = torch.zeros(2 * h, 2 * w), []
        corners = [(x - w, y - h), (x, y - h), (x - w, y), (x, y)]
        for k, (left, top) in zip((index, *others), corners, strict=True):
            picture, boxes = self._flipped(k)
            x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + w, 2 * w), min(top + h, 2 * h)
            canvas[y0:y1, x0:x1] = picture[y0 - top : y1 - top, x0 - left : x1 - left]
            cut, keep = clipped(boxes + boxes.new_tensor([left, top] * 2), (x0, y0, x1, y1))
            found.append(cut[keep])
        return canvas, torch.cat(found)


def _within(low: float, high: float) -> float:
    return float(low + (high - low) * torch.rand(()))


def padded(items: Sequence[Item], most: int) -> tuple[Tensor, Tensor]:
    """A batch: pictures, and targets of one number for all, shape (n, most, 5), class -1 for none.

    Where more masses are in a picture, the largest are kept.
    """
    target = torch.zeros(len(items), most, 5)
    target[..., 0] = -1
    for row, (_, masses) in zip(target, items, strict=True):
        kept = masses[areas(masses[:, 1:]).argsort(descending=True)][:most]
        row[: len(kept)] = kept
    return torch.stack([picture for picture, _ in items]), target
