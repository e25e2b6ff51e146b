"""What the lesion network has learned beyond density, and what it does with a mirrored scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from matplotlib.figure import Figure

from nextaim_kit.learn.segmentation import dice
from nextaim_kit.show.style import BLUE, VERMILION, described, new_figure, styled
from nextaim_kit.studies.ct_lungquant.definitions import RIGHT
from nextaim_kit.studies.ct_lungquant.measures import Found, Maps, count
from nextaim_kit.studies.ct_lungquant.networks.scoring import attempt, masks_of
from nextaim_kit.studies.ct_lungquant.plausibility import doubts
from nextaim_kit.studies.ct_lungquant.scans import Scan, read_ct

Segment = Callable[[Scan], Maps]
BINS = np.arange(-1000, 101, 50)
DENSE_HU = -700  # well-aerated lung is below


def by_density(table: pd.DataFrame, ways: dict[str, Segment]) -> pd.DataFrame:
    """How often a voxel of the lungs is called affected, by its HU and by what it is.

    Parameters
    ----------
    table : DataFrame
        Of CTs with masks, as `preparing.prepare` gives it.
    ways : dict of str to callable

    Returns
    -------
    DataFrame
        By ``way``, ``truth`` (whether it is affected) and ``hu`` (the bin's middle): ``voxels``,
        ``called``, the share of them called affected.
    """
    count = len(BINS) - 1
    totals = {way: np.zeros((2, 2, count)) for way in ways}
    for row in table.itertuples():
        scan = read_ct(str(row.image))
        lungs, ill = masks_of(row, scan)
        hu = sitk.GetArrayViewFromImage(scan.image)
        lung = lungs > 0
        bins = np.clip((hu[lung] - BINS[0]) // 50, 0, count - 1)
        sick = ill[lung] > 0
        for way, segment in ways.items():
            called = attempt(segment, scan)[1][lung] > 0
            code = (sick * 2 + called) * count + bins
            totals[way] += np.bincount(code, minlength=4 * count).reshape(2, 2, count)
    rows = [
        (way, bool(sick), float(BINS[k] + 25), int(n[sick, :, k].sum()),
         float(n[sick, 1, k] / n[sick, :, k].sum()) if n[sick, :, k].sum() else np.nan)
        for way, n in totals.items() for sick in (0, 1) for k in range(count)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["way", "truth", "hu", "voxels", "called"])


def vessels_called_affected(table: pd.DataFrame, way: str) -> float:
    """Share of the healthy voxels as dense as lesions (vessels, borders) called affected."""
    dense = table[(table["way"] == way) & ~table["truth"] & (table["hu"] > DENSE_HU)]
    voxels = int(dense["voxels"].sum())
    return float((dense["voxels"] * dense["called"].fillna(0)).sum() / voxels) if voxels else 0.0


@styled
def density_figure(table: pd.DataFrame) -> Figure:
    """Draw the shares of `by_density`: affected and healthy voxels, each way beside the other."""
    figure, axes = new_figure(8.4, 3.6, 1, 2)
    said = []
    for axis, (sick, name) in zip(axes.flat, ((True, "lesions"), (False, "healthy")), strict=True):
        for (way, one), color, dashes in zip(
            table[(table["truth"] == sick) & (table["voxels"] >= 100)].groupby("way", sort=False),
            (BLUE, VERMILION), ("-", "--"), strict=False,
        ):  # fmt: skip
            axis.plot(one["hu"], 100 * one["called"], color=color, linestyle=dashes, label=way)
            said.append(f"{way}, {name}: {100 * one['called'].mean():.0f} % on average over bins")
        title = "voxels of lesions" if sick else "healthy voxels of the lungs"
        axis.set(xlabel="attenuation (HU)", ylabel="called affected, %", title=title)
        axis.set_ylim(-2, 102)
        axis.grid(axis="y")
    axes.flat[0].legend()
    return described(figure, f"Share of voxels called affected by density. {'; '.join(said)}.")


def mirrored(scan: Scan) -> Scan:
    """The scan with left and right exchanged, as a wrong orientation label would show it."""
    image = sitk.GetImageFromArray(sitk.GetArrayFromImage(scan.image)[:, :, ::-1])
    image.CopyInformation(scan.image)
    return replace(scan, image=image)


def mirrored_sides(row: Any, segment: Segment) -> dict[str, Any]:
    """How software tells the lungs of a scan whose left and right were exchanged.

    Parameters
    ----------
    row : named tuple
        ``subject``, ``image``, ``lungs``, ``lesions``.
    segment : callable

    Returns
    -------
    dict
        ``subject``; ``dsc_right``, the Dice coefficient of what it calls the right lung with what
        is the patient's right lung, which lies at the left now; ``warned``, whether `doubts` says
        that sides may be mislabeled.
    """
    original = read_ct(str(row.image))
    scan = mirrored(original)
    lungs, lesions = attempt(segment, scan)
    right = masks_of(row, original)[0][:, :, ::-1] == RIGHT
    said = doubts(Found(scan, lungs, lesions, count(lungs, lesions, scan.spacing)))
    warned = any("left and right" in one for one in said)
    return {"subject": row.subject, "dsc_right": dice(right, lungs == RIGHT), "warned": warned}
