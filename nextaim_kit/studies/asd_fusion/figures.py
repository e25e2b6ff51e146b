"""Figures of connectivity: a matrix by networks, motion over distance, edges upon a glass brain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.show.style import (
    BLUE,
    CYCLE,
    DASHES,
    GRAY,
    LOW_HIGH,
    VERMILION,
    described,
    new_figure,
    styled,
)
from nextaim_kit.studies.asd_fusion.brains import square


@styled
def matrix_by_network(
    edges: NDArray, regions: pd.DataFrame, *, title: str = "", label: str = "Fisher z"
) -> Figure:
    """Edges as a matrix whose regions stand by network; missing ones are white.

    Parameters
    ----------
    edges : array of shape (edges,)
    regions : DataFrame
        ``region``, ``network``.
    """
    names = regions["network"].to_numpy().astype(str)
    order = np.argsort(names, kind="stable")
    matrix, names = (
        square(np.asarray(edges, float), len(regions))[np.ix_(order, order)],
        names[order],
    )
    np.fill_diagonal(matrix, np.nan)
    figure, axes = new_figure(6.2, 5.0)
    axis, ends = axes[0, 0], float(np.nanquantile(np.abs(matrix), 0.99)) or 1.0
    drawn = axis.imshow(matrix, cmap=LOW_HIGH, vmin=-ends, vmax=ends)
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    for start in starts[1:]:
        axis.axhline(start - 0.5, color="white", linewidth=1)
        axis.axvline(start - 0.5, color="white", linewidth=1)
    sizes = np.diff(np.r_[starts, len(names)])
    told = sizes >= len(names) / 40  # the names of smaller networks would lie upon each other
    axis.set_yticks((starts + (sizes - 1) / 2)[told], names[starts[told]])
    axis.set_xticks([])
    axis.set_title(title)
    axis.set_xlabel(f"{len(regions)} regions, by network")
    figure.colorbar(drawn, ax=axis, label=label, shrink=0.8)
    inside = {n: np.nanmean(matrix[np.ix_(names == n, names == n)])
              for n in names[starts[sizes > 1]]}  # fmt: skip
    said = f"; the mean within {max(inside, key=inside.__getitem__)} is largest" if inside else ""
    return described(
        figure, f"{title or 'Matrix'} of {len(regions)} regions in {len(starts)} networks{said}."
    )


@styled
def motion_by_distance(found: pd.DataFrame, *, bins: int = 12) -> Figure:
    """Each edge's correlation with motion over the distance of its regions, with means.

    Parameters
    ----------
    found : DataFrame
        As `confounds.motion_map` gives it.
    """
    known = found.dropna()
    figure, axes = new_figure(6.0, 3.8)
    axis = axes[0, 0]
    axis.hexbin(
        known["distance"], known["rho"], gridsize=50, cmap="Greys", bins="log", linewidths=0
    )
    ends = np.quantile(known["distance"], np.linspace(0, 1, bins + 1))
    place = np.clip(np.searchsorted(ends, known["distance"], side="right") - 1, 0, bins - 1)
    means = known.groupby(place)[["distance", "rho"]].mean()
    axis.plot(means["distance"], means["rho"], color=VERMILION, marker="o", label="mean")
    axis.axhline(0, color=GRAY, linewidth=1, linestyle="--")
    axis.set(xlabel="distance between the regions (mm)", ylabel="correlation with motion")
    axis.legend()
    first, last = means["rho"].iloc[0], means["rho"].iloc[-1]
    return described(
        figure,
        f"Correlation of {len(known)} edges with motion: on average {first:.2f} between the "
        f"nearest regions and {last:.2f} between the farthest.",
    )


@styled
def diagnosis_by_site(sites: pd.DataFrame) -> Figure:
    """Share with autism over each site's size.

    Parameters
    ----------
    sites : DataFrame
        As `confounds.site_shares` gives it.
    """
    known = sites.dropna(subset=["share"])
    share = known["share"].astype(float)
    figure, axes = new_figure(6.0, 3.6)
    axis = axes[0, 0]
    axis.scatter(known["n"], 100 * share, color=BLUE)
    whole = 100 * float(np.average(share, weights=known["n"])) if len(known) else np.nan
    axis.axhline(whole, color=GRAY, linestyle="--", linewidth=1, label=f"all: {whole:.0f} %")
    axis.set(xlabel="subjects of the site", ylabel="of them with autism (%)", ylim=(-3, 103))
    axis.set_xscale("log")
    axis.legend()
    return described(
        figure,
        f"{len(known)} sites of {known['n'].min()} to {known['n'].max()} subjects, of whom "
        f"{100 * share.min():.0f} to {100 * share.max():.0f} % have autism.",
    )


@styled
def glass_brain(
    weights: ArrayLike,
    regions: pd.DataFrame,
    *,
    strongest: int = 40,
    title: str = "",
    label: str = "",
) -> Figure:
    """The strongest edges upon the outlines of a brain, seen from the side, the back and above.

    Parameters
    ----------
    weights : array of shape (edges,)
    regions : DataFrame
        ``x``, ``y``, ``z`` (mm).
    strongest : int
        Edges that are drawn.
    label : str
        What their color says.
    """
    from nilearn.plotting import plot_connectome

    known = np.nan_to_num(np.asarray(weights, float))
    limit = np.sort(np.abs(known))[-min(strongest, len(known))]
    kept = np.where(np.abs(known) >= limit, known, 0)
    figure, _ = new_figure(8.0, 2.9)
    figure.clear()
    figure.set_layout_engine("none")  # nilearn places its own axes
    matrix = square(kept, len(regions))
    used = np.abs(matrix).sum(axis=0) > 0
    options: dict[str, Any] = {"node_size": np.where(used, 18, 2), "node_color": GRAY}
    plot_connectome(matrix, regions[["x", "y", "z"]].to_numpy(float), figure=figure,
                    edge_cmap=LOW_HIGH, colorbar=True, title=title, **options)  # fmt: skip
    said = f"color: {label}" if label else ""
    figure.text(0.005, 0.01, said, ha="left", va="bottom", fontsize="small")
    ups = int((kept > 0).sum())
    return described(
        figure,
        f"{title or 'Glass brain'}: the {ups + int((kept < 0).sum())} strongest edges, {ups} of "
        "them positive.",
    )


@styled
def network_matrix(table: pd.DataFrame, *, title: str = "", label: str = "") -> Figure:
    """A number for each pair of networks, as a matrix.

    Parameters
    ----------
    table : DataFrame
        ``one``, ``other`` (networks), ``value``.
    """
    names = sorted({*table["one"], *table["other"]})
    at = {name: k for k, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    for row in table.to_dict("records"):
        one, other = at[row["one"]], at[row["other"]]
        matrix[one, other] = matrix[other, one] = row["value"]
    figure, axes = new_figure(6.0, 5.0)
    axis, ends = axes[0, 0], float(np.nanmax(np.abs(matrix))) or 1.0
    drawn = axis.imshow(matrix, cmap=LOW_HIGH, vmin=-ends, vmax=ends)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set_title(title)
    figure.colorbar(drawn, ax=axis, label=label, shrink=0.8)
    top = table.iloc[int(table["value"].abs().argmax())]
    return described(
        figure,
        f"{title or 'Matrix'} of {len(names)} networks; largest between {top['one']} and "
        f"{top['other']}: {top['value']:.3g}.",
    )


@styled
def four_ways_figure(found: pd.DataFrame) -> Figure:
    """AUCs of the four harmonizations, a panel for each modality and kind of diagnoses.

    Parameters
    ----------
    found : DataFrame
        ``part, diagnoses, way, kind, value, low, high``.
    """
    parts, kinds = list(dict.fromkeys(found["part"])), list(dict.fromkeys(found["diagnoses"]))
    ways = list(dict.fromkeys(found["way"]))
    width, height = 4.0 * len(kinds) + 1.4, 2.3 * len(parts) + 0.6
    figure, axes = new_figure(width, height, len(parts), len(kinds), sharex=True, sharey=True)
    looks = {"within sites": (BLUE, "o", -0.13), "pooled": (VERMILION, "D", 0.13)}
    said = []
    for row, part in enumerate(parts):
        for column, kind in enumerate(kinds):
            axis, here = axes[row, column], found[(found["part"] == part)]
            here = here[here["diagnoses"] == kind]
            for name, (color, marker, shift) in looks.items():
                one = here[here["kind"] == name].set_index("way").loc[ways]
                at = np.arange(len(ways)) + shift
                ends = np.abs(one[["low", "high"]].to_numpy().T - one["value"].to_numpy())
                axis.errorbar(one["value"], at, xerr=ends, fmt=marker, color=color, label=name)
            axis.axvline(0.5, color=GRAY, linestyle="--", linewidth=1)
            axis.set_yticks(range(len(ways)), ways)
            whose = "diagnoses as they are" if kind == "diagnosis" else "made-up diagnoses"
            axis.set_title(f"{part}: {whose}")
            inside = here[here["kind"] == "within sites"]
            said += [
                f"{part}, {kind}: "
                + ", ".join(
                    f"{w} {v:.2f}" for w, v in zip(inside["way"], inside["value"], strict=True)
                )
            ]
    axes[0, 0].invert_yaxis()
    for axis in axes[-1]:
        axis.set_xlabel("AUC")
    axes[0, 0].legend(loc="best")
    return described(figure, "AUC within sites by way of harmonization. " + "; ".join(said) + ".")


@styled
def found_of_planted(maps: Mapping[str, NDArray], planted: NDArray) -> Figure:
    """Share of planted edges among the strongest of each map, over how many are looked at.

    Parameters
    ----------
    maps : mapping of str to array of shape (edges,)
    planted : array of shape (edges,)
        0 where nothing is.
    """
    there, k = np.asarray(planted) != 0, np.arange(1, len(planted) + 1)
    figure, axes = new_figure(6.0, 3.6)
    axis, said = axes[0, 0], []
    for number, (name, one) in enumerate(maps.items()):
        share = np.cumsum(there[np.argsort(-np.abs(np.asarray(one, float)), kind="stable")]) / k
        axis.plot(k[9:], share[9:], color=CYCLE[number], linestyle=DASHES[number], label=name)
        said.append(f"{name} {share[there.sum() - 1]:.2f}")
    axis.axhline(there.mean(), color=GRAY, linestyle="--", linewidth=1)
    axis.axvline(there.sum(), color=GRAY, linestyle=":", linewidth=1)
    axis.set(xscale="log", xlabel="strongest edges looked at", ylim=(0, 1.03))
    axis.set_ylabel("share of them planted")
    axis.legend()
    return described(
        figure,
        f"Of the {there.sum()} strongest edges, as many as were planted: {', '.join(said)}; by "
        f"chance {there.mean():.2f}.",
    )
