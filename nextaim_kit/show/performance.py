"""Figures of how well a model does: discrimination, calibration, utility, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nextaim_kit.errors import DataError
from nextaim_kit.show.style import (
    BLUE,
    CYCLE,
    DASHES,
    GRAY,
    LIGHT,
    MARKERS,
    VERMILION,
    described,
    new_figure,
    reference_lines,
    styled,
)

Measured = tuple[float, float, float]  # value, low, high


@styled
def roc(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    measured: Mapping[str, Measured] | None = None,
    *,
    title: str = "",
) -> Figure:
    """Receiver operating characteristic of one or more models.

    Parameters
    ----------
    curves : mapping of str to (y, p)
        By model: outcomes 0/1 and predicted scores, shape (n,) each.
    measured : mapping of str to (value, low, high), optional
        Each model's AUC with its interval, for the legend: of several repeats the mean, which the
        curve of their mean prediction does not have. By default the curve's own.
    title : str

    Raises
    ------
    DataError
        If a model's outcomes are of one class only.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(roc({"model": ([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])}))
    'ROC curves: model AUC 0.75.'
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = new_figure(5.4, 5.0)
    axis, said = axes[0, 0], []
    axis.plot([0, 1], [0, 1], color=LIGHT, linewidth=1.2, zorder=1)
    for i, (name, (y, p)) in enumerate(curves.items()):
        y, p = _outcomes(y, name), np.asarray(p, float)
        false_positive, true_positive, _ = roc_curve(y, p)
        area, *interval = (measured or {}).get(name) or (roc_auc_score(y, p), None, None)
        text = f"{name} AUC {area:.2f}" + _bracket(*interval)
        said.append(text)
        axis.plot(
            false_positive, true_positive,
            color=CYCLE[i % len(CYCLE)], linestyle=DASHES[i % len(DASHES)], label=text,
        )  # fmt: skip
    axis.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal", title=title)
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    if said:
        axis.legend(loc="lower right", handlelength=2.6)
    return described(figure, f"ROC curves: {'; '.join(said) or 'none'}.")


@styled
def calibration(
    y: ArrayLike, p: ArrayLike, *, name: str = "model", bins: int = 10, title: str = ""
) -> Figure:
    """Calibration curve in quantile bins with exact intervals, above the predictions' histogram.

    Parameters
    ----------
    y, p : array-like of shape (n,)
        Outcomes 0/1 and predicted probabilities.
    name : str
    bins : int
        Largest number of bins; fewer where predictions are tied.
    title : str

    References
    ----------
    Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7.

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(calibration([0, 0, 1, 1] * 5, [0.1, 0.3, 0.6, 0.8] * 5, bins=2))[:46]
    'Calibration of model in 2 bins of 20 patients:'
    """
    y, p = _outcomes(y, name), np.asarray(p, float)
    table = _calibration_bins(y, p, bins)
    figure, axes = new_figure(5.4, 5.6, 2, 1, sharex=True, height_ratios=[4, 1])
    above, below = axes[:, 0]
    above.plot([0, 1], [0, 1], color=LIGHT, linewidth=1.2, label="perfect")
    spread = np.clip([table.observed - table.low, table.high - table.observed], 0, None)
    above.errorbar(
        table.predicted, table.observed, yerr=spread, fmt="o-", color=BLUE, capsize=2.5,
        elinewidth=1.1, markersize=4.5, label=name,
    )  # fmt: skip
    above.set(ylabel="observed fraction", ylim=(-0.03, 1.03), xlim=(-0.02, 1.02), title=title)
    above.legend(loc="upper left")
    edges = np.linspace(0, 1, 26)
    below.hist([p[y == 0], p[y == 1]], edges, stacked=True, color=[LIGHT, VERMILION],
               label=["without the outcome", "with the outcome"])  # fmt: skip
    below.set(xlabel="predicted probability", ylabel="patients")
    below.legend(loc="upper right", fontsize=8)
    worst = table.iloc[(table.observed - table.predicted).abs().argmax()]
    return described(
        figure,
        f"Calibration of {name} in {len(table)} bins of {len(y)} patients: mean prediction "
        f"{p.mean():.2f}, observed {y.mean():.2f}; largest gap where {worst.predicted:.2f} is "
        f"predicted and {worst.observed:.2f} observed.",
    )


def _calibration_bins(y: np.ndarray, p: np.ndarray, bins: int) -> pd.DataFrame:
    from statsmodels.stats.proportion import proportion_confint

    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    where = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = pd.DataFrame({"y": y, "p": p}).groupby(where)
    table = groups.agg(predicted=("p", "mean"), observed=("y", "mean"), n=("y", "size"))
    counts = table.observed * table.n
    table["low"], table["high"] = proportion_confint(counts, table.n, method="beta")
    return table


