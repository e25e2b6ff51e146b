"""Figures of how readers and a method agree: their spread, pairs, differences, curves."""

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
    CYCLE,
    DASHES,
    GRAY,
    LIGHT,
    VERMILION,
    described,
    new_figure,
    styled,
)


@styled
def pair_matrix(
    matrix: pd.DataFrame, *, measure: str = "weighted kappa", title: str = ""
) -> Figure:
    """Agreement of every pair as a colored square; colors go from the lowest tenth to 1.

    Parameters
    ----------
    matrix : DataFrame
        Readers by readers, symmetric; NaN where there is nothing to show.
    measure, title : str
    """
    values, names = matrix.to_numpy(float), [str(name) for name in matrix.columns]
    size = 1.8 + 0.3 * len(names)
    figure, axes = new_figure(size + 0.9, size)
    axis = axes[0, 0]
    lowest = min(0.9, np.floor(10 * np.nanmin(values)) / 10)  # else a low row is not seen
    drawn = axis.imshow(values, cmap="cividis", vmin=lowest, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "white" if value < 0.45 * lowest + 0.55 else "black"
            axis.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=6.5,
                      color=color)  # fmt: skip
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    axis.set_title(title)
    figure.colorbar(drawn, ax=axis, label=measure, shrink=0.8)
    mean = matrix.mean().sort_values()
    return described(
        figure,
        f"{measure} of {len(names)} by pairs, {np.nanmin(values):.2f} to {np.nanmax(values):.2f}; "
        f"on average lowest for {mean.index[0]} ({mean.iloc[0]:.2f}), highest for "
        f"{mean.index[-1]} ({mean.iloc[-1]:.2f}).",
    )


@styled
def spread_of_readers(
    readings: pd.DataFrame,
    method: pd.Series,
    *,
    name: str = "software",
    ylabel: str = "lungs affected (%)",
    title: str = "",
) -> Figure:
    """What each reader says of each subject, ordered by the readers' mean, and what a method says.

    Parameters
    ----------
    readings : DataFrame
        A row per subject, a column per reader.
    method : Series
        By subject.
    name, ylabel, title : str
    """
    mean = readings.mean(axis=1).sort_values(kind="stable")
    values = readings.loc[mean.index].to_numpy(float)
    at = np.arange(len(mean))
    figure, axes = new_figure(7.2, 4.2)
    axis = axes[0, 0]
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    axis.vlines(at, low, high, color=LIGHT, linewidth=1.6, zorder=1)
    where = np.repeat(at, values.shape[1])
    axis.scatter(where, values.ravel(), s=5, color=BLUE, alpha=0.45, linewidths=0, label="a reader")
    axis.plot(at, mean, color=BLACK, linewidth=1.3, label="the readers' mean")
    axis.scatter(at, method.reindex(mean.index), s=16, color=VERMILION, marker="x", linewidths=1.2,
                 label=name, zorder=3)  # fmt: skip
    axis.set(xlabel="patients, ordered by the readers' mean", ylabel=ylabel, title=title)
    axis.legend(loc="upper left")
    return described(
        figure,
        f"{ylabel} of {len(mean)} patients by {values.shape[1]} readers: the range between the "
        f"lowest and the highest reader is {np.median(high - low):.3g} in the median and "
        f"{(high - low).max():.3g} at most.",
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


@styled
def fitted_curves(
    x: ArrayLike,
    y: ArrayLike,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
) -> Figure:
    """Points, the line of identity, fitted curves with bands, and what each leaves over.

    Parameters
    ----------
    x, y : array-like of shape (n,)
        In the same unit.
    curves : mapping of str to (x, y, low, high)
    xlabel, ylabel : str
        Quantities and units.
    title : str
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    figure, axes = new_figure(5.4, 6.2, 2, 1, sharex=True, height_ratios=[3, 1])
    axis, rest, top = *axes[:, 0], float(max(x.max(), y.max()))
    axis.plot([0, top], [0, top], color=GRAY, linewidth=1, linestyle=":", label="equal")
    axis.scatter(x, y, s=18, color=GRAY, alpha=0.55, linewidths=0)
    said = []
    for i, (name, (at, height, low, high)) in enumerate(curves.items()):
        color = CYCLE[i % len(CYCLE)]
        axis.plot(at, height, color=color, linestyle=DASHES[i % len(DASHES)], label=name)
        axis.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)
        left = y - np.interp(x, np.asarray(at, float), np.asarray(height, float))
        rest.scatter(x, left, s=10, color=color, marker="ox"[i % 2], alpha=0.6, linewidths=i % 2)
        middle = np.interp(top / 2, np.asarray(at, float), np.asarray(height, float))
        said.append(f"{name} {middle:.3g} at {top / 2:.3g}")
    rest.axhline(0, color=GRAY, linewidth=1, linestyle=":")
    rest.set(xlabel=xlabel, ylabel="point less curve")
    axis.set(ylabel=ylabel, title=title)
    axis.legend(loc="upper left")
    return described(figure, f"{ylabel} over {xlabel}, {len(x)} points; {'; '.join(said)}.")
