"""How right software is: masks against masks, and values against what the masks say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from nextaim_kit.errors import DataError
from nextaim_kit.learn.intervals import SHARE
from nextaim_kit.learn.intervals import summary as mean_summary
from nextaim_kit.learn.segmentation import agreement, dice
from nextaim_kit.studies.ct_lungquant import threshold
from nextaim_kit.studies.ct_lungquant.masks import read_masks
from nextaim_kit.studies.ct_lungquant.measures import Maps, count, measure
from nextaim_kit.studies.ct_lungquant.networks.nets import BOX_GRID
from nextaim_kit.studies.ct_lungquant.networks.preparing import Prepared, whole
from nextaim_kit.studies.ct_lungquant.resampling import coarse, placed
from nextaim_kit.studies.ct_lungquant.scans import Scan, read_ct

Segment = Callable[[Scan], Maps]
TOLERANCE_MM = 5.0  # of the published surface DSC
MASKS = ("lungs", "right", "left", "lesions")
_SPACING = (4.0, 4.0, 4.0)


def average(cases: Sequence[Prepared]) -> Segment:
    """The trivial baseline: lungs and lesions where most training scans have them.

    Parameters
    ----------
    cases : sequence of Prepared

    Returns
    -------
    callable
        Gives the same share of every scan, whatever is in it.
    """
    total = torch.zeros(3, *BOX_GRID)
    for case in cases:
        lungs, ill = (case.part(name, whole(case.shape))[0] for name in ("lungs", "lesions"))
        masks = torch.stack([lungs == 1, lungs == 2, ill > 0]).float()
        total += interpolate(masks[None], BOX_GRID, mode="trilinear", align_corners=False)[0]
    mean = total[None] / len(cases)

    def segment(scan: Scan) -> Maps:
        image = coarse(scan.image, _SPACING)
        size = image.GetSize()[::-1]
        shares = interpolate(mean, size, mode="trilinear", align_corners=False)[0].numpy()
        right, left, ill = (placed(share, image) for share in shares)
        return Maps(right, left, ill)

    return segment


def baselines(cases: Sequence[Prepared]) -> dict[str, Segment]:
    """The trivial baseline, the `average` of training cases, and the simplest serious one."""
    return {"average": average(cases), "threshold": threshold.segment}


def scores(table: pd.DataFrame, ways: Mapping[str, Segment]) -> pd.DataFrame:
    """Compare several ways with a cohort's masks, at the CTs' own voxels.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, ``image``, ``lungs``, ``lesions``.
    ways : mapping of str to callable

    Returns
    -------
    DataFrame
        By ``way`` and ``subject``: ``dsc_lungs``, ``dsc_right``, ``dsc_left``, ``dsc_lesions``,
        ``surface_dsc_lungs``, ``surface_dsc_lesions`` (at 5 mm), ``involvement`` and
        ``truth_involvement`` in %, ``ct_ss``, ``truth_ct_ss``. Where a way
        finds no lung its masks are empty, its involvement is as wrong as can be, its class 0.
    """
    rows = []
    for row in table.itertuples():
        scan = read_ct(str(row.image))
        lungs, ill = masks_of(row, scan)
        truth = _masks(lungs, ill)
        known = count(lungs, ill, scan.spacing)
        for way, segment in ways.items():
            found = attempt(segment, scan)
            same = {"way": way, "subject": row.subject, "site": row.site}
            rows.append(same | _compared(truth, _masks(*found), scan) | _values(found, known, scan))
    return pd.DataFrame(rows)


def masks_of(row: Any, scan: Scan) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lungs (1: right, 2: left) and lesions within them, shape (z, y, x), of a cohort's row."""
    lungs, ill, _ = read_masks(str(row.lungs), str(row.lesions), scan.image, subject=row.subject)
    return lungs, ill


def _masks(lungs: NDArray, lesions: NDArray) -> dict[str, NDArray[np.bool_]]:
    masks = (lungs > 0, lungs == 1, lungs == 2, lesions > 0)
    return dict(zip(MASKS, masks, strict=True))


def attempt(segment: Segment, scan: Scan) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Masks of lungs and lesions, shape (z, y, x); empty ones where no lung is found."""
    try:
        found = measure(scan, segment(scan))
    except DataError:  # no lung: nothing agrees, which is what the scores then say
        empty = np.zeros(scan.image.GetSize()[::-1], np.uint8)
        return empty, empty
    return found.lungs, found.lesions


def _compared(truth: Mapping, found: Mapping, scan: Scan) -> dict[str, float]:
    said: dict[str, float] = {}
    for name in ("lungs", "lesions"):
        one = agreement(
            truth[name], found[name], tolerance=TOLERANCE_MM, spacing=scan.spacing[::-1]
        )
        said |= {f"dsc_{name}": one["dsc"], f"surface_dsc_{name}": one["surface_dsc"]}
    for name in ("right", "left"):
        said[f"dsc_{name}"] = dice(truth[name], found[name])
    return said


def _values(found: tuple[NDArray, NDArray], known: Mapping, scan: Scan) -> dict[str, Any]:
    own = count(*found, scan.spacing)
    # Where no lung was found, nothing is right: the farthest value, and a class that there is not.
    farthest = 100.0 if known["involvement"] < 50 else 0.0
    return {
        "involvement": own["involvement"] if own["lungs_ml"] else farthest,
        "truth_involvement": known["involvement"],
        "ct_ss": own["ct_ss"] or 0,
        "truth_ct_ss": known["ct_ss"],
    }


def summary(table: pd.DataFrame, *, n_boot: int, seed: int) -> pd.DataFrame:
    """Means over patients with bootstrap intervals, CT-SS with the exact one.

    Parameters
    ----------
    table : DataFrame
        As `scores` gives it.
    n_boot, seed : int

    Returns
    -------
    DataFrame
        ``way, metric, value, low, high, n``; ``dsc_lesions_affected``: over patients with lesions.
    """
    overlaps = [c for c in map(str, table) if c.startswith(("dsc_", "surface_dsc_"))]
    bounds = dict.fromkeys([*overlaps, "dsc_lesions_affected"], SHARE)
    counted = table[["way", *overlaps]].assign(
        dsc_lesions_affected=table["dsc_lesions"].where(table["truth_involvement"] > 0),
        involvement_mae=(table["involvement"] - table["truth_involvement"]).abs(),
        ct_ss_accuracy=table["ct_ss"] == table["truth_ct_ss"],
    )
    return mean_summary(counted, "way", bounds=bounds, n_boot=n_boot, seed=seed)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """A summary with a row for each metric and a column for each way."""
    shown = table.pivot(index="metric", columns="way", values="value")
    return shown.loc[list(dict.fromkeys(table["metric"])), list(dict.fromkeys(table["way"]))]
