"""Inputs spoiled as scanners, tables and people spoil them, in five severities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nextaim_kit.errors import RequestError
from nextaim_kit.learn.intervals import mean_interval
from nextaim_kit.learn.metrics import auc_interval
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.show.distributions import histograms
from nextaim_kit.show.picture_grid import gallery
from nextaim_kit.studies.challenges.reliability.judged import Fitted, Told
from nextaim_kit.studies.challenges.reliability.models import Model, Rows

SEVERITIES = (1, 2, 3, 4, 5)
Rng = np.random.Generator
Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scale:
    """What the inputs that were learned from are like: of images numbers, of a table columns.

    Attributes
    ----------
    spread, low, high : float or array of shape (features,)
    alone : bool
        Whether each image was brought to mean 0 and SD 1, where it holds anything, by itself.
    """

    spread: Any
    low: Any
    high: Any
    alone: bool = False

    @classmethod
    def of(cls, task: StudyTask, rows: Rows) -> Scale:
        """Spread is that of the middle half, as a normal distribution's; of images the SD."""
        x = task.x[rows].astype(float)
        if task.modality == "image":
            held = [image[inside] for image, inside in zip(x, holds(x), strict=True)]
            alone = all(abs(h.mean()) < 1e-3 and abs(h.std() - 1) < 1e-2 for h in held)
            return cls(x.std(), x.min(), x.max(), alone)
        quarters = np.nanpercentile(np.where(np.isnan(x).all(0), 0, x), [25, 75], axis=0)
        spread = (quarters[1] - quarters[0]) / 1.349
        return cls(spread, None, None)


def holds(x: Array) -> NDArray[np.bool_]:
    """Where images, shape (n, 1, h, w), hold anything: what is not their corner's value."""
    return np.asarray(x != x[..., :1, :1])


def as_taken(made: Array, x: Array, scale: Scale) -> NDArray[np.float32]:
    """Changed images as the study would hand them over, where it standardizes each by itself.

    What spoils an image comes before that. Left out, the mean and SD would tell any spoiled image
    from all others, which no hospital's would.

    Parameters
    ----------
    made, x : arrays of shape (n, 1, h, w)
        Changed, and as they were.
    scale : Scale
    """
    if not scale.alone:
        return np.asarray(made, np.float32)
    out = np.array(x, np.float64)
    for image, inside, new in zip(out, holds(x), made, strict=True):
        seen = new[inside]
        image[inside] = (seen - seen.mean()) / max(float(seen.std()), 1e-9)
    return out.astype(np.float32)


@dataclass(frozen=True)
class Spoil:
    """A way to spoil inputs.

    Attributes
    ----------
    modality : {"image", "table"}
    what : str
    levels : tuple of float
        Of the five severities.
    change : callable
        Of one image (h, w) or a whole table, a level, a `Scale` and a generator.
    """

    modality: str
    what: str
    levels: tuple[float, ...]
    change: Callable[[Array, float, Scale, Rng], Array]


