"""Differences of two measurements of the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.show.style import (
    BLACK,
    BLUE,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    styled,
)


class Differences(NamedTuple):
    """Pairs of measurements of one panel of `bland_altman`, and their limits."""

    one: ArrayLike
    other: ArrayLike
    limits: pd.DataFrame  # metric (bias, limit_low, limit_high), value, low, high
    unit: str
    step: str  # unit of their difference


@styled
def bland_altman(panels: Mapping[str, Differences], *, less: str = "difference") -> Figure:
    """Difference of two measurements against their mean, with bias and limits of agreement.

    Parameters
    ----------
    panels : mapping of str to Differences
        By title, such as the same pairs on two scales.
    less : str
        What the difference is, for the axis.

    References
    ----------
    Bland & Altman 1999, doi:10.1177/096228029900800204.

    Examples
    --------
    >>> from nextaim_kit.learn.agreement import limits_of_agreement
    >>> one, other = [10.0, 20.0, 30.0, 40.0], [11.0, 19.0, 32.0, 41.0]
    >>> limits = limits_of_agreement(one, other)
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(bland_altman({"volume": Differences(one, other, limits, "ml", "ml")}))[:45]
    'Differences against means: volume, bias -0.75'
    """
    figure, axes = new_figure(4.6 * len(panels) + 0.2, 4.2, 1, len(panels))
    said = []
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        a, b = np.asarray(panel.one, float), np.asarray(panel.other, float)
        axis.scatter((a + b) / 2, a - b, s=16, color=BLUE, alpha=0.6, linewidths=0)
        axis.axhline(0, color=LIGHT, linewidth=1.2, zorder=0)
        lines = panel.limits.set_index("metric")
        for name, color in (("bias", BLACK), ("limit_low", VERMILION), ("limit_high", VERMILION)):
            value, low, high = lines.loc[name, ["value", "low", "high"]].astype(float)
            axis.axhline(
                value, color=color, linewidth=1.4, linestyle="-" if name == "bias" else "--"
            )
            axis.axhspan(low, high, color=color, alpha=0.1, linewidth=0)
            axis.annotate(f"{value:.2g}", (1, value), xycoords=("axes fraction", "data"),
                          xytext=(-2, 2), textcoords="offset points", ha="right", fontsize=8,
                          color=color)  # fmt: skip
            said.append(f"{title}, {name.replace('_', ' ')} {value:.2f}")
        axis.set(xlabel=f"mean of both ({panel.unit})", ylabel=f"{less} ({panel.step})")
        axis.set_title(title)
    return described(figure, f"Differences against means: {'; '.join(said)}.")
