"""Directions of fibers as colors: red to the sides, green to front and back, blue up and down.

Connections have one color a target, the same in every figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from nextaim_kit.show import style
from nextaim_kit.show.planes import letters
from nextaim_kit.show.style import close_rows, described, new_figure, styled

# What is in front is named in two ways: as a lobe, and as TractSeg has it.
TARGET_COLORS = {
    "frontal": style.BLUE, "prefrontal": style.BLUE, "premotor": style.SKY,
    "precentral": style.VERMILION, "postcentral": style.ORANGE, "parietal": style.GREEN,
    "occipital": style.PURPLE, "temporal": style.YELLOW,
}  # fmt: skip
_PAIRS = ((0, 1), (0, 2), (1, 2))  # axes of the axial, coronal and sagittal plane


def colors(fa: NDArray, direction: NDArray) -> NDArray[np.float64]:
    """RGB of shape (..., 3): how far each direction goes to the right, front and head, times FA."""
    return np.clip(np.abs(direction) * np.clip(fa * 1.3, 0, 1)[..., None], 0, 1)


@styled
def planes(
    maps: Mapping[str, NDArray], affine: NDArray, at: tuple[float, float, float], *,
    unit: str = "", limits: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Three planes of each map, one row a map; the patient's right is on the left.

    Parameters
    ----------
    maps : mapping of str to array of shape (x, y, z) or (x, y, z, 3)
        Gray, or colors; axes to the patient's right, front and head.
    affine : array of shape (4, 4)
    at : (x, y, z)
        Where the planes cross, in mm.
    unit : str
        Of gray maps.
    limits : (low, high), optional
        Of gray maps; by default the 1st and 99th percentile of each.
    """
    first = next(iter(maps.values()))
    place = np.linalg.solve(affine[:3, :3], np.array(at) - affine[:3, 3])
    i, j, k = np.clip(np.rint(place).astype(int), 0, np.array(first.shape[:3]) - 1)
    figure, axes = new_figure(7.2, 2.5 * len(maps), len(maps), 3)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    for row, (name, values) in zip(axes, maps.items(), strict=True):
        low, high = limits or np.percentile(values, [1, 99])
        cuts = (values[::-1, :, k], values[::-1, j], values[i, ::-1])
        pairs = ((0, 1), (0, 2), (1, 2))
        for axis, cut, (across, up), ends in zip(row, cuts, pairs, ("RL", "RL", "AP"), strict=True):
            _draw(axis, cut, edges[up] / edges[across], (float(low), float(high)))
            letters(axis, ends)
        row[0].set_title(f"{name} ({unit})" if unit and values.ndim == 3 else name, fontsize=9)
    close_rows(figure, axes, 2.4, 0.25, 0.1)
    where = ", ".join(f"{axis} {mm:.0f} mm" for axis, mm in zip("xyz", at, strict=True))
    return described(figure, f"Three planes through {where}: {'; '.join(maps)}.")


def _draw(axis: Axes, cut: NDArray, aspect: float, limits: tuple[float, float]) -> None:
    axis.imshow(np.swapaxes(cut, 0, 1), origin="lower", aspect=aspect, cmap="gray",
                vmin=limits[0], vmax=limits[1], interpolation="nearest")  # fmt: skip
    axis.set_axis_off()


@styled
def tracts(
    anatomy: NDArray, affine: NDArray, lines: Mapping[str, Sequence[NDArray]], thalamus: NDArray
) -> Figure:
    """Streamlines over three planes through a thalamus, all depths upon each other.

    Parameters
    ----------
    anatomy : array of shape (x, y, z)
        Such as FA; axes to the patient's right, front and head.
    affine : array of shape (4, 4)
    lines : mapping of target to arrays of shape (k, 3)
        In mm.
    thalamus : array of bool, shape (x, y, z)
    """
    middle = np.rint(np.argwhere(thalamus).mean(0)).astype(int)
    to_voxel, edges = np.linalg.inv(affine), np.linalg.norm(affine[:3, :3], axis=0)
    figure, axes = new_figure(7.2, 3.0, 1, 3)
    for axis, (across, up), ends in zip(axes[0], _PAIRS, ("RL", "RL", "AP"), strict=True):
        depth = 3 - across - up
        cut = np.take(anatomy, middle[depth], depth)
        _draw(axis, cut[::-1], edges[up] / edges[across], (0.0, 1.2 * float(cut.max())))
        for name, several in lines.items():
            for line in several:
                at = line @ to_voxel[:3, :3].T + to_voxel[:3, 3]
                axis.plot(anatomy.shape[across] - 1 - at[:, across], at[:, up],
                          color=TARGET_COLORS[name], linewidth=0.5, alpha=0.6)  # fmt: skip
        letters(axis, ends)
    close_rows(figure, axes, 2.4, 0.0, 0.5)
    _legend(figure, list(lines))
    counts = ", ".join(f"{name} {len(several)}" for name, several in lines.items())
    return described(figure, f"Streamlines from the thalamus by target: {counts}.")


@styled
def shares(maps: Mapping[str, NDArray], names: Sequence[str], thalamus: NDArray) -> Figure:
    """One axial slice of each target's map, a row for each kind of map, all on one scale.

    Parameters
    ----------
    maps : mapping of str to array of shape (x, y, z, target)
        From 0 to 1.
    names : sequence of str
        Of the targets.
    thalamus : array of bool, shape (x, y, z)
        Its slice of most voxels is shown.
    """
    box, k = _around(thalamus)
    figure, axes = new_figure(7.2, 1.6 * len(maps), len(maps), len(names))
    for row, (kind, values) in zip(axes, maps.items(), strict=True):
        for axis, name, map_ in zip(row, names, np.moveaxis(values, -1, 0), strict=True):
            seen = np.where(thalamus, map_, np.nan)[:, :, k][box][::-1]
            axis.imshow(seen.T, origin="lower", cmap="viridis", vmin=0, vmax=1)
            axis.set_axis_off()
            axis.set_title(name, fontsize=8, color="#2B3036")
        row[0].set_title(f"{kind}\n{names[0]}", fontsize=8)
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), "viridis"), ax=axes, shrink=0.7)
    bar.set_label("share")
    means = "; ".join(
        f"{kind}: "
        + ", ".join(f"{n} {m:.2f}" for n, m in zip(names, v[thalamus].mean(0), strict=True))
        for kind, v in maps.items()
    )
    return described(figure, f"Maps of one slice. Means in the thalamus: {means}.")


