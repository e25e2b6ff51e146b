"""Figures of what the site and the lesion's size do to features, and what harmonization mends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.style import (
    BLACK,
    BLUE,
    GRAY,
    VERMILION,
    described,
    new_figure,
    short_name,
    styled,
)


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
    groups = _by_outcome(df)
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


def _by_outcome(df: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Name and rows of each outcome; all rows under no name where there are not two."""
    if "label" not in df or df["label"].nunique() != 2:
        return [("", df)]
    return [("not severe", df[df["label"] == 0]), ("severe", df[df["label"] == 1])]


@styled
def distribution_by_site(
    df: pd.DataFrame,
    feature: str,
    *,
    site: str = "site",
    unit: str = "",
    log: bool = False,
    title: str = "",
) -> Figure:
    """One feature by site: every patient as a dot over a box of quartiles.

    Parameters
    ----------
    df : DataFrame
        One row per patient; with ``label`` the two classes differ in color and place.
    feature, site : str
        Columns; sites are ordered by name and written with their number of patients.
    unit : str
    log : bool
        Logarithmic axis.
    title : str
    """
    known = df.dropna(subset=[feature])
    parts = {str(s): p[feature].to_numpy(float) for s, p in known.groupby(site)}
    figure, axes = new_figure(1.6 + 1.0 * len(parts), 4.0)
    axis = axes[0, 0]
    axis.boxplot(
        list(parts.values()), showfliers=False, widths=0.5,
        medianprops={"color": BLACK, "linewidth": 2}, boxprops={"color": GRAY},
        whiskerprops={"color": GRAY}, capprops={"color": GRAY},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    at = known[site].astype(str).map({name: k for k, name in enumerate(parts, 1)})
    groups = _by_outcome(known)
    for k, (name, part) in enumerate(groups):
        middle = (k - (len(groups) - 1) / 2) * 0.22
        axis.scatter(
            at[part.index] + middle + rng.uniform(-0.1, 0.1, len(part)), part[feature], s=12,
            marker="ox"[k], color=(BLUE, VERMILION)[k], alpha=0.5, label=name,
            linewidths=0 if k == 0 else 1,
        )  # fmt: skip
    if log:
        axis.set_yscale("log")
    if len(groups) == 2:
        figure.legend(loc="outside upper right", ncols=2)
    axis.set_xticks(range(1, len(parts) + 1), [f"{s}\nn = {len(v)}" for s, v in parts.items()])
    name = short_name(feature)
    axis.set(ylabel=f"{name} ({unit})" if unit else name, title=title)
    said = [f"{s} {np.median(v):.3g}" for s, v in parts.items() if len(v)]
    return described(figure, f"{name} by site, median: {'; '.join(said)}.")
