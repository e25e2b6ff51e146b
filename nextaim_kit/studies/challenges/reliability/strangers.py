"""Who is not like those learned from: four detectors, one of them of two numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch.nn.functional import interpolate

from nextaim_kit.learn.metrics import auc_interval
from nextaim_kit.learn.study_task import StudyTask, load_task
from nextaim_kit.show.style import CYCLE, GRAY, LIGHT, described, new_figure, styled
from nextaim_kit.studies.challenges.reliability.models import Model, Rows
from nextaim_kit.studies.challenges.reliability.spoiling import (
    SEVERITIES,
    Scale,
    as_taken,
    spoiled,
    usable,
)

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]
BASELINE = "mean and SD"
_NEIGHBORS = 5
_CONSTANT = 1e-3  # of all features' spread: less is none
_FINDINGS = {"small": 1 / 16, "large": 1 / 8}  # radius, as a share of the edge
_OTHERS = ("breast_masses", "cxr_severity")  # studies of images, to be strangers to each other


def detectors(model: Model, task: StudyTask, rows: Rows) -> dict[str, Score]:
    """Scores of how strange an input is, fitted on the inputs that were learned from.

    ``mean and SD`` is how far these two numbers of an input lie from those learned from. The
    ``energy`` of a model of one logit is its confidence, of the other sign, and no more: what
    it adds to all outcomes' logits alike is not told by one (Liu et al. 2020, arXiv:2010.03759).
    ``Mahalanobis`` is the smaller distance from the two outcomes' means before the last layer,
    of one covariance, shrunken (Lee et al. 2018, arXiv:1807.03888). ``kNN`` is the distance from
    the fifth nearest there (Sun et al. 2022, arXiv:2204.06507).
    """
    x, y = task.x[rows], task.y[rows]
    two, deep = Distance(_two(model, x), np.zeros(len(x))), model.deep(x)
    far, near = Distance(deep, y), _Neighbors(deep)
    return {
        BASELINE: lambda new: two(_two(model, new)),
        "energy": lambda new: -np.abs(model.logits(new)),
        "Mahalanobis": lambda new: far(model.deep(new)),
        "kNN": lambda new: near(model.deep(new)),
    }


def _two(model: Model, x: NDArray[np.float32]) -> NDArray[np.float64]:
    seen = model.seen(x)
    count = np.maximum((~np.isnan(seen)).sum(1), 1)
    mean = np.nansum(seen, 1) / count
    return np.stack([mean, np.sqrt(np.nansum((seen - mean[:, None]) ** 2, 1) / count)], 1)


class Distance:
    """Squared Mahalanobis distance from the nearest of some means, of one shrunken covariance.

    Parameters
    ----------
    known : array of shape (n, d)
    kind : array of shape (n,)
        Which mean each is of.
    """

    def __init__(self, known: NDArray[np.float64], kind: ArrayLike) -> None:
        from sklearn.covariance import LedoitWolf

        kinds, member = np.unique(np.asarray(kind), return_inverse=True)
        # What is the same in all but for rounding has no spread of its own.
        self.scale = np.maximum(known.std(0), max(_CONSTANT * known.std(), 1e-9))
        known = known / self.scale
        self.means = np.stack([known[member == k].mean(0) for k in range(len(kinds))])
        within = known - self.means[member]
        self.precision = LedoitWolf(assume_centered=True).fit(within).precision_

    def __call__(self, new: NDArray[np.float64]) -> NDArray[np.float64]:
        off = (new / self.scale)[:, None] - self.means
        return np.einsum("nkd,de,nke->nk", off, self.precision, off).min(axis=1)


class _Neighbors:
    def __init__(self, known: NDArray[np.float64]) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.near = NearestNeighbors(n_neighbors=min(_NEIGHBORS, len(known)))
        self.near.fit(self._unit(known))

    def __call__(self, new: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.near.kneighbors(self._unit(new))[0][:, -1]

    @staticmethod
    def _unit(deep: NDArray[np.float64]) -> NDArray[np.float64]:
        return deep / np.maximum(np.linalg.norm(deep, axis=1, keepdims=True), 1e-12)


def strange_inputs(
    task: StudyTask, rows: Rows, scale: Scale, patients: int, *, seed: int = 0
) -> tuple[dict[str, NDArray[np.float32]], pd.DataFrame]:
    """Inputs that nobody should trust an answer to.

    Spoiled at the lowest and the highest severity; of images those with a finding that nobody
    learned from (`with_finding`), and another study's twin, as it is and brought to the same mean
    and SD, where two numbers know nothing.

    Returns
    -------
    inputs : dict of str to array
    left_out : DataFrame
        ``name``, ``why``.
    """
    names, ends = usable(task)[0]["name"], (SEVERITIES[0], SEVERITIES[-1])
    found = {
        f"{name}, severity {severity}": spoiled(task, rows, name, severity, scale, seed=seed)
        for name in names
        for severity in ends
    }
    if task.modality == "table":
        out = [("another study", "its columns are others"),
               ("unseen finding", "for images")]  # fmt: skip
        return found, pd.DataFrame(out, columns=["name", "why"])
    for edge, size_of in _FINDINGS.items():
        ringed = with_finding(task.x[rows], size_of, seed=seed)
        found[f"unseen finding, {edge}"] = as_taken(ringed, task.x[rows], scale)
    name = next(other for other in _OTHERS if other != task.name)
    other = load_task(name, "synthetic", patients, seed)
    size = tuple(task.x.shape[2:])
    x = interpolate(torch.from_numpy(other.x), size, mode="bilinear", antialias=True).numpy()
    found["another study"] = x
    found["another study, same mean and SD"] = matched(x, task.x[rows], seed=seed)
    return found, pd.DataFrame(columns=["name", "why"])


def with_finding(x: NDArray[np.float32], radius: float, *, seed: int = 0) -> NDArray[np.float32]:
    """Images with a ring-shaped shadow that no image learned from has: a near stranger.

    Drawn into the image itself, at a place that holds something, as brain and abdominal images
    are changed for the Medical Out-of-Distribution challenge (Zimmerer et al. 2022,
    doi:10.1109/TMI.2022.3170077).

    Parameters
    ----------
    x : array of shape (n, 1, h, w)
    radius : float
        As a share of the edge.
    """
    rng, out = np.random.default_rng(seed), x.copy()
    grid = np.indices(x.shape[2:])
    for image in out[:, 0]:
        holds = np.argwhere(image != image[0, 0])
        at = rng.choice(holds) if len(holds) else np.array(image.shape) // 2
        away = np.hypot(*(grid - at[:, None, None])) / (radius * image.shape[-1])
        ring = np.exp(-((away - 1) ** 2) / 0.18) * (away < 2)
        image += (2 * image.std() * ring * (image != image[0, 0])).astype(np.float32)
    return out


def matched(
    x: NDArray[np.float32], like: NDArray[np.float32], *, seed: int = 0
) -> NDArray[np.float32]:
    """Images given the means and SDs of others, one drawn for each."""
    axes = (1, 2, 3)
    drawn = like[np.random.default_rng(seed).integers(0, len(like), len(x))]
    mean, sd = (getattr(x, of)(axis=axes, keepdims=True) for of in ("mean", "std"))
    wanted = [getattr(drawn, of)(axis=axes, keepdims=True) for of in ("mean", "std")]
    return ((x - mean) / np.maximum(sd, 1e-9) * wanted[1] + wanted[0]).astype(np.float32)


def told_apart(
    detectors: Mapping[str, Score], known: NDArray[np.float32],
    strangers: Mapping[str, NDArray[np.float32]], *, n_boot: int = 500, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """How well each detector tells strangers from those tested.

    Returns
    -------
    DataFrame
        ``strangers``, ``name`` (detector), ``n`` (strangers), ``value``, ``low``, ``high`` (AUC),
        ``above``, ``above_low``, ``above_high`` (of the AUC of `BASELINE`, paired), ``fpr95``
        (share of the tested who are taken for strangers where 95 in 100 strangers are found).
    """
    at_home = {name: score(known) for name, score in detectors.items()}
    rows = []
    for of, x in strangers.items():
        label = np.repeat([0, 1], [len(known), len(x)])
        scores = {n: np.concatenate([at_home[n], s(x)]) for n, s in detectors.items()}
        for name in detectors:
            found = compared(label, scores[name], scores[BASELINE], n_boot=n_boot, seed=seed)
            cut = np.quantile(scores[name][label == 1], 0.05)
            rows.append((of, name, len(x), *found, float((at_home[name] >= cut).mean())))
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = ["strangers", "name", "n", "value", "low", "high",
            "above", "above_low", "above_high", "fpr95"]  # fmt: skip


def compared(label: ArrayLike, score: ArrayLike, baseline: ArrayLike, **how: Any) -> tuple:
    """AUC of a score with its interval, and what it is above a baseline's, paired."""
    import warnings

    with warnings.catch_warnings():  # a detector below chance is a finding here, not a mistake
        warnings.simplefilter("ignore", UserWarning)
        found = auc_interval(label, score, **how)
        above = auc_interval(label, score, other=baseline, **how)
    return *found, *above


