"""Figures of memory: a grid with its numbers, where it goes, its laws, and what saving it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.show.style import (
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
def number_grid(
    table: pd.DataFrame,
    row: str,
    column: str,
    value: str,
    *,
    limit: float | None = None,
    labels: tuple[str, str, str] | None = None,
    title: str = "",
) -> Figure:
    """A heat map, logarithmic in its colors, with the number in each cell.

    Parameters
    ----------
    table : DataFrame
        One line for each cell: `row`, `column`, and a positive `value`.
    row, column, value : str
        Columns of the table.
    limit : float, optional
        Cells within it are framed.
    labels : (str, str, str), optional
        Of rows, columns and value, with units; by default the names.
    title : str

    Raises
    ------
    DataError
        If there is no cell, or a value is not above 0.
    """
    if table.empty or not (table[value] > 0).all():
        raise DataError("this grid cannot be drawn", expected="cells with values above 0")
    cells = table.pivot(index=row, columns=column, values=value)
    numbers = cells.to_numpy(float)
    beside = 1.9 + 0.07 * max(0, *(len(str(n)) - 6 for n in cells.index))  # inches for names
    figure, axes = new_figure(beside + 0.72 * cells.shape[1], 1.5 + 0.42 * cells.shape[0])
    axis = axes[0, 0]
    norm = LogNorm(np.nanmin(numbers), max(np.nanmax(numbers), 1.001 * np.nanmin(numbers)))
    image = axis.imshow(numbers, norm=norm, cmap="cividis", aspect="auto")
    for (i, j), number in np.ndenumerate(numbers):
        if np.isfinite(number):
            color = "white" if norm(number) < 0.55 else "black"
            axis.text(j, i, _short(number), ha="center", va="center", color=color, fontsize=9)
        if limit is not None and number <= limit:
            frame = Rectangle((j - 0.46, i - 0.44), 0.92, 0.88, fill=False, ec="white", lw=1.8)
            axis.add_patch(frame)
    names = labels or (row, column, value)
    below = [str(n) for n in cells.columns]
    long = max(map(len, below)) > 6
    axis.set_xticks(range(len(below)), below, rotation=40 * long, ha="right" if long else "center")
    axis.set_yticks(range(cells.shape[0]), [str(n) for n in cells.index])
    axis.set(xlabel=names[1], ylabel=names[0], title=title)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    bar = figure.colorbar(image, ax=axis, label=names[2], pad=0.02)
    bar.outline.set_visible(False)
    inside = "" if limit is None else f" {(numbers <= limit).sum()} cells are within {limit:g}."
    return described(
        figure,
        f"{names[2]} by {names[0]} and {names[1]}, from {_short(np.nanmin(numbers))} to "
        f"{_short(np.nanmax(numbers))} in {np.isfinite(numbers).sum()} cells.{inside}",
    )


@styled
def stacked_bars(table: pd.DataFrame, *, xlabel: str, title: str = "") -> Figure:
    """Lying bars, each divided into its parts, with its total at the end.

    Parameters
    ----------
    table : DataFrame
        One line for each bar, named by the index; a column for each part, not negative.
    xlabel : str
        Quantity and unit.
    title : str
    """
    figure, axes = new_figure(7.2, 1.7 + 0.45 * len(table))
    axis, left = axes[0, 0], np.zeros(len(table))
    for k, name in enumerate(table.columns):
        width = table[name].to_numpy(float)
        color = CYCLE[k % len(CYCLE)]
        hatch = "//" if k >= len(CYCLE) else ""
        axis.barh(range(len(table)), width, 0.62, left=left, color=color, hatch=hatch, label=name,
                  edgecolor="white", linewidth=0.6)  # fmt: skip
        left += width
    for at, total in enumerate(left):
        axis.text(total, at, f" {_short(total)}", va="center", fontsize=9)
    axis.set_yticks(range(len(table)), [str(n) for n in table.index])
    axis.set(ylim=(len(table) - 0.5, -0.5), xlim=(0, 1.13 * left.max()), xlabel=xlabel, title=title)
    axis.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=4, handlelength=1.2)
    said = [
        f"{bar}: {', '.join(f'{name} {_short(size)}' for name, size in parts.items() if size > 0)}"
        for bar, parts in table.to_dict("index").items()
    ]
    return described(figure, f"{xlabel}, part by part. {'; '.join(said)}.")


@styled
def power_laws(
    table: pd.DataFrame,
    x: str,
    value: str,
    by: str,
    *,
    limit: tuple[float, str] | None = None,
    labels: tuple[str, str] | None = None,
    title: str = "",
) -> Figure:
    """A quantity over another on logarithmic axes, where a power is a straight line.

    Parameters
    ----------
    table : DataFrame
    x, value, by : str
        Columns; a line for each value of `by`.
    limit : (float, str), optional
        A level line and its name.
    labels : (str, str), optional
        Of x and value, with units.
    title : str
    """
    figure, axes = new_figure(6.2, 4.2)
    axis, said = axes[0, 0], []
    for k, (name, line) in enumerate(table.sort_values(x).groupby(by)):
        axis.plot(line[x], line[value], color=CYCLE[k % len(CYCLE)], label=f"{by} {name}",
                  linestyle=DASHES[k % len(DASHES)], marker="o", markersize=4)  # fmt: skip
        said.append(f"{by} {name}: {_short(line[value].iloc[0])} to {_short(line[value].iloc[-1])}")
    if limit is not None:
        axis.axhline(limit[0], color=GRAY, linewidth=1.2, linestyle=(0, (4, 2)), label=limit[1])
    axis.set(xscale="log", yscale="log", title=title)
    ticks = sorted(table[x].unique())
    axis.set_xticks(ticks, [f"{n:g}" for n in ticks], fontsize=7.5)
    axis.minorticks_off()
    axis.yaxis.set_major_formatter("{x:g}")
    names = labels or (x, value)
    axis.set(xlabel=names[0], ylabel=names[1])
    axis.grid(axis="y")
    figure.legend(loc="outside right upper", handlelength=2.6)
    return described(figure, f"{names[1]} by {names[0]}, logarithmic. {'; '.join(said)}.")


@styled
def trade_off(
    table: pd.DataFrame,
    *,
    xlabel: str,
    ylabel: str,
    reference: Sequence[tuple[float, str]] = (),
    title: str = "",
) -> Figure:
    """What each way costs and gives: a named point with its interval.

    Parameters
    ----------
    table : DataFrame
        ``name``, ``x``, ``value``, ``low``, ``high``; the first line is what others are held to.
    xlabel, ylabel : str
        Quantities and units.
    reference : sequence of (value, text)
        Level lines.
    title : str
    """
    figure, axes = new_figure(6.8, 4.2)
    axis, said = axes[0, 0], []
    apart = _apart(table["x"].to_numpy(float))
    for k, (at, row) in enumerate(zip(apart, table.to_dict("records"), strict=True)):
        color = VERMILION if k == 0 else CYCLE[0]
        axis.plot([at] * 2, [row["low"], row["high"]], color=color, linewidth=1.6, alpha=0.6)
        axis.plot(at, row["value"], "s" if k == 0 else "o", color=color, markersize=7)
        axis.annotate(row["name"], (at, row["value"]), xytext=(8, 5), fontsize=9,
                      textcoords="offset points", color=color)  # fmt: skip
        said.append(f"{row['name']} {row['value']:.2f} at {_short(row['x'])}")
    for k, (value, text) in enumerate(reference):
        style = (0, (4 - k % 3, 2 + k % 3))
        axis.axhline(value, color=GRAY, linewidth=1.2, linestyle=style, label=text, zorder=1)
    axis.axvline(table["x"].iloc[0], color=LIGHT, linewidth=1, zorder=0)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axis.set_xlim(0, 1.3 * table["x"].max())
    axis.grid(axis="y")
    if reference:
        figure.legend(loc="outside lower center", ncols=2)
    marks = f" Reference: {', '.join(text for _, text in reference)}." if reference else ""
    return described(figure, f"{ylabel} by {xlabel}: {'; '.join(said)}.{marks}")


@styled
def drift(curves: Mapping[str, NDArray], *, ylabel: str, title: str = "") -> Figure:
    """How far trainings part from one another, update by update, on a logarithmic axis.

    Parameters
    ----------
    curves : mapping of str to array of shape (updates,)
        Not negative; a curve that is 0 all along has no line, and is named as the same bits.
    ylabel : str
    title : str
    """
    figure, axes = new_figure(6.4, 4.4)
    axis, said = axes[0, 0], []
    for k, (name, curve) in enumerate(curves.items()):
        text = name if curve.any() else f"{name}: the same bits"
        known = np.where(curve > 0, curve, np.nan)
        axis.plot(np.arange(1, len(curve) + 1), known, color=CYCLE[k % len(CYCLE)], label=text,
                  linestyle=DASHES[k % len(DASHES)], marker="o", markersize=3)  # fmt: skip
        said.append(f"{text} {curve[0]:.1e} to {curve[-1]:.1e}")
    axis.set(yscale="log", xlabel="update", ylabel=ylabel, title=title)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y")
    figure.legend(loc="outside lower center", ncols=3, handlelength=2.6)
    return described(figure, f"{ylabel} by update, logarithmic. {'; '.join(said)}.")


def _apart(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places for points, those that would hide another moved to its right a little."""
    places, gap = x.copy(), 0.02 * x.max()
    for k in range(1, len(x)):
        while (np.abs(places[:k] - places[k]) < 0.99 * gap).any():
            places[k] += gap
    return places


def _short(number: float) -> str:
    if number >= 100:
        return f"{number:,.0f}".replace(",", " ")
    return (
        f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number >= 0.1 else f"{number:.2g}"
    )
