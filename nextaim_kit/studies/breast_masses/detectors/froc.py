"""How well marks find masses: recall against false marks, with intervals over patients.

A mark that hits a mass already hit is neither another hit nor false (FROC); in average precision,
whose convention is COCO's, it is false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import (
    BOUNDS,
    SHARE,
    Measure,
    Weights,
    interval,
    mean_interval,
    proportion_interval,
)
from nextaim_kit.studies.breast_masses.detectors.boxes import RULES, hits
from nextaim_kit.studies.breast_masses.mammograms.prepared import BOX, Pictures

PER_IMAGE = (0.25, 0.5, 1.0, 2.0, 4.0)
ENDS = {"IoU 0.5": "", "IoU 0.25": "_iou25", "center": "_center", "DBTex": "_dbtex"}


@dataclass(frozen=True)
class Judged:
    """Marks in the order of their scores, and what each of them finds.

    Attributes
    ----------
    images : int
        How many there are.
    image : array of int, shape (marks,)
        The row of the image that each mark is in.
    score : array of float, shape (marks,)
        Falling.
    false : array of bool, shape (marks,)
        It hits no mass.
    single : array of bool, shape (marks,)
        It is the best mark of a mass that no better mark is counted for.
    mass_image : array of int, shape (masses,)
    found_at : array of float, shape (masses,)
        Highest score of a mark that hits the mass; minus infinity where none does.
    """

    images: int
    image: NDArray[np.int64]
    score: NDArray[np.float64]
    false: NDArray[np.bool_]
    single: NDArray[np.bool_]
    mass_image: NDArray[np.int64]
    found_at: NDArray[np.float64]


def judge(marks: pd.DataFrame, masses: pd.DataFrame, spacing: NDArray, rule: str) -> Judged:
    """Compare marks with the true masses, image by image.

    Parameters
    ----------
    marks : DataFrame
        ``row`` (of the image), ``x0, y0, x1, y1``, ``score``.
    masses : DataFrame
        ``row`` and the same box.
    spacing : array of shape (images,)
        mm of a pixel, NaN where unknown.
    rule : str
        Of `boxes.RULES`.
    """
    marks = marks.sort_values("score", ascending=False, kind="stable")
    false, single = np.ones(len(marks), bool), np.zeros(len(marks), bool)
    found_at = np.full(len(masses), -np.inf)
    place, rows = marks["row"].to_numpy(int), masses["row"].to_numpy(int)
    boxes, truth, score = marks[BOX].to_numpy(), masses[BOX].to_numpy(), marks["score"].to_numpy()
    for image in np.unique(rows):
        mine, there = np.flatnonzero(place == image), np.flatnonzero(rows == image)
        hit = hits(boxes[mine], truth[there], rule, float(spacing[image]))
        false[mine] = ~hit.any(1)
        single[mine] = _alone(hit)
        scores = np.where(hit, score[mine][:, None], -np.inf)
        found_at[there] = scores.max(0, initial=-np.inf)
    return Judged(len(spacing), place, score, false, single, rows, found_at)


def _alone(hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks, best first, that hit a mass which no better mark has been counted for."""
    left, counted = np.ones(hit.shape[1], bool), np.zeros(len(hit), bool)
    for k, row in enumerate(hit):
        free = np.flatnonzero(row & left)
        if len(free):
            counted[k], left[free[0]] = True, False
    return counted


def curve(judged: Judged, which: NDArray | None = None) -> tuple[NDArray, NDArray]:
    """False marks per image and recall, as the threshold falls; a step for each score.

    `which` are the masses that count, by default all; false marks count everywhere.
    """
    false, recall = _steps(judged, which)(np.ones((1, judged.images)))
    return np.r_[0.0, false[0]], np.r_[0.0, recall[0]]


