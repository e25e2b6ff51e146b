"""One plane of a volume as it is drawn: gray pixels in true proportion, masks outlined.

Pictures are radiological whatever the file's axes: the patient's right is on the left, anterior
is up, head is up, and millimeters are square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from nextaim_kit.show.style import OUTLINES

MAX_PIXELS = 320  # along a side of one tile

Name = Literal["axial", "coronal", "sagittal"]
NAMES: tuple[Name, ...] = ("axial", "coronal", "sagittal")
LETTERS: dict[Name, str] = {"axial": "RL", "coronal": "RL", "sagittal": "AP"}
AXES: dict[Name, int] = {"axial": 0, "coronal": 1, "sagittal": 2}  # of an array (z, y, x)


@dataclass(frozen=True)
class Plane:
    """A slice: pixels, masks, and the height of a pixel over its width."""

    pixels: NDArray
    masks: tuple[NDArray, ...]
    aspect: float
    upward: bool = False  # rows run from feet to head

    def smaller(self, most: int = MAX_PIXELS) -> Plane:
        """Every k-th pixel, so that a side has no more than can be seen."""
        down, across = (-(-n // most) for n in self.pixels.shape)
        step = (slice(None, None, down), slice(None, None, across))
        return replace(
            self,
            pixels=self.pixels[step],
            masks=tuple(mask[step] for mask in self.masks),
            aspect=self.aspect * down / across,
        )


def cut(
    volume: NDArray, masks: Sequence[NDArray], spacing: Sequence[float], name: Name, index: int
) -> Plane:
    """A plane of a volume (z, y, x) whose axes run to the patient's head, back and left.

    Parameters
    ----------
    volume : array
    masks : sequence of arrays
        Of the volume's shape.
    spacing : (x, y, z)
        Edges of a voxel in mm.
    name : {'axial', 'coronal', 'sagittal'}
    index : int
        From the feet, the front or the patient's right.
    """
    dx, dy, dz = spacing
    aspect = {"axial": dy / dx, "coronal": dz / dx, "sagittal": dz / dy}[name]
    pixels, *parts = (np.take(v, index, axis=AXES[name]) for v in (volume, *masks))
    return Plane(pixels, tuple(parts), aspect, upward=name != "axial")


def draw(axis: Axes, plane: Plane, limits: tuple[float, float]) -> None:
    """Draw a plane; the k-th mask has the k-th of `style.OUTLINES`."""
    axis.imshow(
        plane.pixels, cmap="gray", vmin=limits[0], vmax=limits[1], aspect=plane.aspect,
        origin="lower" if plane.upward else "upper", interpolation="bilinear",
    )  # fmt: skip
    for mask, (color, dashes) in zip(plane.masks, OUTLINES, strict=False):
        if mask.any() and not mask.all():
            axis.contour(mask.astype(float), [0.5], colors=[color], linestyles=[dashes],
                         linewidths=1.0)  # fmt: skip


def letters(axis: Axes, pair: str) -> None:
    """Write two letters such as RL beside a picture's edges: where they are in the patient."""
    halo = [withStroke(linewidth=2, foreground="black")]
    for x, letter in zip((0.02, 0.98), pair, strict=True):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color="white", fontsize=8,
                  ha="left" if x < 0.5 else "right", va="center", path_effects=halo)  # fmt: skip
