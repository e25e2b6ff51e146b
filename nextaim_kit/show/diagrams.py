"""Diagrams of ideas: nested folds, a decision by a threshold, a U-Net."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from nextaim_kit.show.style import (
    BLACK,
    BLUE,
    GRAY,
    LIGHT,
    ORANGE,
    SKY,
    VERMILION,
    described,
    new_figure,
    styled,
)


@styled
def nested_folds(outer: int = 5, inner: int = 3) -> Figure:
    """The parts of the patients in a nested cross-validation: a row for each fit.

    Parameters
    ----------
    outer : int
        Folds that are tested.
    inner : int
        Folds of the first outer training part, in which everything is chosen.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(nested_folds(5, 3))
    'Nested folds: 5 outer folds test once each; in each training part 3 inner folds choose.'
    """
    figure, axes = new_figure(7.2, 0.34 * (outer + inner) + 1.1)
    axis, ends = axes[0, 0], np.linspace(0, 1, outer + 1)
    choosing = np.linspace(ends[1], 1, inner + 1)
    rows: list[tuple[float, np.ndarray, int, str, str]] = [
        (row, ends, row, VERMILION, f"outer {row + 1}") for row in range(outer)
    ]
    rows += [
        (outer + 0.5 + row, choosing, row, ORANGE, f"inner {row + 1}, within outer 1")
        for row in range(inner)
    ]
    for top, borders, special, color, _ in rows:
        colors = [color if k == special else SKY for k in range(len(borders) - 1)]
        axis.barh(top + 0.4, np.diff(borders), 0.8, borders[:-1], color=colors, edgecolor="white")
    axis.set_yticks([top + 0.4 for top, *_ in rows], [name for *_, name in rows])
    for color, said in (
        (SKY, "trains"), (ORANGE, "chooses (features, settings, threshold)"),
        (VERMILION, "tests, once"),
    ):  # fmt: skip
        axis.add_patch(Rectangle((0, 0), 0, 0, color=color, label=said))
    axis.set(xlim=(0, 1), ylim=(outer + inner + 0.6, -0.1), xticks=[])
    axis.set_xlabel("patients")
    axis.tick_params(axis="y", length=0)
    axis.spines[:].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3)
    return described(
        figure,
        f"Nested folds: {outer} outer folds test once each; in each training part {inner} inner "
        "folds choose.",
    )


@styled
def at_threshold(
    y: ArrayLike, p: ArrayLike, threshold: float, *, outcomes: tuple[str, str] = ("0", "1")
) -> Figure:
    """What a threshold makes of predictions: scores, the point on the ROC curve, the table.

    Parameters
    ----------
    y, p : array-like of shape (n,)
        Outcomes 0/1 and predicted scores.
    threshold : float
        From it on a patient is called positive.
    outcomes : (str, str)
        What 0 and 1 are called.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(at_threshold([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8], 0.5))
    'At 0.50: 1 true and 1 false positive, 1 true and 1 false negative.'
    """
    from sklearn.metrics import roc_curve

    y, p = np.asarray(y).astype(int), np.asarray(p, float)
    table = np.array([[np.sum((y == k) & ((p >= threshold) == c)) for c in (0, 1)] for k in (0, 1)])
    figure, axes = new_figure(10.2, 3.4, 1, 3)
    scores, curve, counts = axes[0]
    bins = np.linspace(min(p.min(), threshold), max(p.max(), threshold), 25)
    for k, color in ((0, BLUE), (1, VERMILION)):
        scores.hist(p[y == k], bins, color=color, alpha=0.55, label=outcomes[k])
    scores.axvline(threshold, color=BLACK, linestyle="--", label=f"threshold {threshold:.2f}")
    scores.set(xlabel="predicted score", ylabel="patients", title="scores")
    scores.legend(fontsize=8)
    curve.plot([0, 1], [0, 1], color=LIGHT)
    curve.plot(*roc_curve(y, p)[:2], color=BLUE)
    false, true = table[:, 1] / np.maximum(table.sum(axis=1), 1)
    curve.plot(false, true, "o", color=BLACK, markersize=8)
    curve.set(xlabel="1 - specificity", ylabel="sensitivity", title="the point on the ROC curve")
    curve.set_aspect("equal")
    _table(counts, table, outcomes)
    (tn, fp), (fn, tp) = table
    return described(
        figure,
        f"At {threshold:.2f}: {tp} true and {fp} false positive, {tn} true and {fn} false "
        "negative.",
    )


def _table(axis: Axes, table: np.ndarray, outcomes: tuple[str, str]) -> None:
    names = [["true negative", "false positive"], ["false negative", "true positive"]]
    for row in (0, 1):
        for column in (0, 1):
            color = SKY if row == column else ORANGE
            axis.add_patch(Rectangle((column, row), 0.96, 0.96, facecolor=color, alpha=0.45))
            said = f"{table[row, column]}\n{names[row][column]}"
            axis.text(column + 0.48, row + 0.48, said, ha="center", va="center")
    axis.set(xlim=(0, 2), ylim=(2, 0), title="the confusion table")
    axis.set_xticks([0.48, 1.48], [f"called {name}" for name in outcomes])
    axis.set_yticks([0.48, 1.48], [f"is {name}" for name in outcomes], rotation=90, va="center")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


@styled
def unet(levels: int = 3, *, edge: int = 64, width: int = 8) -> Figure:
    """A U-Net: resolutions down and up again, with the bridges between them.

    Parameters
    ----------
    levels : int
        Resolutions; each has half the edge of the one above, and twice the feature maps.
    edge : int
        Of the image, in pixels.
    width : int
        Feature maps at full resolution.

    References
    ----------
    Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(unet(2, edge=64, width=8))
    'U-Net of 2 resolutions: 64 pixels with 8 maps, 32 pixels with 16 maps.'
    """
    figure, axes = new_figure(7.6, 0.9 + 0.85 * levels)
    axis, last = axes[0, 0], 2 * (levels - 1)
    sizes = [(edge // 2**k, width * 2**k) for k in range(levels)]
    for k in range(last + 1):
        level = min(k, last - k)
        pixels, maps = sizes[level]
        high = 0.75 * 0.85**level
        axis.add_patch(Rectangle((k - 0.3, -level - high / 2), 0.6, high, facecolor=SKY, alpha=0.5))
        axis.text(k, -level, f"{pixels}²\n{maps} maps", ha="center", va="center", fontsize=8)
        if k < last:
            _arrow(axis, (k + 0.32, -level), (k + 0.68, -min(k + 1, last - k - 1)), GRAY)
        if k < levels - 1:
            _arrow(axis, (k + 0.32, -level + 0.15), (last - k - 0.32, -level + 0.15), VERMILION)
    axis.text(-0.5, 0, "image", ha="right", va="center")
    axis.text(last + 0.5, 0, "mask", ha="left", va="center")
    axis.plot([], [], color=GRAY, label="convolve, then halve or double")
    axis.plot([], [], color=VERMILION, label="bridge: detail is handed over")
    axis.set(xlim=(-1.1, last + 1.1), ylim=(-levels + 0.4, 0.6))
    axis.set_axis_off()
    figure.legend(loc="outside lower center", ncols=2)
    said = ", ".join(f"{pixels} pixels with {maps} maps" for pixels, maps in sizes)
    return described(figure, f"U-Net of {levels} resolutions: {said}.")


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], color: str) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": color, "lw": 1.4})
