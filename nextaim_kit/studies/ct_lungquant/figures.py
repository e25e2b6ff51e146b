"""Figures of the measurement: true and measured values, with the borders of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.show.style import (
    BLUE,
    GRAY,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    styled,
)


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
