"""How near maps of connectivity come to others, where the target lies, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.learn.intervals import SHARE, Measure, Weights, interval, mean_interval
from nextaim_kit.learn.intervals import summary as mean_summary
from nextaim_kit.learn.segmentation import agreement, dice
from nextaim_kit.studies.thalamus_tractography.cases import Case, Tracking, head_of, in_box
from nextaim_kit.studies.thalamus_tractography.definitions import TARGETS, box_affine
from nextaim_kit.studies.thalamus_tractography.diffusion import prepare
from nextaim_kit.studies.thalamus_tractography.reference import directions_of
from nextaim_kit.studies.thalamus_tractography.regions import regions_of
from nextaim_kit.studies.thalamus_tractography.series import read_map, read_reversed, read_series
from nextaim_kit.studies.thalamus_tractography.space import register
from nextaim_kit.studies.thalamus_tractography.targeting import Networks, predict
from nextaim_kit.studies.thalamus_tractography.tracking import track

LEVELS = (0.25, 0.5, 0.75)  # of a map's own largest value
MAIN = 0.5
AIMED = TARGETS.index("precentral")
_BINS = np.linspace(0, 1, 11)
_ANEW = 7  # seed of what is tracked for its time: other streamlines than those learned from


def above(shares: NDArray, level: float = MAIN) -> NDArray[np.bool_]:
    """Voxels of a map with at least this part of its largest value; none of an empty map."""
    return (shares >= level * shares.max()) & (shares > 0)


def target_point(shares: NDArray) -> NDArray[np.float64]:
    """Center of a map in mm of the left box, shape (3,): where an electrode would be aimed.

    The mean place of the voxels above half of the largest share, each weighted by its own. Of an
    empty map it is the middle of the box.
    """
    places = np.argwhere(above(shares))
    if not len(places):
        middle = (np.array(shares.shape) - 1) / 2
    else:
        middle = np.average(places, axis=0, weights=shares[tuple(places.T)])
    affine = box_affine("left")
    return affine[:3, :3] @ middle + affine[:3, 3]


def scores(
    found: NDArray, reference: NDArray, thalamus: NDArray[np.bool_]
) -> list[dict[str, float | str]]:
    """Each map of a subject against the same of a reference.

    Parameters
    ----------
    found, reference : array of shape (38, 60, 48, 6)
    thalamus : array of bool
        Where values are compared.

    Returns
    -------
    list of dict
        ``target``; ``dice_25``, ``dice``, ``dice_75`` at these percentages of each map's own
        largest value (50 without a number), ``surface_dsc`` (within 1 mm) and ``hd95`` (mm) at 50,
        ``volume``, the excess at 50 as a share of the reference's, ``correlation`` and ``error``
        (mean absolute) over the thalamus' voxels.
    """
    rows = []
    for k, name in enumerate(TARGETS):
        mine, other = found[..., k], reference[..., k]
        one, two = above(mine), above(other)
        near = agreement(two, one, tolerance=1.0)
        row: dict[str, Any] = {"target": name, "dice": near["dsc"]}
        row |= {f"dice_{100 * level:.0f}": dice(above(other, level), above(mine, level))
                for level in LEVELS if level != MAIN}  # fmt: skip
        row |= {"surface_dsc": near["surface_dsc"], "hd95": near["hd95"],
                "volume": one.sum() / max(two.sum(), 1) - 1,
                "correlation": _correlation(mine[thalamus], other[thalamus]),
                "error": float(np.abs(mine - other)[thalamus].mean())}  # fmt: skip
        rows.append(row)
    return rows


def compared(
    ways: Mapping[str, Sequence[NDArray]],
    references: Mapping[str, Sequence[NDArray]],
    masks: Mapping[str, NDArray],
) -> pd.DataFrame:
    """`scores` of every way against every reference, and the distance of its target from theirs.

    Parameters
    ----------
    ways, references : mapping of str to sequence of array of shape (38, 60, 48, 6)
        By name; of the subjects in the order of `masks`. A way is not compared with itself.
    masks : mapping of str to array of bool
        The thalamus of each subject, by name.

    Returns
    -------
    DataFrame
        ``way``, ``against``, ``subject``, the columns of `scores`, and ``mm``: of the precentral
        map alone, between both `target_point`.
    """
    rows = []
    for (way, mine), (against, other) in product(ways.items(), references.items()):
        if way == against:
            continue
        for (subject, mask), one, two in zip(masks.items(), mine, other, strict=True):
            said = {"way": way, "against": against, "subject": subject}
            for k, row in enumerate(scores(one, two, mask)):
                points = (target_point(maps[..., k]) for maps in (one, two))
                mm = np.linalg.norm(np.subtract(*points)) if k == AIMED else np.nan
                rows.append({**said, **row, "mm": float(mm)})
    return pd.DataFrame(rows)


def _correlation(one: NDArray, other: NDArray) -> float:
    """Pearson's; 0 where one of both does not vary, since it says nothing of the other."""
    if one.std() < 1e-9 or other.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def summary(table: pd.DataFrame, by: Sequence[str], **how: Any) -> pd.DataFrame:
    """Means with intervals over subjects (`learn.intervals.summary`).

    Parameters
    ----------
    table : DataFrame
        Rows of `scores` with ``subject``.
    by : sequence of str
    **how
        ``n_boot`` and ``seed``.
    """
    ends = {name: SHARE for name in map(str, table) if name.startswith(("dice", "surface"))}
    ends |= {"correlation": (-1, 1), "error": SHARE}
    ends |= {name: (0, np.inf) for name in map(str, table) if name.startswith("hd95")}
    numbers = table.drop(columns={"mm", "target"} - set(by), errors="ignore")
    return mean_summary(numbers, by, groups="subject", bounds=ends, **how)