@styled
def parcels(
    winners: Mapping[str, NDArray], names: Sequence[str], anatomy: NDArray, thalamus: NDArray
) -> Figure:
    """The winner of each voxel in its target's color, in three planes; a row for each kind.

    Parameters
    ----------
    winners : mapping of str to array of shape (x, y, z)
        0 for nobody, else the number of the target from 1 on.
    names : sequence of str
        Of the targets.
    anatomy : array of shape (x, y, z)
    thalamus : array of bool, shape (x, y, z)
    """
    palette = np.array([(0.0, 0, 0), *(to_rgb(TARGET_COLORS[name]) for name in names)])
    places = np.argwhere(thalamus)
    middle = np.rint(places.mean(0)).astype(int)
    low, high = places.min(0) - 3, places.max(0) + 4
    box = tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))
    figure, axes = new_figure(7.2, 2.4 * len(winners), len(winners), 3)
    gray = np.clip(anatomy / (1.2 * anatomy.max()), 0, 1)[..., None] * np.ones(3)
    for row, (kind, found) in zip(axes, winners.items(), strict=True):
        seen = np.where((found > 0)[..., None], palette[found], gray)
        for axis, (across, up), ends in zip(row, _PAIRS, ("RL", "RL", "AP"), strict=True):
            depth = 3 - across - up
            cut = np.take(seen, middle[depth], depth)[box[across], box[up]]
            _draw(axis, cut[::-1], 1.0, (0.0, 1.0))
            letters(axis, ends)
        row[0].set_title(kind, fontsize=9)
    _legend(figure, names)
    said = "; ".join(
        f"{kind}: " + ", ".join(f"{n} {(f == k).sum()}" for k, n in enumerate(names, 1))
        for kind, f in winners.items()
    )
    return described(figure, f"Voxels of the thalamus by the target that wins. {said}.")


@styled
def convergence(table: pd.DataFrame, wanted: float = 0.95) -> Figure:
    """Agreement of two halves by the number of streamlines, of `agreement.convergence`."""
    figure, axes = new_figure(5.6, 3.8)
    axis, said = axes[0, 0], []
    parts = {f"Dice of P > {t:g}": part["dice"] for t, part in table.groupby("threshold")}
    parts["winners"] = table.groupby("streamlines")["winner"].first()
    numbers = table["streamlines"].unique()
    for k, (name, values) in enumerate(parts.items()):
        color = style.GRAY if name == "winners" else style.BLACK
        axis.plot(numbers, values, color=color, linestyle=style.DASHES[k],
                  marker=style.MARKERS[k], markersize=4, label=name)  # fmt: skip
        said.append(f"{name} {values.iloc[0]:.2f} to {values.iloc[-1]:.2f}")
    style.reference_lines(axis, [(wanted, f"wanted: {wanted:g}")], vertical=False)
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, [str(n) for n in numbers])
    axis.set(xlabel="streamlines a voxel in each half", ylabel="agreement of two halves")
    figure.legend(loc="outside lower center", ncols=3)
    span = f"{numbers[0]} to {numbers[-1]} streamlines"
    return described(figure, f"Agreement of two halves, {span}: {'; '.join(said)}.")


@styled
def fading(table: pd.DataFrame) -> Figure:
    """P by distance and by size, of `fading.fading` for some targets; the truth is dashed."""
    figure, axes = new_figure(7.2, 3.6, 1, 2, sharey=True)
    labels = {"distance": "distance of the cut (mm)", "size": "share of the cortex that counts"}
    said = []
    for axis, (kind, label) in zip(axes[0], labels.items(), strict=True):
        for name, part in table[table["kind"] == kind].groupby("target"):
            color = TARGET_COLORS[str(name)]
            axis.plot(part["at"], part["mean"], "o-", color=color, label=f"{name}, tracking")
            axis.plot(part["at"], part["true"], "--", color=color, label=f"{name}, truth")
            ends = part.iloc[[0, -1]]
            said.append(f"{name} by {kind}: {ends['mean'].iloc[0]:.2f} to "
                        f"{ends['mean'].iloc[1]:.2f}, truth {ends['true'].iloc[0]:.2f} to "
                        f"{ends['true'].iloc[1]:.2f}")  # fmt: skip
        axis.set(xlabel=label, ylim=(0, 1.02))
    axes[0, 0].set_ylabel("share of streamlines")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4)
    return described(figure, f"Share of streamlines that touch: {'; '.join(said)}.")


def _around(thalamus: NDArray) -> tuple[tuple[slice, slice], int]:
    """The box of a thalamus across, a voxel wider, and its fullest axial slice."""
    k = int(thalamus.sum((0, 1)).argmax())
    places = np.argwhere(thalamus)
    low, high = np.maximum(places.min(0) - 1, 0), places.max(0) + 2
    return (slice(low[0], high[0]), slice(low[1], high[1])), k


def _legend(figure: Figure, names: Sequence[str]) -> None:
    handles = [Patch(facecolor=TARGET_COLORS[name], label=name) for name in names]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
