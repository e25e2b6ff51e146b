"""How well marks find masses: recall against false marks, with intervals over patients.

A mark that hits a mass already hit is neither another hit nor false (FROC); in average precision,
whose convention is COCO's, it is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array

from nextaim_kit.learn.intervals import (
    BOUNDS,
    SHARE,
    Interval,
    Measure,
    Weights,
    mean_interval,
    proportion_interval,
    resampled,
    with_interval,
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


def curve(judged: Judged) -> tuple[NDArray, NDArray]:
    """False marks per image and recall, as the threshold falls; a step for each score."""
    levels = np.unique(np.r_[judged.score, judged.found_at])[::-1]
    levels = levels[np.isfinite(levels)]
    false, found = (
        len(scores) - np.searchsorted(np.sort(scores), levels)
        for scores in (judged.score[judged.false], judged.found_at)
    )
    with np.errstate(invalid="ignore"):
        return np.r_[0, false] / judged.images, np.r_[0, found] / len(judged.found_at)


def _reaching(judged: Judged, image: NDArray, score: NDArray, levels: NDArray) -> Measure:
    """How many scores reach each of the levels, which rise, by weights of the images."""
    highest = np.searchsorted(levels, score, side="right") - 1
    reach = highest >= 0
    ones, where = np.ones(reach.sum()), (image[reach], highest[reach])
    counts = coo_array((ones, where), (judged.images, len(levels))).tocsr()
    return lambda w: (w @ counts)[:, ::-1].cumsum(1)[:, ::-1]


def recalls_at(judged: Judged, per_image: Sequence[float]) -> Measure:
    """Largest recall with at most so many false marks an image, for each of several numbers.

    As a measure of image weights, a column for each number.
    """
    found = np.isfinite(judged.found_at)
    # Between two of these levels false marks come and no mass does.
    levels = np.unique(judged.found_at[found])
    false = _reaching(judged, judged.image[judged.false], judged.score[judged.false], levels)
    right = _reaching(judged, judged.mass_image[found], judged.found_at[found], levels)
    masses = np.bincount(judged.mass_image, minlength=judged.images)

    def measure(w: Weights) -> NDArray:
        there = (w @ masses)[:, None]
        with np.errstate(invalid="ignore"):
            wrong, recall = false(w) / w.sum(1, keepdims=True), right(w) / there
        best = [np.where(wrong <= most, recall, 0).max(1, initial=0) for most in per_image]
        return np.where(there > 0, np.stack(best, 1), np.nan)  # no mass is in a resample

    return measure


def average_precision(judged: Judged) -> Measure:
    """Area under precision over recall, precision being the best at that recall or a larger one.

    References
    ----------
    Everingham et al. 2010, doi:10.1007/s11263-009-0275-4 (from 2010 on: all points).
    """
    masses = np.bincount(judged.mass_image, minlength=judged.images)
    # Precision is best where a mass is found. Marks of one score cannot be told apart.
    levels = np.unique(judged.score[judged.single])
    called = _reaching(judged, judged.image, judged.score, levels)
    single = judged.image[judged.single], judged.score[judged.single]
    right = _reaching(judged, *single, levels)

    def measure(w: Weights) -> NDArray:
        found, all_ = right(w), called(w)
        precision = np.divide(found, all_, out=np.zeros_like(found), where=all_ > 0)
        best = np.maximum.accumulate(precision, axis=1)  # the lowest level first
        gain = -np.diff(found, axis=1, append=0)
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
    how: dict[str, Any] = {"groups": patients, "n_boot": n_boot, "seed": seed}
    rows = []
    for rule, one in judged.items():
        recalls = resampled(recalls_at(one, PER_IMAGE), one.images, **how)
        values = dict(zip((f"recall_at_{most:g}" for most in PER_IMAGE), recalls.T, strict=True))
        if rule.startswith("IoU"):
            values["ap"] = resampled(average_precision(one), one.images, **how)
        for metric, of in values.items():
            found = _of_shares(of, len(set(patients)))
            rows.append((rule, metric, "all", *found, len(one.found_at)))
    return pd.DataFrame(rows, columns=["rule", "metric", "group", *BOUNDS, "n"])


def _of_shares(values: NDArray, patients: int) -> Interval:
    value, low, high = with_interval(values, mean_of=patients)
    if low == high:  # none or all, as in every resample
        return proportion_interval(value * patients, patients)
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