def target_errors(table: pd.DataFrame, by: Sequence[str], **how: Any) -> pd.DataFrame:
    """Median, 95th percentile and share above 2 mm of ``mm``, with intervals over subjects.

    Parameters
    ----------
    table : DataFrame
        ``mm`` and the columns of `by`; a row for each subject.
    by : sequence of str
    **how
        ``n_boot`` and ``seed``.

    Returns
    -------
    DataFrame
        The columns of `by`, ``metric`` (target_mm, target_mm_95, target_beyond_2mm), ``value``,
        ``low``, ``high`` and ``n``. With few subjects the 95th percentile is about the largest.
    """
    rows = []
    for names, part in table[table["mm"].notna()].groupby(list(by), sort=False):
        mm = part["mm"].to_numpy()
        for metric, share in (("target_mm", 50), ("target_mm_95", 95)):
            value, *ends = interval(_percentile(mm, share), len(mm), **how)
            ends = ends if len(mm) > 1 else [np.nan, np.nan]  # one subject has no interval
            rows.append((*names, metric, value, *ends, len(mm)))
        rows.append((*names, "target_beyond_2mm", *mean_interval(mm > 2), len(mm)))
    return pd.DataFrame(rows, columns=[*by, "metric", "value", "low", "high", "n"])


def _percentile(values: NDArray, share: float) -> Measure:
    """A percentile of values of shape (n,), as `numpy.percentile` has it of those drawn."""
    ordered, order = np.sort(values), np.argsort(values, kind="stable")
    below, part = divmod((len(values) - 1) * share / 100, 1)

    def measure(w: Weights) -> NDArray:
        up_to = np.cumsum(w[:, order], axis=1)
        low, high = (ordered[(up_to > at).argmax(axis=1)] for at in (below, below + (part > 0)))
        return low + part * (high - low)

    return measure


def calibration(
    found: Sequence[NDArray], references: Sequence[NDArray], masks: Sequence[NDArray]
) -> pd.DataFrame:
    """What is found where a share is predicted: ``predicted``, ``found``, ``voxels`` in ten bins.

    Parameters
    ----------
    found, references : sequence of array of shape (38, 60, 48, 6)
        Of each subject.
    masks : sequence of array of bool
        Where they are compared.
    """
    said = np.concatenate([one[mask].ravel() for one, mask in zip(found, masks, strict=True)])
    true = np.concatenate([one[mask].ravel() for one, mask in zip(references, masks, strict=True)])
    place = np.clip(np.digitize(said, _BINS) - 1, 0, len(_BINS) - 2)
    table = pd.DataFrame({"bin": place, "predicted": said, "found": true, "voxels": 1})
    how = {"predicted": "mean", "found": "mean", "voxels": "sum"}
    return table.groupby("bin").agg(how).reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """Mean distance of what is predicted from what is found, over the voxels of all bins."""
    off = (bins["predicted"] - bins["found"]).abs()
    return float(np.average(off, weights=bins["voxels"]))


def measured(
    networks: Networks, cases: Sequence[Case], *, prefix: str = "", **how: Any
) -> pd.DataFrame:
    """All that networks are measured by on some subjects, as `run.metrics` takes it.

    Parameters
    ----------
    networks : Networks
    cases : sequence of Case
    prefix : str
        Of the metrics' names.
    **how
        ``n_boot`` and ``seed``.

    Returns
    -------
    DataFrame
        ``metric``, ``value``, ``low``, ``high``, ``n``: of the thalamus as `outlines` has it, Dice
        of the precentral map and of all, correlation, and the target's error, against tracking
        where there are labels, and, with ``truth_`` before the name, against the truth.
    """
    found = [predict(one.t1, one.tensors, networks, one.side) for one in cases]
    table = compared({"networks": [one.maps for one in found]}, references_of(cases),
                     {one.subject: one.thalamus for one in cases})  # fmt: skip
    masks = outlines([one.mask for one in found], cases)
    several = [summary(masks.assign(against="tracking"), ["against"], **how)]
    aimed = table[table["target"] == TARGETS[AIMED]]
    for part, only in ((aimed, ["dice"]), (table, ["dice", "correlation"])):
        means = summary(part, ["against"], **how)
        means = means[means["metric"].isin(only)]
        several.append(means.assign(metric=means["metric"] + "_precentral" * (part is aimed)))
    several.append(target_errors(table, ["against"], **how))
    every = pd.concat(several)
    before = np.where(every.pop("against") == "truth", "truth_", "")
    return every.assign(metric=prefix + before + every["metric"])


