"""Figures of answers of yes or no: where readers divide, and what another choice would give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.show.style import BLACK, BLUE, GRAY, VERMILION, described, new_figure, styled


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
