"""Figures of a sweep: which settings led where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.style import BLUE, GRAY, VERMILION, described, new_figure, styled

_MANY = 8  # values from which on an axis of numbers has a scale instead of names


@styled
def parallel_coordinates(
    table: pd.DataFrame, settings: Sequence[str], metric: str, *, higher: bool = True
) -> Figure:
    """A line per run through its settings to its metric, colored by the metric.

    Parameters
    ----------
    table : DataFrame
        One row per run: the settings, of any type, and the metric.
    settings : sequence of str
        Columns, from left to right; the metric is the last axis.
    metric : str
        Column of numbers; runs without one are left out.
    higher : bool
        Whether a higher metric is better: better ones lie on top.
    """
    known = table.dropna(subset=[metric]).sort_values(metric, ascending=higher, kind="stable")
    columns = [*settings, metric]
    places = {name: _places(known[name], name == metric) for name in columns}
    figure, axes = new_figure(1.5 * len(columns) + 1.2, 4.2)
    axis = axes[0, 0]
    values = known[metric].to_numpy(float)
    colors = ScalarMappable(Normalize(values.min(), values.max()), "cividis")
    lines = np.column_stack([at for at, _ in places.values()])
    rng = np.random.default_rng(0)  # lines through one point are drawn apart
    lines[:, :-1] += rng.uniform(-0.012, 0.012, (len(lines), len(settings)))
    for line, value in zip(lines, values, strict=True):
        axis.plot(line, color=colors.to_rgba(value), alpha=0.75, linewidth=1.3)
    for x, (_, ticks) in enumerate(places.values()):
        axis.axvline(x, color=GRAY, linewidth=0.8, zorder=0)
        for y, text in ticks:
            axis.annotate(
                text, (x, y), xytext=(4, 0), textcoords="offset points", fontsize=8, va="center",
                bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.8},
            )  # fmt: skip
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.set_xlim(-0.2, len(columns) - 1 + 0.55)
    best = known.iloc[-1]
    said = ", ".join(f"{name} {_text(best[name])}" for name in settings)
    return described(
        figure, f"{len(known)} runs; the best {metric}, {best[metric]:.3f}, has {said}."
    )


def _places(values: pd.Series, is_metric: bool) -> tuple[NDArray, list[tuple[float, str]]]:
    """Height of each value between 0 and 1, and the ticks of its axis."""
    numbers = _numbers(values)
    if numbers.notna().all() and (is_metric or numbers.nunique() > _MANY):
        low, high = float(numbers.min()), float(numbers.max())
        width = (high - low) or 1.0
        ticks = np.linspace(low, high, 5) if high > low else [low]
        return ((numbers - low) / width).to_numpy(float), [
            ((tick - low) / width, f"{tick:.3g}") for tick in ticks
        ]
    names = _ordered(values)
    heights = np.linspace(0.04, 0.96, len(names)) if len(names) > 1 else np.array([0.5])
    at = dict(zip(names, heights, strict=True))
    return np.array([at[_text(v)] for v in values]), [(y, name) for name, y in at.items()]


def _ordered(values: pd.Series) -> list[str]:
    """Names of the values: by number where they are numbers, else by the alphabet."""
    numbers = _numbers(values)
    if numbers.notna().all():
        return list(dict.fromkeys(map(_text, values[numbers.sort_values(kind="stable").index])))
    return sorted(set(map(_text, values)))


def _numbers(values: pd.Series) -> pd.Series:
    """The values as numbers, lists of one number among them; missing where they are none."""
    alone = values.map(lambda v: v[0] if isinstance(v, list) and len(v) == 1 else v)
    return pd.to_numeric(alone, errors="coerce")


def _text(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 16 else f"{text[:14]}..."


@styled
def marginals(
    table: pd.DataFrame, settings: Sequence[str], metric: str, *, columns: int = 3
) -> Figure:
    """The metric against each setting by itself: every run a dot, the mean a line.

    What other settings do is averaged over, so that a panel tells of its setting alone only where
    all combinations were run.

    Parameters
    ----------
    table : DataFrame
        As for `parallel_coordinates`.
    settings : sequence of str
        A panel each.
    metric : str
    columns : int
        Panels per row.
    """
    known = table.dropna(subset=[metric])
    columns = min(columns, len(settings))
    rows = -(-len(settings) // columns)
    figure, axes = new_figure(3.0 * columns + 0.4, 2.6 * rows + 0.3, rows, columns, sharey=True)
    rng = np.random.default_rng(0)
    said = []
    for axis, name in zip(axes.flat, settings, strict=False):
        names = _ordered(known[name])
        at = known[name].map(lambda v, names=names: names.index(_text(v))).to_numpy(float)
        values = known[metric].to_numpy(float)
        axis.scatter(at + rng.uniform(-0.12, 0.12, len(at)), values, s=14, color=BLUE, alpha=0.5,
                     linewidths=0)  # fmt: skip
        means = [values[at == k].mean() for k in range(len(names))]
        axis.plot(range(len(names)), means, "_-", color=VERMILION, markersize=14, linewidth=1)
        shown = range(0, len(names), -(-len(names) // _MANY))
        axis.set_xticks(list(shown), [names[k] for k in shown])
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_xlabel(name)
        top = int(np.argmax(means))
        said.append(f"{name} {names[top]} has the highest mean, {means[top]:.3f}")
    for axis in axes.flat[len(settings) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(metric)
    return described(figure, f"{metric} by setting: {'; '.join(said)}.")
