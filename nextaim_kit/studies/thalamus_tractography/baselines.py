"""What needs no diffusion of the patient: an atlas laid onto the thalamus, and coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextaim_kit.studies.thalamus_tractography.cases import Case, learned_of
from nextaim_kit.studies.thalamus_tractography.comparison import target_point
from nextaim_kit.studies.thalamus_tractography.definitions import BOX_SHAPE, TARGETS
from nextaim_kit.studies.thalamus_tractography.shape import Shape


@dataclass(frozen=True)
class Atlas:
    """Mean maps of some subjects, each registered by the shape of its thalamus.

    Attributes
    ----------
    maps : array of shape (38, 60, 48, 6)
    shape : Shape
        In which they lie.
    """

    maps: NDArray[np.float32]
    shape: Shape

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Atlas:
        """The mean of training subjects, where at least one of them has a thalamus."""
        shapes = [Shape.of(case.thalamus) for case in cases]
        mean = Shape(
            np.mean([one.center for one in shapes], 0), np.mean([one.spread for one in shapes], 0)
        )
        total = np.zeros((*BOX_SHAPE, len(TARGETS) + 1), np.float32)
        for case, maps, shape in zip(cases, learned_of(cases), shapes, strict=True):
            both = np.concatenate([maps, case.thalamus[..., None]], -1)
            total += shape.brought(both, mean)
        found = total[..., :-1] / np.maximum(total[..., -1:], 0.5)
        return cls(found.astype(np.float32), mean)

    def maps_in(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The atlas laid onto a mask; 0 outside of it, and where there is none."""
        if mask.sum() < 10:
            return np.zeros_like(self.maps)
        return self.shape.brought(self.maps, Shape.of(mask)) * mask[..., None]


@dataclass(frozen=True)
class Coordinates:
    """Indirect targeting: a place relative to the anterior and posterior commissure.

    Attributes
    ----------
    lateral, above : float
        mm from the line between both, to the side and to the head.
    ahead : float
        From PC on, as a share of their distance.
    """

    lateral: float
    ahead: float
    above: float

    @classmethod
    def of(cls, cases: Sequence[Case], target: int) -> Coordinates:
        """The mean place of training subjects' targets."""
        aims = [target_point(maps[..., target]) for maps in learned_of(cases)]
        found = [_axes(c.points).T @ (aim - c.points["PC"])
                 for c, aim in zip(cases, aims, strict=True)]  # fmt: skip
        lengths = [np.linalg.norm(c.points["AC"] - c.points["PC"]) for c in cases]
        side, ahead, above = np.transpose(found)
        return cls(float(side.mean()), float((ahead / lengths).mean()), float(above.mean()))

    def at(self, points: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """The place in mm in someone with these AC and PC."""
        length = np.linalg.norm(points["AC"] - points["PC"])
        return points["PC"] + _axes(points) @ [self.lateral, self.ahead * length, self.above]


def _axes(points: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """Columns: to the right, from PC to AC, and to the head, at right angles."""
    ahead = points["AC"] - points["PC"]
    ahead = ahead / np.linalg.norm(ahead)
    up = np.cross([1.0, 0, 0], ahead)
    up /= np.linalg.norm(up)
    return np.stack([np.cross(ahead, up), ahead, up], 1)
