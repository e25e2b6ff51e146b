"""Figures of how values are distributed: histograms with limits, classes with their borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.show.style import (
    BLUE,
    CYCLE,
    DASHES,
    GRAY,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    reference_lines,
    styled,
)


@styled
def histograms(
    counts: Mapping[str, ArrayLike],
    edges: ArrayLike,
    *,
    limits: Sequence[tuple[float, str]] = (),
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Histograms that are counted already, one over another, with limits as dashed lines.

    Parameters
    ----------
    counts : mapping of str to array of shape (n,)
    edges : array of shape (n + 1,)
    limits : sequence of (value, name)
    xlabel, ylabel : str
        Quantities and units.
    title : str
    """
    edges = np.asarray(edges, float)
    figure, axes = new_figure(6.2, 3.8)
    axis, said = axes[0, 0], []
    for k, (name, heights) in enumerate(counts.items()):
        heights = np.asarray(heights, float)
        color, dashes = CYCLE[k % len(CYCLE)], DASHES[k % len(DASHES)]
        axis.stairs(heights, edges, color=color, linestyle=dashes, linewidth=1.6, label=name)
        axis.stairs(heights, edges, color=color, alpha=0.12, fill=True)
        if heights.sum():
            most = (edges[heights.argmax()] + edges[heights.argmax() + 1]) / 2
            said.append(f"{name} {heights.sum():.3g} in all, most at {most:.0f}")
    reference_lines(axis, limits)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=(edges[0], edges[-1]))
    axis.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3)
    marks = ", ".join(f"{name} {value:g}" for value, name in limits)
    return described(figure, f"{ylabel} by {xlabel}: {'; '.join(said)}. Limits: {marks}.")


@styled
def class_borders(
    truth: ArrayLike,
    measured: ArrayLike,
    borders: Sequence[float],
    *,
    quantity: str,
    unit: str,
    title: str = "",
) -> Figure:
    """Measured against true values, with the borders of classes; where the class differs, crosses.

    Parameters
    ----------
    truth, measured : array-like of shape (n,)
    borders : sequence of float
        Where the next class begins.
    quantity, unit : str
    title : str
    """
    x, y = np.asarray(truth, float), np.asarray(measured, float)
    same = np.searchsorted(borders, x, side="right") == np.searchsorted(borders, y, side="right")
    top = 1.05 * max(float(x.max()), float(y.max()), borders[0])
    figure, axes = new_figure(5.2, 5.0)
    axis = axes[0, 0]
    inside = [0.0, *(b for b in borders if b < top), top]
    for low, high in pairwise(inside):
        axis.fill_between([low, high], low, high, color=LIGHT, alpha=0.55, linewidth=0)
    axis.plot([0, top], [0, top], color=GRAY, linewidth=1, linestyle=":")
    axis.scatter(x[same], y[same], s=26, color=BLUE, linewidths=0, label="same class")
    axis.scatter(x[~same], y[~same], s=34, color=VERMILION, marker="x", label="another class")
    axis.set(xlabel=f"true {quantity} ({unit})", ylabel=f"measured {quantity} ({unit})")
    axis.set(title=title, xlim=(0, top), ylim=(0, top), aspect="equal")
    axis.legend(loc="upper left")
    return described(
        figure,
        f"Measured against true {quantity} of {len(x)} patients: {int(same.sum())} in the same "
        f"class, {int((~same).sum())} in another; classes begin at {', '.join(map(str, borders))}.",
    )
