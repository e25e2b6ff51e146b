"""What each feature does to a prediction, by its SHAP values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.errors import DataError
from nextaim_kit.show.style import (
    GRAY,
    LOW_HIGH,
    described,
    new_figure,
    short_name,
    styled,
)


@styled
def shap_summary(
    values: ArrayLike, data: pd.DataFrame, *, top: int = 15, title: str = ""
) -> Figure:
    """SHAP values of each patient by feature, colored by the feature's rank among patients.

    Parameters
    ----------
    values : array-like of shape (n, p)
        SHAP values, in the unit of the model's output (log-odds for XGBoost).
    data : DataFrame of shape (n, p)
        The features that were explained.
    top : int
        Number of features shown, by mean absolute value.
    title : str

    Raises
    ------
    DataError
        If the shapes differ.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> features = pd.DataFrame({"size": [1.0, 2.0, 3.0], "age": [60.0, 50.0, 70.0]})
    >>> alt_of(shap_summary([[-0.5, 0.1], [0.0, 0.0], [0.5, -0.1]], features))
    'SHAP summary; strongest on average: size 0.33; age 0.07.'
    """
    values = np.asarray(values, float)
    if values.shape != data.shape:
        raise DataError(
            "SHAP values and features do not match",
            expected=f"shape {data.shape}",
            found=f"shape {values.shape}",
        )
    strength = np.abs(values).mean(axis=0)
    order = np.argsort(-strength, kind="stable")[:top]
    figure, axes = new_figure(6.8, 1.3 + 0.32 * len(order))
    axis = axes[0, 0]
    axis.axvline(0, color=GRAY, linewidth=0.8, zorder=1)
    for at, j in enumerate(order):
        rank = data.iloc[:, j].rank(pct=True).fillna(0.5).to_numpy()
        dots = axis.scatter(
            values[:, j], at + _swarm(values[:, j]), c=rank, cmap=LOW_HIGH, vmin=0, vmax=1,
            s=9, linewidths=0, alpha=0.85, zorder=2, rasterized=True,
        )  # fmt: skip
    names = [str(data.columns[j]) for j in order]
    axis.set_yticks(range(len(order)), [short_name(n) for n in names])
    axis.set(xlabel="SHAP value (effect on the model's output)", title=title)
    axis.set_ylim(len(order) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y")
    bar = figure.colorbar(dots, ax=axis, ticks=[0, 1], aspect=40, pad=0.02)
    bar.set_ticklabels(["low", "high"])
    bar.set_label("feature's value", labelpad=-12)
    bar.outline.set_visible(False)
    said = [f"{short_name(n)} {strength[j]:.2f}" for n, j in zip(names[:5], order, strict=False)]
    return described(figure, f"SHAP summary; strongest on average: {'; '.join(said)}.")


def _swarm(values: np.ndarray, width: float = 0.36) -> np.ndarray:
    """Offsets that spread dots of near values evenly, wider where there are more of them."""
    bins = np.digitize(values, np.linspace(values.min(), values.max(), 60))
    offsets, counts = np.zeros(len(values)), np.bincount(bins)
    for b in np.unique(bins):
        inside = np.flatnonzero(bins == b)
        half = width * counts[b] / counts.max()
        offsets[inside] = np.linspace(-half, half, len(inside) + 2)[1:-1]
    return offsets