@styled
def net_benefit(df: pd.DataFrame, *, title: str = "") -> Figure:
    """Net benefit over the threshold probability.

    Parameters
    ----------
    df : DataFrame
        Column ``threshold`` with either ``model`` and ``net_benefit`` or one column per model;
        ``treat all`` and ``treat none`` are drawn in gray.
    title : str

    References
    ----------
    Vickers and Elkin 2006, doi:10.1177/0272989X06295361.

    Examples
    --------
    >>> from nextaim_kit.learn.metrics import decision_curve
    >>> from nextaim_kit.show.style import alt_of
    >>> alt_of(net_benefit(decision_curve([0, 0, 0, 1], {"model": [0.1, 0.3, 0.6, 0.8]})))
    'Decision curves, net benefit by threshold: model reaches 0.25.'
    """
    long = df if "net_benefit" in df else df.melt("threshold", None, "model", "net_benefit")
    figure, axes = new_figure(5.6, 4.2)
    axis, said, colors = axes[0, 0], [], iter(range(100))
    for name, curve in long.groupby("model", sort=False):
        default = str(name).replace("_", " ").lower() in ("treat all", "treat none", "all", "none")
        i = 0 if default else next(colors)
        style = {"color": GRAY, "linewidth": 1.1} if default else {"color": CYCLE[i % len(CYCLE)]}
        dashes = ":" if "none" in str(name) else "-" if default else DASHES[i % len(DASHES)]
        label = str(name).replace("_", " ")
        axis.plot(curve.threshold, curve.net_benefit, linestyle=dashes, label=label, **style)
        best = curve.net_benefit.max()
        said += [] if default else [f"{label} reaches {best:.2f}"]
    top = max(long.net_benefit.max(), 0.01)
    axis.set(xlabel="threshold probability", ylabel="net benefit", title=title)
    axis.set(ylim=(-0.25 * top, 1.1 * top))
    axis.legend()
    return described(figure, f"Decision curves, net benefit by threshold: {'; '.join(said)}.")


@styled
def intervals(
    df: pd.DataFrame,
    *,
    xlabel: str = "value",
    reference: Sequence[tuple[float, str]] = (),
    log: bool = False,
    title: str = "",
) -> Figure:
    """Values with their intervals, one a line (forest plot).

    Parameters
    ----------
    df : DataFrame
        Columns ``name`` (or ``metric``), ``value``, and where known ``low``, ``high``; with
        ``group`` the lines of a group share a color and a mark.
    xlabel : str
        Quantity and unit.
    reference : sequence of (value, text)
        Vertical lines, such as ``(0.85, "published 0.85 [slides]")``.
    log : bool
        Logarithmic axis, for ratios.
    title : str

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> found = pd.DataFrame({"name": ["film", "age"], "value": [0.8, 0.7]})
    >>> found = found.assign(low=0.6, high=0.9)
    >>> alt_of(intervals(found, xlabel="AUC"))
    'AUC with intervals: film 0.80 [0.60, 0.90]; age 0.70 [0.60, 0.90].'
    """
    df = df.rename(columns={} if "name" in df else {"metric": "name"})
    groups = list(dict.fromkeys(df["group"])) if "group" in df else [None]
    first = df["name"].ne(df["name"].shift())  # lines of one name stand close, the name once
    height = first.map({True: 1.0, False: 0.7}).cumsum().to_numpy()
    key = 0.2 * (len(reference) + len(groups))
    figure, axes = new_figure(6.4, 1.3 + 0.32 * height.max(initial=1) + key)
    axis = axes[0, 0]
    for at, row in zip(height, df.to_dict("records"), strict=True):
        color, mark = _of_group(groups, row.get("group"))
        low, high = row.get("low", np.nan), row.get("high", np.nan)
        axis.plot([low, high], [at, at], color=color, linewidth=2, solid_capstyle="round")
        axis.plot(row["value"], at, mark, color=color, markersize=6)
    for group in groups if groups != [None] else []:
        color, mark = _of_group(groups, group)
        axis.plot([], [], f"{mark}-", color=color, label=str(group))
    reference_lines(axis, reference)
    places = pd.Series(height).groupby(first.cumsum().to_numpy()).mean()
    axis.set_yticks(places, df["name"][first].astype(str))
    axis.set(ylim=(height.max(initial=1) + 0.6, 0.4), xlabel=xlabel, title=title)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="y", length=0)
    if reference or groups != [None]:
        figure.legend(loc="outside lower right", ncols=1 if len(reference) > 1 else 2)
    if "group" in df and df["name"].duplicated().any():
        df = df.assign(name=df["name"] + " (" + df["group"].astype(str) + ")")
    lines = [f"{r['name']} {r['value']:.2f}" + _bracket(r.get("low"), r.get("high"))
             for r in df.to_dict("records")]  # fmt: skip
    marks = f" Reference: {', '.join(text for _, text in reference)}." if reference else ""
    return described(figure, f"{xlabel} with intervals: {'; '.join(lines)}.{marks}")


