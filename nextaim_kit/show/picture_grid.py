"""Galleries of single pictures, such as films or crops, with outlines and heat maps upon them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.data.images.films import read_film
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.show.planes import mark
from nextaim_kit.show.style import close_rows, described, looks, new_figure, styled

# From nothing to opaque: what is under a weak map stays visible.
_HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0.9, 0.2, 0.0, 0.0), (0.95, 0.35, 0.0, 0.45), (1.0, 0.9, 0.2, 0.75)]
)


@styled
def gallery(
    pictures: Sequence[str | Path | NDArray],
    titles: Sequence[str],
    *,
    columns: int = 5,
    outlines: Sequence[Mapping[str, NDArray]] = (),
    heat: Sequence[NDArray] = (),
) -> Figure:
    """Gray pictures side by side, each windowed from its 1st to its 99th percentile.

    Parameters
    ----------
    pictures : sequence of paths or arrays of shape (rows, columns)
        A file is shown as its header says; one that cannot be read leaves its place empty, with
        the reason below its title.
    titles : sequence of str
    columns : int
        Pictures per row.
    outlines : sequence of mappings of str to array, optional
        For each picture up to six masks by their names in the legend; any size, stretched.
    heat : sequence of arrays, optional
        For each picture a map of any size: what is largest is brightest, what is least bare.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(gallery([np.eye(8), 1 - np.eye(8)], ["one", "other"]))
    '2 pictures: one; other.'
    """
    if not len(pictures):
        raise RequestError("there is no picture to show", expected="at least one")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    drawn = looks(dict.fromkeys(name for one in outlines for name in one))
    legend = 0.3 if outlines else 0
    figure, axes = new_figure(1.9 * columns, 2.15 * rows + legend, rows, columns)
    for axis in axes.flat:
        axis.set_axis_off()
    for k, (axis, picture, title) in enumerate(zip(axes.flat, pictures, titles, strict=False)):
        axis.set_title(title, fontsize=8)
        try:
            pixels = read_film(picture).shown if isinstance(picture, str | Path) else picture
        except DataError as error:
            axis.text(0.5, 0.5, error.what, ha="center", va="center", fontsize=7, wrap=True)
            continue
        low, high = np.percentile(pixels, [1, 99])
        axis.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        extent = (-0.5, pixels.shape[1] - 0.5, pixels.shape[0] - 0.5, -0.5)
        if len(heat):
            _draw_heat(axis, np.asarray(heat[k]), extent)
        for name, mask in outlines[k].items() if outlines else ():
            mark(axis, np.asarray(mask) > 0, drawn[name], extent)
    close_rows(figure, axes, 1.9, 0.25, legend)
    if outlines:
        handles = [look.handle(name) for name, look in drawn.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return described(figure, f"{len(pictures)} pictures: {'; '.join(titles)}.")


Extent = tuple[float, float, float, float]


def _draw_heat(axis: Axes, map_: NDArray, extent: Extent) -> None:
    low, high = float(map_.min()), float(map_.max())
    axis.imshow((map_ - low) / ((high - low) or 1), cmap=_HEAT, vmin=0, vmax=1, extent=extent,
                interpolation="bilinear")  # fmt: skip
