"""Galleries of single pictures, such as films or crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.data.films import read_film
from nextaim_kit.errors import DataError
from nextaim_kit.show.style import described, new_figure, styled


@styled
def gallery(
    pictures: Sequence[str | Path | NDArray], titles: Sequence[str], *, columns: int = 5
) -> Figure:
    """Gray pictures side by side, each windowed from its 1st to its 99th percentile.

    Parameters
    ----------
    pictures : sequence of paths or arrays of shape (rows, columns)
        A file that cannot be read leaves its place empty, with the reason below its title.
    titles : sequence of str
    columns : int
        Pictures per row.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = new_figure(1.9 * columns, 2.15 * rows, rows, columns)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.set_title(title, fontsize=8)
        try:
            pixels = read_film(picture).pixels if isinstance(picture, str | Path) else picture
        except DataError as error:
            axis.text(0.5, 0.5, error.what, ha="center", va="center", fontsize=7, wrap=True)
            continue
        low, high = np.percentile(pixels, [1, 99])
        axis.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    return described(figure, f"{len(pictures)} pictures: {'; '.join(titles)}.")