def _steps(
    judged: Judged, which: NDArray | None = None
) -> Callable[[Weights], tuple[NDArray, NDArray]]:
    """False marks per image and recall at each distinct score, for weights of images."""
    kept = np.ones(len(judged.found_at), bool) if which is None else np.asarray(which, bool)
    levels = np.unique(np.r_[judged.score, judged.found_at[np.isfinite(judged.found_at)]])[::-1]
    at_false = np.searchsorted(-levels, -judged.score[judged.false])
    in_false = judged.image[judged.false]
    seen = kept & np.isfinite(judged.found_at)
    at_mass = np.searchsorted(-levels, -judged.found_at[seen])
    in_mass = judged.mass_image[seen]
    per_image = np.bincount(judged.mass_image[kept], minlength=judged.images)

    def steps(w: Weights) -> tuple[NDArray, NDArray]:
        false, found = np.zeros((2, len(w), len(levels)))
        for row, weights in enumerate(w):
            false[row] = np.bincount(at_false, weights[in_false], len(levels))
            found[row] = np.bincount(at_mass, weights[in_mass], len(levels))
        with np.errstate(invalid="ignore"):
            return (false.cumsum(1) / w.sum(1, keepdims=True),
                    found.cumsum(1) / (w @ per_image)[:, None])  # fmt: skip

    return steps


def recall_at(judged: Judged, per_image: float, which: NDArray | None = None) -> Measure:
    """Largest recall with at most so many false marks an image, as a measure of image weights."""
    steps = _steps(judged, which)

    def measure(w: Weights) -> NDArray:
        false, recall = steps(w)
        # NaN where no mass is in a resample; 0 where there is no mark at all.
        return np.where(false <= per_image, recall, 0 * recall).max(1, initial=0.0)

    return measure