def _of_group(groups: list, group: object) -> tuple[str, str]:
    k = groups.index(group)
    return CYCLE[k % len(CYCLE)], MARKERS[k % len(MARKERS)]


@styled
def learning_curve(
    history: pd.DataFrame, *, best: int | None = None, metric: str = "loss", title: str = ""
) -> Figure:
    """A measure by epoch, for the training and the validation part.

    Parameters
    ----------
    history : DataFrame
        ``epoch``, and `metric` with and without ``val_`` before it, where there are.
    best : int, optional
        Epoch whose weights are kept.
    metric, title : str

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> history = pd.DataFrame({"epoch": [0, 1], "loss": [0.7, 0.5], "val_loss": [0.7, 0.6]})
    >>> alt_of(learning_curve(history, best=1))
    'loss over 2 epochs: training 0.7 to 0.5; validation 0.7 to 0.6.'
    """
    figure, axes = new_figure(5.4, 3.6)
    axis, said = axes[0, 0], []
    for name, part, color in (
        (metric, "training", BLUE), (f"val_{metric}", "validation", VERMILION)
    ):  # fmt: skip
        if name in history and len(history):
            axis.plot(history["epoch"], history[name], color=color, label=part)
            said.append(f"{part} {history[name].iloc[0]:.3g} to {history[name].iloc[-1]:.3g}")
    if not said:
        axis.text(0.5, 0.5, "not trained in this run", ha="center", transform=axis.transAxes)
        return described(figure, "Nothing was trained in this run.")
    if best is not None:
        axis.axvline(best, color=GRAY, linewidth=1, linestyle="--", label=f"best, epoch {best}")
    axis.set(xlabel="epoch", ylabel=metric, title=title)
    axis.legend()
    return described(figure, f"{metric} over {len(history)} epochs: {'; '.join(said)}.")


@styled
def curves(
    lines: Mapping[str, tuple[ArrayLike, ...]], *, xlabel: str, ylabel: str, title: str = ""
) -> Figure:
    """Curves of one quantity over another, such as a prediction while pixels are taken away.

    Parameters
    ----------
    lines : mapping of str to (x, y) or (x, y, low, high)
        With the ends of intervals, those of different curves stand a little apart.
    xlabel, ylabel : str
        Quantities and units.
    title : str

    Examples
    --------
    >>> from nextaim_kit.show.style import alt_of
    >>> lines = {"network": ([0, 1, 2], [1.0, 0.9, 0.5])}
    >>> alt_of(curves(lines, xlabel="frame", ylabel="accuracy"))
    'accuracy by frame: network 1.00 to 0.50.'
    """
    figure, axes = new_figure(5.4, 4.0)
    axis, said = axes[0, 0], []
    for i, (name, (x, y, *ends)) in enumerate(lines.items()):
        x, y = np.asarray(x, float), np.asarray(y, float)
        color, dash = CYCLE[i % len(CYCLE)], DASHES[i % len(DASHES)]
        said.append(f"{name} {y[0]:.2f} to {y[-1]:.2f}")
        if ends:
            x = x + 0.1 * np.diff(x).min(initial=1) * (i - (len(lines) - 1) / 2)
            axis.vlines(x, *ends, color=color, linewidth=1.4, alpha=0.7)
        axis.plot(x, y, color=color, linestyle=dash, label=name, marker="o" if ends else None,
                  markersize=4)  # fmt: skip
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    figure.legend(loc="outside lower center", ncols=min(3, len(lines)))
    return described(figure, f"{ylabel} by {xlabel}: {'; '.join(said)}.")


def _outcomes(y: ArrayLike, name: str) -> np.ndarray:
    outcomes = np.asarray(y).astype(int)
    if len(np.unique(outcomes)) != 2:
        raise DataError(
            f"the outcomes of {name!r} cannot be drawn against predictions",
            expected="two classes, 0 and 1",
            found=f"only {sorted(set(outcomes.tolist()))}",
        )
    return outcomes


def _bracket(low: float | None, high: float | None) -> str:
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return ""
    return f" [{low:.2f}, {high:.2f}]"
