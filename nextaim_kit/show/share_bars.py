"""Shares as bars, beside each other or as parts of a whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.style import CYCLE, LIGHT, described, new_figure, styled


@styled
def bars(table: pd.DataFrame, *, xlabel: str, stacked: bool = False, title: str = "") -> Figure:
    """Shares as bars: a row of the table a line, a column a color.

    Parameters
    ----------
    table : DataFrame
        Values from 0 to 1, seven columns at most.
    xlabel : str
    stacked : bool
        Whether the columns are parts of a whole; the last one, in light gray, is the rest.
    title : str

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> table = pd.DataFrame({"found": [0.2, 0.6], "not looked for": [0.8, 0.4]}, ["cyst", "scar"])
    >>> alt_of(bars(table, xlabel="share of the reports", stacked=True))
    'share of the reports, 2 lines; largest: found 0.60 of scar; not looked for 0.80 of cyst.'
    """
    figure, axes = new_figure(6.6, 1.4 + 0.22 * len(table))
    axis, n, left = axes[0, 0], len(table.columns), np.zeros(len(table))
    places = np.arange(len(table))
    for k, (name, values) in enumerate(table.items()):
        shift, thick = (0.0, 0.8) if stacked else (0.8 * ((k + 0.5) / n - 0.5), 0.76 / n)
        color = LIGHT if stacked and k == n - 1 else CYCLE[k]
        axis.barh(places + shift, values, thick, left=left, color=color, label=name,
                  hatch="" if stacked else "///" * k, edgecolor="white")  # fmt: skip
        left = left + stacked * values.to_numpy()
    axis.set_yticks(places, list(map(str, table.index)))
    axis.set(xlabel=xlabel, xlim=(0, 1), title=title)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=n)
    most = "; ".join(f"{name} {table[name].max():.2f} of {table[name].idxmax()}" for name in table)
    return described(figure, f"{xlabel}, {len(table)} lines; largest: {most}.")
