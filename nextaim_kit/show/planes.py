"""One plane of a volume as it is drawn: gray pixels in true proportion, masks upon them.

Pictures are radiological whatever the file's axes: the patient's right is on the left, anterior
is up, head is up, and millimeters are square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from nextaim_kit.show.style import FILL, Look, looks

MAX_PIXELS = 320  # along a side of one tile
_STRIPES = 120  # how often the width of a stripe goes into a picture

Name = Literal["axial", "coronal", "sagittal"]
NAMES: tuple[Name, ...] = ("axial", "coronal", "sagittal")
LETTERS: dict[Name, str] = {"axial": "RL", "coronal": "RL", "sagittal": "AP"}
AXES: dict[Name, int] = {"axial": 0, "coronal": 1, "sagittal": 2}  # of an array (z, y, x)


@dataclass(frozen=True)
class Plane:
    """A slice: pixels, masks, and the height of a pixel over its width."""

    pixels: NDArray
    masks: Mapping[str, NDArray]
    aspect: float
    upward: bool = False  # rows run from feet to head

    def smaller(self, most: int = MAX_PIXELS) -> Plane:
        """Every k-th pixel, so that a side has no more than can be seen."""
        down, across = (-(-n // most) for n in self.pixels.shape)
        step = (slice(None, None, down), slice(None, None, across))
        return replace(
            self,
            pixels=self.pixels[step],
            masks={name: mask[step] for name, mask in self.masks.items()},
            aspect=self.aspect * down / across,
        )


def cut(
    volume: NDArray,
    masks: Mapping[str, NDArray],
    spacing: Sequence[float],
    name: Name,
    index: int,
) -> Plane:
    """A plane of a volume (z, y, x) whose axes run to the patient's head, back and left.

    Parameters
    ----------
    volume : array
    masks : mapping of str to array
        By name, of the volume's shape.
    spacing : (x, y, z)
        Edges of a voxel in mm.
    name : {'axial', 'coronal', 'sagittal'}
    index : int
        From the feet, the front or the patient's right.
    """
    dx, dy, dz = spacing
    aspect = {"axial": dy / dx, "coronal": dz / dx, "sagittal": dz / dy}[name]
    parts = {key: np.take(mask, index, axis=AXES[name]) for key, mask in masks.items()}
    return Plane(np.take(volume, index, axis=AXES[name]), parts, aspect, upward=name != "axial")


def draw(axis: Axes, plane: Plane, limits: tuple[float, float]) -> None:
    """Draw a plane and its masks, each as `style.looks` says."""
    axis.imshow(
        plane.pixels, cmap="gray", vmin=limits[0], vmax=limits[1], aspect=plane.aspect,
        origin="lower" if plane.upward else "upper", interpolation="bilinear",
    )  # fmt: skip
    for name, look in looks(plane.masks).items():
        mark(axis, plane.masks[name] > 0, look)


def mark(
    axis: Axes, mask: NDArray, look: Look, extent: tuple[float, float, float, float] | None = None
) -> None:
    """Draw a mask upon a picture, filled or outlined.

    Parameters
    ----------
    axis : Axes
        With the picture drawn; its first image says which way the rows run.
    mask : array of bool, shape (rows, columns)
    look : Look
    extent : (left, right, bottom, top), optional
        Where the mask lies, as for ``imshow``; by default upon the first image.
    """
    first = axis.images[0]
    left, right, bottom, top = extent or first.get_extent()
    if look.filled and mask.any():
        tint = np.zeros((*mask.shape, 4), np.float32)
        tint[mask] = to_rgba(look.color, FILL)
        if look.striped:
            rows, columns = np.nonzero(mask)
            wide = max(2, max(mask.shape) // _STRIPES)
            bare = (rows + columns) // wide % 3 == 0
            tint[rows[bare], columns[bare]] = 0
        axis.imshow(tint, extent=(left, right, bottom, top), aspect=axis.get_aspect(),
                    origin=first.origin, interpolation="nearest")  # fmt: skip
    elif mask.any() and not mask.all():
        if first.origin == "lower":
            bottom, top = top, bottom
        rows, columns = mask.shape
        x = (np.arange(columns) + 0.5) / columns * (right - left) + left
        y = (np.arange(rows) + 0.5) / rows * (bottom - top) + top
        axis.contour(x, y, mask, [0.5], colors=[look.color], linestyles=[look.dashes],
                     linewidths=1.0)  # fmt: skip


def letters(axis: Axes, pair: str) -> None:
    """Write two letters such as RL beside a picture's edges: where they are in the patient."""
    halo = [withStroke(linewidth=2, foreground="black")]
    for x, letter in zip((0.02, 0.98), pair, strict=True):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color="white", fontsize=8,
                  ha="left" if x < 0.5 else "right", va="center", path_effects=halo)  # fmt: skip
