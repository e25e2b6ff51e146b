"""Figures of how values are distributed: histograms with limits, values by site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    VERMILION,
    described,
    new_figure,
    reference_lines,
    short_name,
    styled,
)

_OUTCOMES = ("not severe", "severe")


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

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> edges = [-1000, -700, -400, -100]
    >>> alt_of(histograms({"lung": [3, 5, 1]}, edges, xlabel="HU", ylabel="share"))
    'share by HU: lung 9 in all, most at -550. Limits: .'
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
def distribution_by_site(
    df: pd.DataFrame,
    feature: str,
    *,
    site: str = "site",
    unit: str = "",
    log: bool = False,
    title: str = "",
    outcomes: tuple[str, str] = _OUTCOMES,
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
    outcomes : (str, str)
        What labels 0 and 1 are called.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> table = pd.DataFrame({"site": ["A", "A", "B", "B"], "size": [1.0, 2.0, 3.0, 4.0]})
    >>> alt_of(distribution_by_site(table, "size", unit="ml"))
    'size by site, median: A 1.5; B 3.5.'
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
    groups = by_outcome(known, outcomes)
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


def by_outcome(
    df: pd.DataFrame, outcomes: tuple[str, str] = _OUTCOMES
) -> list[tuple[str, pd.DataFrame]]:
    """Name and rows of each outcome; all rows under no name where there are not two."""
    if "label" not in df or df["label"].nunique() != 2:
        return [("", df)]
    return [(name, df[df["label"] == label]) for label, name in enumerate(outcomes)]
