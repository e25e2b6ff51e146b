"""Directions of fibers as colors: red to the sides, green to front and back, blue up and down."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nextaim_kit.show.planes import letters
from nextaim_kit.show.style import close_rows, described, new_figure, styled


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
