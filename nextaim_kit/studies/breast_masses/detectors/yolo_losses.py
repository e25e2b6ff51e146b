"""What each generation of YOLO minimizes: which cells are to answer for a mass, and how well.

Targets are padded to one number per picture, shape (n, most, 5): class, x0, y0, x1, y1 in pixels,
class -1 where there is none. Nothing here has a shape that depends on the data, so that a step's
memory can be predicted without running it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nextaim_kit.studies.breast_masses.detectors import yolo
from nextaim_kit.studies.breast_masses.detectors.boxes import centers, ciou

Shape = tuple[int, int]


class FreeLoss(nn.Module):
    """Generation 8: classes, boxes and their distributions, on cells chosen by task alignment.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the pictures.
    classes : int
    top : int
        Cells that answer for a mass at the most.
    times : float
        What all is multiplied by.

    Notes
    -----
    Weights 0.5 for classes, 7.5 for boxes (1 - CIoU), 1.5 for distributions; each is a sum over
    cells divided by the sum of their soft targets.

    References
    ----------
    Task-aligned assignment, Feng et al. 2021, arXiv:2108.07755; distribution focal loss, Li et
    al. 2020, arXiv:2006.04388.
    """

    centers: Tensor
    strides: Tensor
    weights = {"class": 0.5, "box": 7.5, "distribution": 1.5}  # noqa: RUF012

    def __init__(self, shape: Shape, classes: int = 1, top: int = 10, times: float = 1.0) -> None:
        super().__init__()
        self.classes, self.top, self.times = classes, top, times
        centers, strides = yolo.cells(shape)
        self.register_buffer("centers", centers)
        self.register_buffer("strides", strides)

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The three parts, each with its weight; their sum is minimized."""
        numbers, logits = output.float().split([4 * yolo.BINS, self.classes], -1)
        boxes = yolo.free_boxes(numbers, self.centers, self.strides)
        chosen, share = self.assign(boxes.detach(), logits.detach(), target)
        kind, truth = picked(target, chosen)
        soft = _one_hot(kind, self.classes) * share[..., None]
        total = share.sum().clamp(min=1)
        told = functional.binary_cross_entropy_with_logits(logits, soft, reduction="sum")
        near = ((1 - ciou(boxes, truth)) * share).sum()
        spread = (self.distribution(numbers, truth) * share).sum()
        found = {"class": told, "box": near, "distribution": spread}
        scale = self.times / total
        return {name: self.weights[name] * value * scale for name, value in found.items()}

    def assign(self, boxes: Tensor, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """For each cell the target that it answers for, and its soft target (0: for none).

        Alignment is score ** 0.5 * CIoU ** 6. Of the cells whose center lies in a box the best
        aligned are taken; a cell that two masses take goes to the one that it overlaps more; a
        mass's best cell is given the largest IoU among its cells, the others in proportion.

        Returns
        -------
        tuple of Tensor, each of shape (n, cells)
        """
        kind, truth = target[..., 0], target[..., 1:]
        inside = within(self.centers, truth) & (kind >= 0)[..., None]
        overlap = ciou(boxes[:, None], truth[:, :, None]).clamp(min=0) * inside
        index = kind.clamp(min=0).long()[..., None].expand(-1, -1, logits.shape[1])
        score = logits.sigmoid().transpose(1, 2).gather(1, index)
        aligned = score.sqrt() * overlap**6 * inside
        taken = _largest(aligned, inside, self.top)
        chosen = torch.where(taken, overlap, -1.0).argmax(1)
        taken = taken & _one_hot(chosen, target.shape[1]).bool().transpose(1, 2)
        aligned, overlap = aligned * taken, overlap * taken
        most = overlap.amax(-1, keepdim=True) / aligned.amax(-1, keepdim=True).clamp(min=1e-9)
        return chosen, (aligned * most).amax(1)

    def distribution(self, numbers: Tensor, truth: Tensor) -> Tensor:
        """Cross-entropy to the two bins beside each true distance, mean of the four sides."""
        away = torch.cat([self.centers - truth[..., :2], truth[..., 2:] - self.centers], -1)
        away = (away / self.strides).clamp(0, yolo.BINS - 1.01)
        left = away.floor().long()
        logs = numbers.unflatten(-1, (4, yolo.BINS)).log_softmax(-1)
        lower, upper = (logs.gather(-1, k[..., None])[..., 0] for k in (left, left + 1))
        part = away - left
        return -(lower * (1 - part) + upper * part).mean(-1)


class AnchorLoss(nn.Module):
    """Generation 5: boxes and "something" on cells whose anchor is nearly a mass's size.

    Parameters
    ----------
    shape : (int, int)
    anchors : Tensor of shape (3, 3, 2)
        In pixels.
    classes : int
        With one there is no loss of class.
    near : float
        Width and height may be so many times the anchor's, or it theirs.
    times : float
        What all is multiplied by.

    Notes
    -----
    Weights 0.05 for boxes, 1 for "something" by the picture's area over 640 ** 2, 0.5 for classes
    by their number over 80. "Something" is balanced 4, 1, 0.4 over strides 8, 16, 32, and its
    target is the CIoU of the cell's own box, the largest where several masses choose the cell.

    References
    ----------
    Facts of ultralytics/yolov5, data/hyps and the loss's settings (AGPL; no code of it is here).
    """

    centers: Tensor
    strides: Tensor
    sizes: Tensor
    anchors: Tensor
    steps: Tensor
    grid: Tensor
    balance = (4.0, 1.0, 0.4)

    def __init__(
        self, shape: Shape, anchors: Tensor, classes: int = 1, near: float = 4.0, times: float = 1.0
    ) -> None:
        super().__init__()
        self.classes, self.near, self.times = classes, near, times
        self.weights = {"box": 0.05, "object": shape[0] * shape[1] / 640**2, "class": classes / 160}
        for name, value in zip(
            ("centers", "strides", "sizes"), yolo.anchored_cells(shape, anchors), strict=True
        ):
            self.register_buffer(name, value)
        steps = torch.tensor(yolo.STRIDES)[:, None]
        self.register_buffer("anchors", anchors.detach().float().cpu())
        self.register_buffer("steps", steps)
        self.register_buffer("grid", torch.tensor(shape[::-1]) // steps)  # columns, rows
        self.counts = [3 * (shape[0] // s) * (shape[1] // s) for s in yolo.STRIDES]

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The parts, each with its weight; their sum is minimized."""
        output = output.float()
        found, index = self.matches(target)
        flat = index.flatten(1)
        answers = output.gather(1, flat[..., None].expand(-1, -1, output.shape[-1]))
        cell = (one[flat] for one in (self.centers, self.strides, self.sizes))
        boxes = yolo.anchored_boxes(answers[..., :4], *cell).view(*index.shape, 4)
        overlap = ciou(boxes, target[:, :, None, None, None, 1:])
        good = torch.where(found, overlap.detach().clamp(min=0), 0.0).flatten(1)
        wanted = torch.zeros_like(output[..., 4]).scatter_reduce(1, flat, good, "amax")
        parts = {"box": _means(1 - overlap, found).sum(), "object": self._object(output, wanted)}
        if self.classes > 1:
            told = answers[..., 5:].view(*index.shape, self.classes)
            kind = _one_hot(target[..., 0], self.classes)[:, :, None, None, None].expand_as(told)
            wrong = functional.binary_cross_entropy_with_logits(told, kind, reduction="none")
            parts["class"] = _means(wrong.mean(-1), found).sum()
        return {name: self.times * self.weights[name] * value for name, value in parts.items()}

    def matches(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Cells and anchors that may answer for each target: whether they do, and which they are.

        The anchor is of nearly the target's size; the cell is the one that the target's center
        lies in, or its nearer neighbor to a side, or up or down.

        Returns
        -------
        tuple of Tensor, each of shape (n, most, strides, anchors, 3)
        """
        kind, truth = target[..., 0], target[..., 1:]
        edges = (truth[..., 2:] - truth[..., :2]).clamp(min=1e-3)
        ratio = edges[:, :, None, None] / self.anchors
        alike = torch.maximum(ratio, 1 / ratio).amax(-1) < self.near
        place = centers(truth)[:, :, None] / self.steps
        own = place.floor()
        aside = (place - own - 0.5).sign()
        ways = torch.tensor([[0, 0], [1, 0], [0, 1]], device=target.device)
        cell = own[..., None, :] + aside[..., None, :] * ways
        beside = functional.pad(aside != 0, (1, 0), value=True)
        there = ((cell >= 0) & (cell < self.grid[:, None])).all(-1) & beside
        found = (alike & (kind >= 0)[..., None, None])[..., None] & there[..., None, :]
        return found, self._index(cell.long().clamp(min=0))

    def _index(self, cell: Tensor) -> Tensor:
        """Positions in the network's answer of cells (n, most, strides, 3, 2) for each anchor."""
        sizes = self.grid.prod(-1)
        starts = 3 * functional.pad(sizes.cumsum(0)[:-1], (1, 0))
        cell = torch.minimum(cell, self.grid[:, None] - 1)
        first = cell[..., 1] * self.grid[:, :1] + cell[..., 0] + starts[:, None]
        each = torch.arange(3, device=cell.device)[:, None] * sizes[:, None, None]
        return first[..., None, :] + each

    def _object(self, output: Tensor, wanted: Tensor) -> Tensor:
        told = functional.binary_cross_entropy_with_logits(output[..., 4], wanted, reduction="none")
        levels = told.split(self.counts, 1)
        return torch.stack(
            [k * one.mean() for k, one in zip(self.balance, levels, strict=True)]
        ).sum()


def _means(values: Tensor, among: Tensor) -> Tensor:
    """Means at each stride, shape (strides,), of values (n, most, strides, ...); 0 of none."""
    axes = (0, 1, 3, 4)
    return torch.where(among, values, 0.0).sum(axes) / among.sum(axes).clamp(min=1)


def within(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points, shape (k, 2), lie in which boxes, (..., m, 4): shape (..., m, k)."""
    after = points - boxes[..., None, :2]
    before = boxes[..., None, 2:] - points
    return torch.cat([after, before], -1).amin(-1) > 0


def picked(target: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Class, shape (n, cells), and box, (n, cells, 4), of the target that each cell has chosen."""
    rows = target.gather(1, chosen[..., None].expand(-1, -1, target.shape[-1]))
    return rows[..., 0], rows[..., 1:]


def _one_hot(kinds: Tensor, n: int) -> Tensor:
    # torch's own looks at the values, which a step without real numbers does not have.
    return (kinds[..., None] == torch.arange(n, device=kinds.device)).float()


def _largest(values: Tensor, among: Tensor, most: int) -> Tensor:
    """Which are the `most` largest along the last axis, of those that count."""
    ranked = torch.where(among, values, -1.0)
    top = ranked.topk(min(most, values.shape[-1]), -1).indices
    return torch.zeros_like(among).scatter(-1, top, torch.ones_like(top, dtype=torch.bool)) & among
