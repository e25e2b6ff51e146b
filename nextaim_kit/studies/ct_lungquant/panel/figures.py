"""Figures of a panel: the readers' spread, pairs, curves, where they divide, other choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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


class Divided(NamedTuple):
    """What is drawn in one panel of `divided_answers`."""

    score: ArrayLike
    share: ArrayLike  # of the readers who say yes, 0 to 1
    limit: float  # of the score, where the answer should change
    unit: str


@styled
def divided_answers(panels: Mapping[str, Divided], *, columns: int = 2) -> Figure:
    """Share of readers who say yes, by a method's score, one panel per question.

    Parameters
    ----------
    panels : mapping of str to Divided
        By question.
    columns : int
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = new_figure(4.1 * columns, 2.7 * rows + 0.6, rows, columns, sharey=True)
    said = [_divided(a, name, p) for a, (name, p) in zip(axes.flat, panels.items(), strict=False)]
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.supylabel("share of readers who say yes", fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return described(figure, f"Share of readers who say yes by score: {'; '.join(said)}.")


def _divided(axis: Axes, name: str, panel: Divided) -> str:
    score, share = np.asarray(panel.score, float), np.asarray(panel.share, float)
    split = (share > 0) & (share < 1)
    for part, color, mark, label in (
        (split, VERMILION, "o", "divided"), (~split, BLUE, "o", "all agree")
    ):  # fmt: skip
        axis.scatter(score[part], share[part], s=16, color=color, marker=mark, alpha=0.6,
                     linewidths=0, label=label)  # fmt: skip
    axis.axvline(panel.limit, color=GRAY, linewidth=1.2, linestyle="--", label="limit")
    axis.set(xlabel=panel.unit, ylim=(-0.05, 1.05))
    axis.set_title(f"{name}: {split.mean():.0%} divided", fontsize=10)
    return f"{name}, divided on {split.sum()} of {len(split)}"


@styled
def spread_of_choices(
    df: pd.DataFrame,
    *,
    value: str = "auc",
    group: str = "question",
    chosen: Mapping[str, float] | None = None,
    reference: Mapping[str, float] | None = None,
    referred: str = "published",
    xlabel: str = "AUC",
    title: str = "",
) -> Figure:
    """Every value that another choice would have given, one line of dots per group.

    Parameters
    ----------
    df : DataFrame
        A row per choice: columns `group` and `value`.
    chosen : mapping of str to float, optional
        Value of what was chosen beforehand by group, drawn as a diamond.
    reference : mapping of str to float, optional
        Published value by group, drawn as a cross.
    referred : str
        What the legend calls `reference`.
    value, group, xlabel, title : str
    """
    names = list(dict.fromkeys(df[group]))
    figure, axes = new_figure(6.4, 1.2 + 0.55 * len(names))
    axis = axes[0, 0]
    at = df[group].map({name: k for k, name in enumerate(names)}).to_numpy(float)
    wobble = np.random.default_rng(0).uniform(-0.14, 0.14, len(df))
    axis.scatter(
        df[value], at + wobble, s=22, color=BLUE, alpha=0.5, linewidths=0, label="a choice"
    )
    marks = (("chosen beforehand", chosen, VERMILION, "D"), (referred, reference, BLACK, "x"))
    for label, known, color, mark in marks:
        there = [name for name in names if name in (known or {})]
        if known and there:
            axis.scatter([known[n] for n in there], [names.index(n) for n in there], s=55,
                         color=color, marker=mark, label=label)  # fmt: skip
    axis.set_yticks(range(len(names)), names)
    axis.set(ylim=(len(names) - 0.5, -0.5), xlabel=xlabel, title=title)
    axis.grid(axis="x")
    figure.legend(loc="outside lower right", ncols=3)
    spans = df.groupby(group, sort=False)[value].agg(["min", "max"])
    said = [f"{n} {low:.2f} to {high:.2f}" for n, low, high in spans.itertuples()]
    return described(figure, f"{xlabel} by choice: {'; '.join(said)}.")
