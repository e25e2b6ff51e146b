"""Figures of learning curves: measured, with the law that goes on where nobody was learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.show.distributions import histograms
from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.show.style import (
    CYCLE,
    DASHES,
    GRAY,
    LIGHT,
    MARKERS,
    described,
    new_figure,
    styled,
)
from nextaim_kit.studies.challenges.limited.law import Law
from nextaim_kit.studies.challenges.limited.patients import FURTHEST

_APART = 1.035  # of the patients, so that intervals of one size do not hide each other


@styled
def learning_curves(
    table: pd.DataFrame, laws: dict[str, Law] | None = None, *, title: str = ""
) -> Figure:
    """AUC over labeled patients, a line and its intervals for each method.

    Parameters
    ----------
    table : DataFrame
        Of `measuring.learning_curves`.
    laws : mapping of str to Law, optional
        By method: drawn on, thinner, to twice the patients.
    title : str
    """
    figure, axes = new_figure(6.8, 4.4)
    axis, said, most = axes[0, 0], [], int(table["patients"].max())
    names = list(dict.fromkeys(table["method"]))
    for k, name in enumerate(names):
        one, color = table[table["method"] == name].sort_values("patients"), CYCLE[k % len(CYCLE)]
        at = one["patients"].to_numpy(float) * _APART ** (k - (len(names) - 1) / 2)
        axis.vlines(at, one["low"], one["high"], color=color, linewidth=1.4, alpha=0.55)
        axis.plot(at, one["value"], color=color, linestyle=DASHES[k % len(DASHES)], label=name,
                  marker=MARKERS[k % len(MARKERS)], markersize=5)  # fmt: skip
        ends = one["value"].iloc[[0, -1]]
        said.append(f"{name} {ends.iloc[0]:.2f} to {ends.iloc[1]:.2f}")
        if laws and name in laws:
            further = np.geomspace(one["patients"].max(), FURTHEST * one["patients"].max(), 20)
            values = [laws[name].at(n)[0] for n in further]
            axis.plot(further, values, color=color, linewidth=1.0, linestyle=(0, (1, 1.5)))
    if laws:
        axis.axvspan(1.08 * most, FURTHEST * most, color=LIGHT, alpha=0.4, linewidth=0,
                     label="by the law, not measured")  # fmt: skip
    axis.axhline(0.5, color=GRAY, linewidth=1.0, linestyle=(0, (4, 2)), label="chance")
    axis.set(xlabel="labeled patients (validation included)", ylabel="AUC", title=title)
    _sizes(axis, [*table["patients"].unique().tolist(), *[int(FURTHEST * most)] * bool(laws)])
    figure.legend(loc="outside right upper", handlelength=2.8)
    return described(figure, f"AUC by labeled patients: {'; '.join(said)}.")


@styled
def draws_of_one(table: pd.DataFrame, *, title: str = "") -> Figure:
    """AUC of each draw of one method, size by size: what a single draw could have said.

    Parameters
    ----------
    table : DataFrame
        Of `measuring.of_each_draw`, of one method.
    title : str
    """
    figure, axes = new_figure(5.4, 3.6)
    axis = axes[0, 0]
    for k, draw in enumerate(table["draw"].unique().tolist()):
        one = table[table["draw"] == draw].sort_values("patients")
        axis.plot(one["patients"], one["auc"], color=CYCLE[k % len(CYCLE)], marker="o",
                  linestyle=DASHES[k % len(DASHES)], label=f"draw {draw + 1}")  # fmt: skip
    axis.set(xlabel="labeled patients", ylabel="AUC", title=title)
    _sizes(axis, table["patients"].unique().tolist())
    if table["draw"].nunique() <= len(CYCLE):
        figure.legend(loc="outside lower center", ncols=4)
    spread = table.groupby("patients")["auc"].agg(["min", "max"]).itertuples()
    said = [f"{n} patients {low:.2f} to {high:.2f}" for n, low, high in spread]
    return described(figure, f"AUC of single draws: {'; '.join(said)}.")


def looked_at(task: StudyTask, each: int = 5) -> Figure:
    """Some items of both outcomes: pictures with what decides, or one column of a table.

    Parameters
    ----------
    task : StudyTask
    each : int
        Pictures of each outcome.
    """
    if task.modality == "table":
        known = [name for name in task.truth or () if isinstance(name, str)] or task.names
        name = next((n for n in known if n not in task.missing.index), known[0])
        values = task.features[name].to_numpy(float)
        edges = np.histogram_bin_edges(values[~np.isnan(values)], 24)
        counts = {f"outcome {k}": np.histogram(values[task.y == k], edges)[0] for k in (0, 1)}
        return histograms(counts, edges, xlabel=name, ylabel="items")
    rows = np.concatenate([np.flatnonzero(task.y == of)[:each] for of in (0, 1)])
    truth = task.truth
    return gallery(
        [task.x[k, 0] for k in rows],
        [f"{task.groups[k]}: {task.y[k]}" for k in rows],
        outlines=[{"lesion": truth[k]} for k in rows] if isinstance(truth, np.ndarray) else (),
    )


def _sizes(axis: Axes, sizes: list[int]) -> None:
    """Patients on a logarithmic axis, each size by its number."""
    ticks = sorted(sizes)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{n:g}" for n in ticks])
    axis.minorticks_off()
    axis.grid(axis="y")
