"""Figures of maps, of a table's features, and of what a hunt found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nextaim_kit.show.performance import intervals
from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.show.style import CYCLE, GRAY, MARKERS, described, new_figure, styled
from nextaim_kit.studies.challenges.explainability.explained import Explained
from nextaim_kit.studies.challenges.explainability.maps import WAYS, Maps, Name
from nextaim_kit.studies.challenges.explainability.shortcuts import REFERENCE

_LONGEST = 38  # letters of a feature's name
_TOP = 5  # features of a table that are shown
_BRIGHT = 0.99  # share of a map's pixels that are not as bright as can be


def looked_at(
    drawn: Mapping[Name, Maps], explained: Explained, names: Sequence[str], items: int = 3
) -> Figure:
    """Maps upon some items, a column for each method; of a table the features they name most.

    Parameters
    ----------
    drawn : mapping of str to array of shape (n, h, w)
    explained : Explained
    names : sequence of str
        Of a table's features.
    items : int
    """
    if explained.modality == "table":
        return intervals(_features(drawn, explained, names), xlabel="mean share of the map")
    rows = range(min(items, len(explained)))
    pictures = [explained.x[k, 0].numpy() for k in rows for _ in drawn]
    titles = [f"{explained.groups[k]}: {name.replace('_', ' ')}" for k in rows for name in drawn]
    outlines = [] if explained.truth is None else [
        {"what decides": explained.truth[k]} for k in rows for _ in drawn]  # fmt: skip
    heat = [_clipped(maps[k]) for k in rows for maps in drawn.values()]
    return gallery(pictures, titles, columns=len(drawn), outlines=outlines, heat=heat)


def _clipped(one: Maps) -> Maps:
    """A map whose few largest values do not darken all the others."""
    return np.minimum(one, np.quantile(one, _BRIGHT))


def compared(
    table: pd.DataFrame, *, xlabel: str, reference: Sequence[tuple[float, str]] = ()
) -> Figure:
    """Methods as a table has them in order, one below the other, with their intervals.

    Parameters
    ----------
    table : DataFrame
        ``name`` (method), ``value``, ``low``, ``high``; each ``group``, or without one each
        ``metric``, has its color.
    xlabel : str
    reference : sequence of (value, text)
        Vertical lines.
    """
    order = list(dict.fromkeys(table["name"]))
    shown = table.sort_values("name", key=lambda names: names.map(order.index), kind="stable")
    if "group" not in shown and "metric" in shown:
        shown = shown.rename(columns={"metric": "group"})
    words = [column for column in ("name", "group") if column in shown]
    shown = shown.assign(**{c: shown[c].str.replace("_", " ") for c in words})
    return intervals(shown, xlabel=xlabel, reference=reference)


def _short(name: str) -> str:
    """Both ends of a long name: names of features differ at either."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[-half:]}"


def _features(
    drawn: Mapping[Name, Maps], explained: Explained, names: Sequence[str]
) -> pd.DataFrame:
    from nextaim_kit.learn.intervals import mean_interval

    true = np.zeros(len(names), bool) if explained.truth is None else explained.truth[0, 0]
    rows = []
    for method, maps in drawn.items():
        for k in np.argsort(-maps[:, 0].mean(0), kind="stable")[:_TOP]:
            found = mean_interval(maps[:, 0, k], groups=explained.groups, bounds=(0, 1))
            rows.append((_short(names[k]) + " (truth)" * bool(true[k]), *found, method))
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high", "group"])
    return table.assign(group=table["group"].str.replace("_", " "))


@styled
def hunt(found: pd.DataFrame, *, sign: str, title: str = "") -> Figure:
    """Each model's sign, a panel for each method, with the limit that clean models set.

    Parameters
    ----------
    found : DataFrame
        Of `shortcuts.signs`.
    sign : str
        Which of its signs.
    title : str
    """
    part = found[found["sign"] == sign]
    methods = list(dict.fromkeys(part["method"]))
    kinds = [k for k in dict.fromkeys(part["shortcut"]) if k != REFERENCE]
    figure, axes = new_figure(2.1 * len(methods) + 0.6, 3.4, 1, len(methods))
    said = []
    for axis, method in zip(axes.flat, methods, strict=True):
        one = part[part["method"] == method]
        limit = one.loc[one["shortcut"] == REFERENCE, "value"].max()
        axis.axhline(limit, color=GRAY, linestyle="--", linewidth=1)
        for k, kind in enumerate(kinds):
            values = one.loc[one["shortcut"] == kind, "value"].to_numpy()
            values = values if WAYS[method].asks else values[:1]  # one map, however many models
            at = k + 0.4 * ((np.arange(len(values)) + 0.5) / len(values) - 0.5)
            axis.plot(at, values, MARKERS[k], color=CYCLE[k], markersize=6)
            said.append(f"{method}, {kind}: {(values > limit).sum()} of {len(values)} above")
        axis.set_xticks(range(len(kinds)), kinds, rotation=45, ha="right")
        axis.set(title=method.replace("_", " "), xlim=(-0.5, len(kinds) - 0.5))
    axes.flat[0].set_ylabel(f"{sign} (share of the map)")
    figure.suptitle(title)
    return described(figure, f"{sign}, dashed the limit by clean models: {'; '.join(said)}.")
