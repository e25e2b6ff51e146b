"""Segmented volumes to check by eye: slices of each subject with what was found drawn upon them.

Pictures are radiological whatever the file's axes: the patient's right is on the left, anterior
is up, and millimeters are square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show.planes import MAX_PIXELS, letters, mark
from nextaim_kit.show.style import STRUCTURES, described, looks, new_figure, styled
from nextaim_kit.show.windows import Window
from nextaim_kit.show.windows import limits as window_limits

_HEIGHTS = (0.25, 0.5, 0.75)  # of the organ, from its foot: axial slices
_TILE = 2.35  # inches
_SIDES = {1: STRUCTURES["right lung"], 2: STRUCTURES["left lung"]}


class Segmented(NamedTuple):
    """A volume with axes to the patient's left, back and head (LPS), and two label arrays on it.

    ``organs`` has 1 for the right and 2 for the left one; in ``lesions`` all but 0 is affected.
    Both are of shape (z, y, x). Where `overlays` is given names for them, its numbers 1, 2, ... are
    kinds of lesions.
    """

    image: sitk.Image
    organs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    title: str


class _Tile(NamedTuple):
    pixels: NDArray
    organs: NDArray
    lesions: NDArray
    aspect: float
    upward: bool
    said: str


@styled
def overlays(
    subjects: Sequence[Segmented],
    *,
    window: Window = "lung",
    names: Sequence[str] = ("lung", "lesion"),
) -> Figure:
    """Three axial slices and a coronal one of each subject, a row each, lesions filled.

    The axial slices lie at a quarter, half and three quarters of the organs' height, the coronal
    one where most is affected, or most organ is.

    Parameters
    ----------
    subjects : sequence of Segmented
    window : str or (center, width) or None
        As for `windows.limits`.
    names : sequence of str
        Of the organ, and of lesions: one name for all of them, or one for each number.

    Raises
    ------
    RequestError
        If there is no subject.
    DataError
        If labels and image of a subject differ in size.

    Examples
    --------
    >>> ct = sitk.GetImageFromArray(np.full((8, 16, 16), -800, np.int16))
    >>> lungs = np.pad(np.ones((4, 8, 8), np.uint8), ((2, 2), (4, 4), (4, 4)))
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(overlays([Segmented(ct, lungs, np.where(lungs, 0, lungs), "P1")]))[:56]
    'Three axial slices and a coronal one of 1 subject(s), lu'
    """
    if not subjects:
        raise RequestError("there is no subject to show", expected="at least one")
    columns = len(_HEIGHTS) + 1
    figure, axes = new_figure(
        _TILE * columns, _TILE * 0.92 * len(subjects) + 0.35, len(subjects), columns
    )
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.03, wspace=0, hspace=0)
    for row, subject in zip(axes, subjects, strict=True):
        limits = window_limits(sitk.GetArrayViewFromImage(subject.image), window)
        for axis, tile in zip(row, _tiles(subject), strict=True):
            _draw(axis, tile, limits, names[1:])
        row[0].set_title(" ", fontsize=9)  # room for a line that is longer than its tile
        row[0].text(0, 1.03, subject.title, transform=row[0].transAxes, fontsize=9,
                    fontweight="bold", va="bottom").set_in_layout(False)  # fmt: skip
    figure.legend(handles=_legend(names), loc="outside lower left", ncols=4, fontsize=8)
    shown = "; ".join(" ".join(subject.title.split()) for subject in subjects[:4])
    return described(
        figure,
        f"Three axial slices and a coronal one of {len(subjects)} subject(s), {names[0]}s outlined "
        f"and {' and '.join(names[1:])} filled, patient's right on the left: {shown}.",
    )


def _tiles(subject: Segmented) -> list[_Tile]:
    pixels = sitk.GetArrayViewFromImage(subject.image)
    if not pixels.shape == subject.organs.shape == subject.lesions.shape:
        raise DataError(
            f"{subject.title}: image and labels cannot be laid over each other",
            expected=f"labels of the image's size {pixels.shape}",
            found=f"{subject.organs.shape} and {subject.lesions.shape}",
        )
    dx, dy, dz = subject.image.GetSpacing()
    there = np.flatnonzero([plane.any() for plane in subject.organs])
    first, last = (there[0], there[-1]) if there.size else (0, len(pixels) - 1)
    levels = [round(first + height * (last - first)) for height in _HEIGHTS]
    volumes = (pixels, subject.organs, subject.lesions)
    tiles = [
        _tile([v[z] for v in volumes], dy / dx, False, f"{height:.0%} of the height")
        for z, height in zip(levels, _HEIGHTS, strict=True)
    ]
    y = _most(subject.lesions if subject.lesions.any() else subject.organs)
    return [*tiles, _tile([v[:, y] for v in volumes], dz / dx, True, "coronal")]


def _most(labels: NDArray) -> int:
    """Coronal plane with the most voxels, counted a slice at a time."""
    counts = sum(np.count_nonzero(plane, axis=1) for plane in labels)
    return int(np.argmax(counts)) if np.any(counts) else labels.shape[1] // 2


def _tile(planes: list[NDArray], aspect: float, upward: bool, said: str) -> _Tile:
    down, across = (-(-n // MAX_PIXELS) for n in planes[0].shape)
    pixels, organs, lesions = (plane[::down, ::across] for plane in planes)
    return _Tile(pixels, organs, lesions, aspect * down / across, upward, said)


def _draw(axis: Axes, tile: _Tile, limits: tuple[float, float], kinds: Sequence[str]) -> None:
    origin: Literal["lower", "upper"] = "lower" if tile.upward else "upper"
    axis.set_axis_off()
    axis.imshow(
        tile.pixels, cmap="gray", vmin=limits[0], vmax=limits[1], aspect=tile.aspect, origin=origin
    )
    for number, look in enumerate(looks(kinds).values(), 1):
        mark(axis, tile.lesions == number if len(kinds) > 1 else tile.lesions > 0, look)
    for side, look in _SIDES.items():
        mark(axis, tile.organs == side, look)
    letters(axis, "RL")
    axis.text(0.02, 0.02, tile.said, transform=axis.transAxes, color="white", fontsize=6.5,
              path_effects=[withStroke(linewidth=2, foreground="black")])  # fmt: skip


def _legend(names: Sequence[str]) -> list:
    sides = ((1, "right"), (2, "left"))
    lines = [_SIDES[side].handle(f"{name} {names[0]}") for side, name in sides]
    return [*lines, *(look.handle(name) for name, look in looks(names[1:]).items())]
