"""Figures of reports: a text with its evidence, fields by methods, quality."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nextaim_kit.show.style import CYCLE, DASHES, ORANGE, SKY, described, new_figure, styled
from nextaim_kit.studies.report_structuring.measures import Spans

_WIDE, _POINTS = 92, 9.0
_EM = 0.602  # width of a monospaced letter, in its height


@styled
def report_picture(text: str, spans: Spans, earlier: Spans | None = None) -> Figure:
    """A report whose evidence is marked, and what only looks like evidence.

    Parameters
    ----------
    text : str
        Without identifiers: it is shown as it is.
    spans, earlier : mapping of str to sequence of (start, end)
        By field: evidence of its value, and what is of the past or of somebody else.
    """
    lines = wrapped(text)
    figure, axes = new_figure(_WIDE * _EM * _POINTS / 72, (len(lines) + 2.5) * 1.45 * _POINTS / 72)
    figure.set_layout_engine("none")
    axis = axes[0, 0]
    axis.set_position((0, 0, 1, 1))
    axis.set(xlim=(0, _WIDE), ylim=(len(lines) + 2.2, -0.6))
    axis.axis("off")
    kinds = [
        ("evidence of a field", SKY, spans),
        ("of the past or of others", ORANGE, earlier or {}),
    ]
    for _, color, of in kinds:
        for start, end in (ends for every in of.values() for ends in every):
            _mark(axis, lines, start, end, color)
    how = {"family": "monospace", "fontsize": _POINTS, "va": "center", "parse_math": False}
    for at, (start, end) in enumerate(lines):
        for word in re.finditer(r"\S+", text[start:end]):  # each in its place, whatever the font's
            axis.text(word.start(), at, word[0], **how)
    for k, (name, color, _) in enumerate(kinds if spans or earlier else []):
        axis.add_patch(_box(1 + 34 * k, len(lines) + 1.2, 2, color))
        axis.text(4 + 34 * k, len(lines) + 1.2, name, fontsize=_POINTS, va="center")
    counted = [sum(map(len, of.values())) for _, _, of in kinds]
    return described(
        figure, f"A report of {len(text.split())} words, {counted[0]} places marked as evidence of "
        f"{len(spans)} fields, {counted[1]} as of the past or of others."
    )  # fmt: skip


def wrapped(text: str, wide: int = _WIDE - 2) -> list[tuple[int, int]]:
    """Where the lines of a text begin and end, if none is longer than `wide`.

    Examples
    --------
    >>> wrapped("uno due tre", wide=7)
    [(0, 7), (8, 11)]
    """
    lines, start, end = [], 0, 0
    for word in re.finditer(r"\S+", text):
        if "\n" in text[end : word.start()] or word.end() - start > wide:
            lines.append((start, end))
            start = word.start()
        end = word.end()
    return [*lines, (start, end)]


def _mark(axis: Axes, lines: Sequence[tuple[int, int]], start: int, end: int, color: str) -> None:
    for at, (first, last) in enumerate(lines):
        low, high = max(start, first), min(end, last)
        if low < high:
            axis.add_patch(_box(low - first, at, high - low, color))


def _box(x: float, line: float, wide: float, color: str) -> Rectangle:
    return Rectangle((x, line - 0.5), wide, 1.0, color=color, alpha=0.55, linewidth=0)


@styled
def fields_by_methods(table: pd.DataFrame, *, label: str) -> Figure:
    """A measure of each field (rows) and method (columns), as shades with their numbers.

    Parameters
    ----------
    table : DataFrame
        Fields by methods, values from 0 to 1; NaN stays white.
    label : str
        What is measured.
    """
    values = table.to_numpy(float)
    figure, axes = new_figure(2.6 + 0.95 * len(table.columns), 1.4 + 0.24 * len(table))
    axis = axes[0, 0]
    drawn = axis.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(table.columns)), list(table.columns), rotation=20, ha="right")
    axis.set_yticks(range(len(table)), list(table.index))
    axis.grid(False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            ink = "white" if value < 0.55 else "black"
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=7)
    figure.colorbar(drawn, ax=axis, label=label, shrink=0.6)
    means = "; ".join(f"{name} {table[name].mean():.2f}" for name in table)
    return described(figure, f"{label} of {len(table)} fields by method; mean: {means}.")


@styled
def quality_surface(table: pd.DataFrame) -> Figure:
    """Accuracy by training reports and noise: a row a kind of noise, a column a method.

    Parameters
    ----------
    table : DataFrame
        What `surface.surface` gives.
    """
    rows = table[table["metric"] == "accuracy"]
    kinds, names = (list(dict.fromkeys(rows[column])) for column in ("noise", "name"))
    figure, axes = new_figure(
        1.2 + 2.1 * len(names), 1.2 + 2.0 * len(kinds), len(kinds), len(names),
        sharex=True, sharey=True,
    )  # fmt: skip
    said, rates = [], sorted(rows["rate"].unique())
    for (i, j), axis in np.ndenumerate(axes):
        part = rows[(rows["noise"] == kinds[i]) & (rows["name"] == names[j])]
        axis.set_visible(len(part) > 0)
        for rate, line in part.sort_values("reports").groupby("rate"):
            k, value = rates.index(rate), line["value"]
            look = {"color": CYCLE[k % len(CYCLE)], "linestyle": DASHES[k % len(DASHES)]}
            axis.plot(line["reports"], value, marker="o", markersize=3, label=f"noise {rate:g}",
                      **look)  # fmt: skip
            axis.fill_between(line["reports"], line["low"], line["high"],
                              color=look["color"], alpha=0.15, linewidth=0)  # fmt: skip
            ends = f"{value.iloc[0]:.2f} to {value.iloc[-1]:.2f}"
            said.append(f"{names[j]}, {kinds[i]} {rate:g}: {ends}")
        axis.set_xscale("log")
        sizes = sorted(rows["reports"].unique())
        axis.set_xticks(sizes, [f"{size}" for size in sizes])
        axis.minorticks_off()
        axis.set_title(names[j] if i == 0 else "", fontsize=9)
        axis.set_ylabel(f"accuracy,\nnoise in {kinds[i]}" if j == 0 else "")
        below = rows[rows["noise"].isin(kinds[i + 1 :]) & (rows["name"] == names[j])]
        axis.set_xlabel("" if len(below) else "training reports")
        axis.tick_params(labelbottom=not len(below))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(rates))
    return described(figure, f"accuracy by training reports: {'; '.join(said)}.")


def by_method(table: pd.DataFrame, metric: str, fields: Sequence[str]) -> pd.DataFrame:
    """Fields by methods of one measure.

    Parameters
    ----------
    table : DataFrame
        What `measures.measure` gives, with a column ``name``.
    metric : str
    fields : sequence of str
        Which, in which order.
    """
    rows = table[(table["metric"] == metric) & table["scope"].isin(fields)]
    wide = rows.pivot(index="scope", columns="name", values="value")
    return wide.reindex(index=list(fields), columns=list(dict.fromkeys(rows["name"])))
