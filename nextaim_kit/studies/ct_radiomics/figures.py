"""Figures of features: which are chosen, and how far they are the lesion's size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.distributions import by_outcome
from nextaim_kit.show.style import (
    BLUE,
    CYCLE,
    VERMILION,
    described,
    new_figure,
    short_name,
    styled,
)


@styled
def chosen_features(df: pd.DataFrame, *, top: int = 20, title: str = "") -> Figure:
    """How often each feature is chosen over the folds.

    Parameters
    ----------
    df : DataFrame
        Columns ``feature``, ``frequency`` (0 to 1); with ``selector`` one dot per selector.
    top : int
        Number of features shown, those most often chosen.
    title : str
    """
    selectors = list(dict.fromkeys(df["selector"])) if "selector" in df else [""]
    order = df.groupby("feature", sort=False)["frequency"].mean()
    order = order.sort_values(ascending=False, kind="stable").head(top)
    figure, axes = new_figure(6.4, 1.2 + 0.26 * len(order) + (0.25 if selectors != [""] else 0))
    axis = axes[0, 0]
    dodge = 0.2 * (np.arange(len(selectors)) - (len(selectors) - 1) / 2)
    for i, selector in enumerate(selectors):
        own = df if selector == "" else df[df["selector"] == selector]
        values = own.set_index("feature")["frequency"].reindex(order.index).fillna(0)
        if selectors == [""]:
            axis.barh(range(len(order)), values, height=0.62, color=BLUE)
        else:
            at, color = np.arange(len(order)) + dodge[i], CYCLE[i % len(CYCLE)]
            axis.plot(values, at, "osD^v"[i % 5], color=color, markersize=6, label=selector)
    axis.set_yticks(range(len(order)), [short_name(str(f)) for f in order.index])
    axis.set(xlim=(-0.02, 1.02), xlabel="chosen in this fraction of folds", title=title)
    axis.invert_yaxis()
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0)
    if selectors != [""]:
        figure.legend(loc="outside lower center", ncols=len(selectors))
    said = [f"{short_name(str(f))} {v:.0%}" for f, v in order.head(5).items()]
    return described(figure, f"Most often chosen of the folds: {'; '.join(said)}.")


@styled
def volume_scatter(
    df: pd.DataFrame,
    features: Sequence[str],
    *,
    volume: str = "lesion_volume_ml",
    columns: int = 3,
) -> Figure:
    """Features against the lesion's volume with Spearman's rank correlation.

    Parameters
    ----------
    df : DataFrame
        One row per patient; with ``label`` the two classes differ in color and mark.
    features : sequence of str
        Columns to draw; those with positive values only get a logarithmic axis.
    volume : str
        Column of the volume in ml.
    columns : int
        Panels per row.
    """
    columns = min(columns, len(features))
    rows = -(-len(features) // columns)
    figure, axes = new_figure(2.9 * columns + 0.3, 2.7 * rows + 0.4, rows, columns, sharex=True)
    groups = by_outcome(df)
    said = []
    for axis, feature in zip(axes.flat, features, strict=False):
        for (name, part), color, mark in zip(groups, (BLUE, VERMILION), "ox", strict=False):
            face = {"linewidths": 0} if mark == "o" else {"linewidths": 1.1}
            axis.scatter(part[volume], part[feature], s=14, marker=mark, color=color, alpha=0.65,
                         label=name, **face)  # fmt: skip
        rho = float(df[volume].corr(df[feature], method="spearman"))
        said.append(f"{short_name(feature)} {rho:.2f}")
        axis.set_xscale("log")
        if (df[feature].dropna() > 0).all():
            axis.set_yscale("log")
        axis.set_title(f"{short_name(feature)}\nrank correlation {rho:.2f}", fontsize=9)
    for axis in axes.flat[len(features) :]:
        axis.set_axis_off()
    figure.supxlabel("lesion volume (ml)", fontsize=10)
    if len(groups) == 2:
        handles = axes[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper right", ncols=2)
    return described(figure, f"Rank correlation with lesion volume: {'; '.join(said)}.")