def outlines(masks: Sequence[NDArray[np.bool_]], cases: Sequence[Case]) -> pd.DataFrame:
    """The thalamus of each subject against the reference's.

    Returns
    -------
    DataFrame
        ``subject``, ``dice_thalamus``, ``surface_dsc_thalamus`` (within 1 mm), ``hd95_thalamus``
        (mm), ``volume_thalamus``, the excess as a share of the reference's.
    """
    rows = []
    for mask, case in zip(masks, cases, strict=True):
        near = agreement(case.thalamus, mask, tolerance=1.0)
        row = {"dice": near["dsc"], "surface_dsc": near["surface_dsc"], "hd95": near["hd95"],
               "volume": mask.sum() / case.thalamus.sum() - 1}  # fmt: skip
        named = {f"{name}_thalamus": value for name, value in row.items()}
        rows.append({"subject": case.subject, **named})
    return pd.DataFrame(rows)


def references_of(cases: Sequence[Case]) -> dict[str, list[NDArray]]:
    """Maps of all subjects by "tracking" and by the "truth", where they have them."""
    both = {"tracking": [one.labels for one in cases], "truth": [one.truth for one in cases]}
    return {
        name: [one for one in maps if one is not None]
        for name, maps in both.items()
        if not any(one is None for one in maps)
    }


def race(
    row: Mapping[str, Any], case: Case, networks: Networks, how: Tracking, counts: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Time tracking and networks on one head, each from the raw series on.

    Parameters
    ----------
    row : mapping
        As for `cases.read_case`, with what `cases.with_heads` adds.
    case : Case
        Of the same subject, with its truth.
    networks : Networks
    how : Tracking
        What is tracked along; nothing is counted for finding directions.
    counts : sequence of int
        Streamlines launched in a voxel.

    Returns
    -------
    tracking : DataFrame
        ``per_voxel``, ``seconds``, and ``agreement``: the mean correlation of the six maps with
        the truth.
    others : dict
        ``preparation``: seconds from the raw series to tensors, and of T1's registration, which
        both need; ``prediction``, and the networks' ``agreement``.
    """
    clock = time.perf_counter
    head = {name: value for name, value in head_of(row).items() if value != ""}
    began = clock()
    series = read_series(head)
    made = prepare(series, read_reversed(head, series), how.steps)
    _ = made.tensors
    t1, place = read_map(head["t1"])
    register(made.b0, series.affine, t1, place)
    others = {"preparation": clock() - began}
    began = clock()
    found = predict(case.t1, case.tensors, networks, case.side)
    others |= {"prediction": clock() - began, "agreement": agreement_of(found.maps, case)}
    along, _, _ = directions_of(head, how, _ANEW)
    regions, _ = regions_of(head, case.side, along.affine, along.inside.shape)
    rows = []
    for count in counts:
        began = clock()
        lines = track(along, regions, replace(how.walk, per_voxel=count), seed=_ANEW)
        spent = clock() - began
        maps = in_box(lines.maps, along.affine, case.side, lines.seed)
        rows.append((count, spent, agreement_of(maps, case)))
    return pd.DataFrame(rows, columns=["per_voxel", "seconds", "agreement"]), others


def agreement_of(maps: NDArray, case: Case) -> float:
    """Mean correlation of the six maps with the truth, in the thalamus."""
    if case.truth is None:
        return float("nan")
    return mean_correlation(maps, case.truth, case.thalamus)


def mean_correlation(maps: NDArray, truth: NDArray, inside: NDArray[np.bool_]) -> float:
    """Of several maps, shape (x, y, z, map), each with its own in the truth, within a mask."""
    pairs = zip(np.moveaxis(maps[inside], -1, 0), np.moveaxis(truth[inside], -1, 0), strict=True)
    return float(np.mean([_correlation(one, two) for one, two in pairs]))


def at_equal_agreement(tracking: pd.DataFrame, wanted: float) -> tuple[float, bool]:
    """Seconds until tracking agrees with the truth as well as wanted, and whether it ever does.

    Read off the line between the counts that were tried; if it never does, the longest.
    """
    best = np.maximum.accumulate(tracking["agreement"].to_numpy())
    seconds = tracking["seconds"].to_numpy()
    if best[-1] < wanted:
        return float(seconds[-1]), False
    return float(np.interp(wanted, best, seconds)), True