def average_precision(judged: Judged) -> Measure:
    """Area under precision over recall, precision being the best at that recall or a larger one.

    References
    ----------
    Everingham et al. 2010, doi:10.1007/s11263-009-0275-4 (from 2010 on: all points).
    """
    masses = np.bincount(judged.mass_image, minlength=judged.images)
    # Marks of one score cannot be told apart: precision is known where the next one is lower.
    ends = np.flatnonzero(np.diff(judged.score, append=-np.inf) < 0)

    def measure(w: Weights) -> NDArray:
        of = w[:, judged.image]
        right = (of * judged.single).cumsum(1)[:, ends]
        called = of.cumsum(1)[:, ends]
        precision = np.divide(right, called, out=np.zeros_like(right), where=called > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        gain = np.diff(right, axis=1, prepend=0)
        with np.errstate(invalid="ignore"):
            return (gain * best).sum(1) / (w @ masses)

    return measure


def threshold_for(judged: Judged, per_image: float) -> float:
    """The lowest score at which validation images have at most so many false marks each.

    Infinity where even the highest score has more. Between two scores any threshold does the
    same there; the middle of them is taken.
    """
    false = np.sort(judged.score[judged.false])[::-1]
    allowed = int(np.floor(per_image * judged.images + 1e-9))
    if allowed >= len(false):
        return 0.0
    above = judged.score[judged.score > false[allowed]]
    return float((false[allowed] + above.min()) / 2) if len(above) else float("inf")


def evaluate(
    marks: pd.DataFrame, pictures: Pictures, threshold: float, *, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """All that is told of a detector: ``metric, rule, group, value, low, high, n``.

    Parameters
    ----------
    marks : DataFrame
        As `judge` takes them.
    pictures : Pictures
    threshold : float
        Chosen on validation pictures.
    n_boot, seed : int
        Patients are resampled.

    Returns
    -------
    DataFrame
        By rule of a hit: ``recall_at_0.25`` ... ``recall_at_4`` false marks per image and ``ap``
        (for IoU), and what holds at the threshold: ``recall`` of masses in images, by size,
        margin and density of the breast as groups; ``recall_per_breast`` of masses in either view;
        ``false_marks`` per image and ``false_marks_normal``, of images without a mass.
    """
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    judged = {rule: judge(marks, pictures.masses, pictures.spacing, rule) for rule in RULES}
    patients = list(pictures.images["patient"])
    parts = [froc_table(judged, patients, **how)] if len(pictures.masses) else []
    parts.append(at_threshold(judged, threshold, pictures, **how))
    found = pd.concat(parts, ignore_index=True)
    return found[["metric", "rule", "group", *BOUNDS, "n"]]


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `evaluate` as a run's metrics: the rule ends their names, groups are left out."""
    whole = table[table["group"] == "all"]
    return whole.assign(metric=whole["metric"] + whole["rule"].map(ENDS)).drop(
        columns=["rule", "group"]
    )


def froc_table(
    judged: Mapping[str, Judged], patients: Sequence[str], *, n_boot: int, seed: int
) -> pd.DataFrame:
    """What does not depend on a threshold, with intervals.

    Parameters
    ----------
    judged : mapping of str to Judged
        By rule of a hit.
    patients : sequence of str
        Of each image; resampled as a whole.
    n_boot, seed : int
    """
    rows = []
    for rule, one in judged.items():
        measures = {f"recall_at_{f:g}": recall_at(one, f) for f in PER_IMAGE}
        if rule.startswith("IoU"):
            measures["ap"] = average_precision(one)
        for metric, measure in measures.items():
            found = _over_patients(measure, one.images, patients, n_boot, seed)
            rows.append((rule, metric, "all", *found, len(one.found_at)))
    return pd.DataFrame(rows, columns=["rule", "metric", "group", *BOUNDS, "n"])


def _over_patients(
    measure: Measure, n: int, patients: Sequence[str], n_boot: int, seed: int
) -> tuple[float, float, float]:
    value, low, high = interval(
        measure, n, groups=patients, n_boot=n_boot, seed=seed, mean_of=len(set(patients))
    )
    if low == high:  # none or all, as in every resample
        return proportion_interval(value * len(set(patients)), len(set(patients)))
    low, high = np.clip([low, high], *SHARE)
    return value, float(low), float(high)


def at_threshold(
    judged: Mapping[str, Judged], threshold: float, pictures: Pictures, *, n_boot: int, seed: int
) -> pd.DataFrame:
    """What holds at one threshold, with intervals."""
    images, masses = pictures.images, pictures.masses
    rows: list[tuple] = []

    def tell(rule: str, metric: str, group: str, values: pd.Series, who: Any, most: float) -> None:
        if len(values):
            how: dict[str, Any] = {"bounds": (0, most), "n_boot": n_boot, "seed": seed}
            found = mean_interval(values, groups=who, **how)
            rows.append((rule, metric, group, *found, len(values)))

    for rule, one in judged.items():
        found = pd.Series(one.found_at >= threshold, masses.index)
        for group, which in {"all": found.notna(), **kinds_of(images, masses)}.items():
            tell(rule, "recall", group, found[which], masses["patient"][which], 1)
        breasts = found.groupby([masses["patient"], masses["lesion"]]).any()
        tell(rule, "recall_per_breast", "all", breasts, breasts.index.get_level_values(0), 1)
        shown = one.image[one.false & (one.score >= threshold)]
        wrong = pd.Series(np.bincount(shown, minlength=one.images), images.index, dtype=float)
        normal = images["masses"] == 0
        tell(rule, "false_marks", "all", wrong, images["patient"], np.inf)
        who = images["patient"][normal]
        tell(rule, "false_marks_normal", "all", wrong[normal], who, np.inf)
    return pd.DataFrame(rows, columns=["rule", "metric", "group", *BOUNDS, "n"])


def kinds_of(images: pd.DataFrame, masses: pd.DataFrame) -> dict[str, pd.Series]:
    """Which masses are of which size, margin and breast's density; unknown ones are in none."""
    size = masses["diameter_mm"]
    density = images["density"].astype(float).to_numpy()[masses["row"].to_numpy(int)]
    kinds = {"below 15 mm": size < 15, "15 to 25 mm": (size >= 15) & (size < 25),
             "25 mm or more": size >= 25}  # fmt: skip
    kinds |= {f"{m} margin": masses["margin"] == m for m in sorted(set(masses["margin"]) - {""})}
    dense = pd.Series(density, masses.index)
    return kinds | {"density 1 or 2": dense <= 2, "density 3 or 4": dense >= 3}
