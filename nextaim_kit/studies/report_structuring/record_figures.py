"""Figures of the record notebook: what each sentence does, and what is found by checking first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.style import BLUE, GRAY, VERMILION, described, new_figure, styled

_WAYS = {
    "left out": ("fall when left out", BLUE, ""),
    "alone": ("rise when alone", VERMILION, "///"),
}


@styled
def sentence_bars(scores: pd.DataFrame, value: str, *, title: str = "") -> Figure:
    """What each sentence of one report does for one value.

    Parameters
    ----------
    scores : DataFrame
        Rows of `evidence.sentence_scores` of one report and field.
    value : str
        What it is called.
    title : str
    """
    figure, axes = new_figure(6.4, 1.5 + 0.2 * len(scores))
    axis, places = axes[0, 0], np.arange(len(scores))
    for k, (way, (label, color, hatch)) in enumerate(_WAYS.items()):
        axis.barh(places + 0.4 * (k - 0.5), scores[way], 0.38, color=color, hatch=hatch,
                  edgecolor="white", label=label)  # fmt: skip
    axis.set_yticks(places, [f"sentence {k}" for k in places + 1])
    axis.set(xlabel="change of the value's probability", xlim=(0, 1), title=title)
    axis.invert_yaxis()
    axis.spines["left"].set_color(GRAY)
    figure.legend(loc="outside lower right", ncols=2)
    said = [
        f"{way} {scores[way].max():.2f} at sentence {int(scores[way].to_numpy().argmax()) + 1}"
        for way in _WAYS
    ]
    return described(
        figure, f"{value}: largest change of {len(scores)} sentences: {', '.join(said)}."
    )


def found_first(values: pd.DataFrame, by: list[str]) -> tuple[NDArray, NDArray]:
    """What share of the errors is found when values are checked in an order.

    Parameters
    ----------
    values : DataFrame
        Of `record.in_order`.
    by : list of str
        Columns that it is sorted by; what they leave equal stays as it comes.

    Returns
    -------
    checked, found : arrays of float
        Shares of the values, and of the errors among them.

    Examples
    --------
    >>> values = pd.DataFrame({"confidence": [0.9, 0.5], "right": [True, False]})
    >>> found_first(values, ["confidence"])[1].tolist()
    [0.0, 1.0, 1.0]
    """
    wrong = ~values.sort_values(by, kind="stable")["right"].to_numpy(bool)
    found = np.r_[0, np.cumsum(wrong)] / max(wrong.sum(), 1)
    return np.linspace(0, 1, len(found)), found


def orders(values: pd.DataFrame) -> Mapping[str, tuple[NDArray, NDArray]]:
    """`found_first` in three orders: doubt before confidence, confidence, the template's.

    A value without confidence counts as sure.
    """
    ordered = values.assign(
        sure=values["confidence"].astype(float).fillna(1.0), undoubted=~values["unsupported"]
    )
    return {
        "doubt, then confidence": found_first(ordered, ["undoubted", "sure"]),
        "confidence": found_first(ordered, ["sure"]),
        "the template's order": found_first(ordered, ["listed"]),
    }