@styled
def apart_picture(apart: pd.DataFrame, *, title: str = "") -> Figure:
    """What `told_apart` found: a panel for each detector, a line for each kind of strangers."""
    names, kinds = apart["name"].unique(), list(apart["strangers"].unique())
    figure, axes = new_figure(2.6 + 1.9 * len(names), 1.2 + 0.27 * len(kinds), 1, len(names),
                              sharex=True, sharey=True)  # fmt: skip
    said = []
    for k, name in enumerate(names):
        axis, part = axes[0, k], apart[apart["name"] == name]
        color = GRAY if name == BASELINE else CYCLE[0]
        at = [kinds.index(kind) for kind in part["strangers"]]
        axis.axvline(0.5, color=LIGHT, linewidth=1.2, zorder=0)
        axis.hlines(at, part["low"], part["high"], color=color, linewidth=2)
        axis.plot(part["value"], at, "o", color=color, markersize=5)
        axis.set(title=name, xlabel="AUC", xlim=(0, 1.02))
        said.append(f"{name} {part['value'].min():.2f} to {part['value'].max():.2f}")
    axes[0, 0].set_yticks(range(len(kinds)), kinds)
    axes[0, 0].invert_yaxis()
    figure.suptitle(title)
    return described(figure, f"AUC of strangers by detector, 0.5 is chance: {'; '.join(said)}.")
