"""Pictures of reports as data: one beside its values, what is said and what is not."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.style import (
    BLUE,
    GRAY,
    LIGHT,
    ORANGE,
    VERMILION,
    described,
    new_figure,
    styled,
)
from nextaim_kit.studies.report_structuring.schema import UNSAID, Field, Template

_WIDE, _LINE = 62, 0.165  # characters of a line, inches
_SHARES = {"stated": BLUE, "denied": VERMILION, "uncertain": ORANGE, "not mentioned": LIGHT}


@styled
def beside(
    text: str, values: Mapping[str, Any], template: Template, *, language: str = "en"
) -> Figure:
    """A report's text, already covered where it tells a person, beside the values it should give.

    Parameters
    ----------
    text : str
    values : mapping
        By field.
    template : Template
    language : str
        Of the fields' labels.
    """
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WIDE) or [""]]
    rows = [_row(field, values[field.key], language) for field in template.fields]
    figure, axes = new_figure(
        9.4, 0.5 + _LINE * max(len(lines), len(rows)), columns=2, width_ratios=(1.25, 1)
    )
    for axis in axes[0]:
        axis.set_axis_off()
    how = {"va": "top", "fontsize": 8, "linespacing": 1.35}
    axes[0, 0].text(0, 1, "\n".join(lines), family="monospace", **how)
    said = [value != UNSAID for _, value in rows]
    for k, (name, value) in enumerate(rows):
        at = 1 - (k + 0.2) / max(len(rows), len(lines))
        color = {"color": "black" if said[k] else GRAY}
        axes[0, 1].text(0, at, name, fontsize=8, va="top", **color)
        axes[0, 1].text(0.72, at, value, fontsize=8, va="top", weight="bold", **color)
    axes[0, 0].set_title("the report", loc="left")
    axes[0, 1].set_title(f"its values ({UNSAID}: not mentioned)", loc="left")
    told = f"A report of {len(text.split())} words beside {len(rows)} fields"
    return described(figure, f"{told}, {sum(said)} of them mentioned.")


def _row(field: Field, value: Any, language: str) -> tuple[str, str]:
    label = field.label.get(language, next(iter(field.label.values())))
    said = field.written(None if value != value else value)
    return label, f"{said} {field.unit}" if field.unit and said != UNSAID else said


@styled
def said_or_not(shares: pd.DataFrame) -> Figure:
    """Bars of what reports state, deny, doubt and leave out, a line for each field.

    Parameters
    ----------
    shares : DataFrame
        Of `agreement.statements`.
    """
    shares = shares.sort_values(["not mentioned", "denied"], ascending=[False, False])
    figure, axes = new_figure(6.6, 1.2 + 0.22 * len(shares))
    axis, left = axes[0, 0], np.zeros(len(shares))
    for name, color in _SHARES.items():
        axis.barh(shares["field"], shares[name], left=left, color=color, label=name)
        left = left + shares[name].to_numpy()
    axis.set(xlabel="share of the reports", xlim=(0, 1))
    axis.grid(visible=False)
    axis.tick_params(axis="y", labelsize=8, length=0)
    figure.legend(loc="outside lower center", ncols=4)
    silent = shares.iloc[0]
    text = (
        f"Shares of the reports that state, deny, doubt or leave out each of {len(shares)} fields"
    )
    return described(
        figure,
        f"{text}; most silent: {silent['field']}, not mentioned in {silent['not mentioned']:.2f}.",
    )