def _noise(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    return x + level * scale.spread * rng.standard_normal(x.shape)


def _blur(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    return gaussian_filter(x, level * x.shape[0])


def _exposure(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    """Brighter, and what would be brighter than the detector can tell is all alike."""
    return np.minimum(x + level * scale.spread, x.mean() + 2.5 * scale.spread)


def _truncation(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    side = int(rng.integers(4))
    turned = np.rot90(x, side).copy()
    turned[: round(level * len(turned))] = scale.low
    return np.rot90(turned, -side)


def _metal(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    down, right = np.indices(x.shape) / len(x)
    found = x.copy()
    for y, z, angle in rng.random((int(level), 3)) * (1, 1, np.pi):
        off = abs((down - y) * np.cos(angle) + (right - z) * np.sin(angle))
        near = np.hypot(down - y, right - z)
        found[(near < 0.05) | ((off < 0.012) & (near < 0.3))] = scale.high + scale.spread
    return found


def _missing(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    return np.where(rng.random(x.shape) < level, np.nan, x)


def _offset(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    return x + level * scale.spread * rng.standard_normal(x.shape[1])


def _rounding(x: Array, level: float, scale: Scale, rng: Rng) -> Array:
    step = level * np.asarray(scale.spread)
    return np.where(step > 0, np.round(x / np.where(step > 0, step, 1)) * step, x)


SPOILS: dict[str, Spoil] = {
    "noise": Spoil("image", "fewer photons: noise, in SD of the images",
                   (0.2, 0.4, 0.7, 1.1, 1.6), _noise),
    "blur": Spoil("image", "motion or a coarser kernel: SD of the blur, share of the height",
                  (0.01, 0.02, 0.035, 0.055, 0.08), _blur),
    "exposure": Spoil("image", "too much light: shift in SD, all alike above 2.5 SD",
                      (0.3, 0.7, 1.2, 1.8, 2.4), _exposure),
    "truncation": Spoil("image", "a side out of the field: share of the image",
                        (0.05, 0.1, 0.2, 0.3, 0.4), _truncation),
    "metal": Spoil("image", "wires and buttons: how many", (1, 2, 4, 7, 11), _metal),
    "missing": Spoil("table", "values not measured: share", (0.05, 0.1, 0.2, 0.35, 0.5), _missing),
    "scanner": Spoil("table", "another scanner: one offset for each column, in SD",
                     (0.1, 0.25, 0.5, 0.8, 1.2), _offset),
    "jitter": Spoil("table", "a less exact measurement: noise, in SD",
                    (0.1, 0.25, 0.5, 0.8, 1.2), _noise),
    "rounding": Spoil("table", "written down coarsely: step in SD",
                      (0.25, 0.5, 1.0, 1.5, 2.5), _rounding),
}  # fmt: skip


def usable(task: StudyTask) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ways for this task's kind of inputs, and those left out, by name.

    Returns
    -------
    used, left_out : DataFrame
        ``name``, ``what`` and ``name``, ``why``.
    """
    used = [(n, s.what) for n, s in SPOILS.items() if s.modality == task.modality]
    out = [(n, f"for {s.modality}s") for n, s in SPOILS.items() if s.modality != task.modality]
    return (pd.DataFrame(used, columns=["name", "what"]),
            pd.DataFrame(out, columns=["name", "why"]))  # fmt: skip


def spoiled(
    task: StudyTask, rows: Rows, name: str, severity: int, scale: Scale, *, seed: int = 0
) -> NDArray[np.float32]:
    """Inputs of some rows, spoiled; a severer one spoils the same places more.

    Raises
    ------
    RequestError
        If there is no such way for this kind of inputs, or no such severity.
    """
    if name not in SPOILS or SPOILS[name].modality != task.modality:
        of = [n for n, s in SPOILS.items() if s.modality == task.modality]
        raise RequestError(f"a {task.modality} cannot be spoiled by {name!r}",
                           expected=", ".join(of))  # fmt: skip
    if severity not in SEVERITIES:
        raise RequestError(f"no severity {severity}", expected="1 to 5")
    one = SPOILS[name]
    x, level = task.x[rows].astype(float), one.levels[severity - 1]
    if task.modality == "table":
        return one.change(x, level, scale, np.random.default_rng(seed)).astype(np.float32)
    made = [one.change(image[0], level, scale, np.random.default_rng([seed, int(row)]))
            for image, row in zip(x, rows, strict=True)]  # fmt: skip
    return as_taken(np.stack(made)[:, None], x, scale)


def robustness(
    model: Model, fitted: Fitted, task: StudyTask, rows: Rows, scale: Scale,
    *, n_boot: int = 500, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """What is left of a model's discrimination and coverage when inputs are spoiled.

    Returns
    -------
    DataFrame
        ``name``, ``severity``; ``auc``, ``auc_low``, ``auc_high``; ``lost``, ``lost_low``,
        ``lost_high`` (of the AUC of the same patients unspoiled, paired); ``coverage`` with its
        ends; ``both``, the share of sets with both outcomes.
    """
    clean = Told.by(model, task, rows, fitted)
    how: dict[str, Any] = {"groups": clean.groups, "n_boot": n_boot, "seed": seed}
    found = []
    for name in usable(task)[0]["name"]:
        for severity in SEVERITIES:
            x = spoiled(task, rows, name, severity, scale, seed=seed)
            told = Told.by(model, task, rows, fitted, x)
            auc = auc_interval(told.y, told.logit, **how)
            lost = auc_interval(told.y, clean.logit, other=told.logit, **how)
            covered = mean_interval(told.covered, groups=told.groups, seed=seed)
            both = float(told.sets.all(axis=1).mean())
            found.append((name, severity, *auc, *lost, *covered, both))
    parts = [
        f"{name}{end}" for name in ("auc", "lost", "coverage") for end in ("", "_low", "_high")
    ]
    return pd.DataFrame(found, columns=["name", "severity", *parts, "both"])


def looked_at(
    task: StudyTask, rows: Rows, scale: Scale, severities: Sequence[int] = (1, 3, 5), seed: int = 0
) -> Figure:
    """One image spoiled in each way, or a column of a table before and after."""
    names = usable(task)[0]["name"].tolist()
    if task.modality == "image":
        one = rows[:1]
        pictures = [spoiled(task, one, n, s, scale, seed=seed)[0, 0]
                    for s in severities for n in names]  # fmt: skip
        titles = [f"{n}, severity {s}" for s in severities for n in names]
        return gallery(pictures, titles, columns=len(names))
    column = int(np.argmax(np.isfinite(task.x).mean(0)))
    told = {"as it was": task.x[rows, column]}
    for name in names:
        told[name] = spoiled(task, rows, name, 3, scale, seed=seed)[:, column]
    values = np.concatenate([v[np.isfinite(v)] for v in told.values()])
    edges = np.histogram_bin_edges(values[abs(values - np.median(values))
                                          <= 4 * values.std()], 20)  # fmt: skip
    counts = {n: np.histogram(v[np.isfinite(v)], edges)[0] for n, v in told.items()}
    return histograms(counts, edges, xlabel=task.names[column], ylabel="items")
