"""Measured values beside the truth, where there is one: of the twin, or from masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError, KitError
from nextaim_kit.learn.agreement import limits_of_agreement
from nextaim_kit.learn.intervals import BOUNDS, SHARE
from nextaim_kit.learn.intervals import summary as mean_summary
from nextaim_kit.learn.segmentation import dice
from nextaim_kit.studies.ct_lungquant.masks import read_masks
from nextaim_kit.studies.ct_lungquant.measures import CONSOLIDATED_HU, Found, count, kind

KNOWN = ("right_ml", "left_ml", "lesions_ml", "involvement", "ct_ss", "consolidation", "type")
SIDES_CORRECT = 0.99  # of a patient's lungs, from which its sides count as right
_FEWEST = 3
_OVERLAPS = ("dsc_lungs", "dsc_lesions")


class Truth:
    """What a cohort knows of its patients: ``truth_...`` columns, masks, or nothing.

    Parameters
    ----------
    cohort : DataFrame
        ``subject``; where known ``truth_...`` of the values in `KNOWN`, and the paths ``lungs``
        (1: the patient's right, 2: left) and ``lesions`` of masks on the image's grid.
    consolidated_hu : float
        As the method takes it: it tells what the masks' lesions are of.
    """

    def __init__(self, cohort: pd.DataFrame, *, consolidated_hu: float = CONSOLIDATED_HU) -> None:
        self._rows = {str(row["subject"]): row for row in cohort.to_dict("records")}
        self._hu = consolidated_hu

    def __call__(self, subject: str, found: Found) -> dict[str, Any]:
        """Truth of one patient, as ``truth_...``, and how well the masks of what was `found` fit.

        Returns
        -------
        dict
            Empty where nothing is known. ``dsc_lungs``, ``dsc_lesions`` and ``sides_correct``, the
            share of the lungs' voxels that are on the side where they were found, with masks only;
            masks that cannot be used are named in ``warnings``.
        """
        row = self._rows[subject]
        known = {f"truth_{k}": row[f"truth_{k}"] for k in KNOWN if f"truth_{k}" in row}
        if not all(isinstance(row.get(k), str) and row[k] for k in ("lungs", "lesions")):
            return known
        before = found.values.get("warnings", "")
        try:
            masks = read_masks(row["lungs"], row["lesions"], found.scan.image, subject=subject)
        except KitError as error:
            return known | {
                "warnings": "; ".join(filter(None, [before, f"not compared: {error.what}"]))
            }
        lungs, lesions, remarks = masks
        said = {"warnings": "; ".join(filter(None, [before, *remarks]))} if remarks else {}
        known = known or _counted(found, lungs, lesions, self._hu)
        return known | _overlap(found, lungs, lesions) | said


def _counted(found: Found, lungs: NDArray, lesions: NDArray, hu: float) -> dict[str, Any]:
    """Values by the very counting that the method's masks get."""
    dense = sitk.GetArrayViewFromImage(found.scan.image) >= hu
    kinds = np.where(lesions > 0, 1 + dense, 0).astype(np.uint8)
    values = count(lungs, kinds, found.scan.spacing) | kind(kinds)
    return {f"truth_{name}": values[name] for name in KNOWN}


def _overlap(found: Found, lungs: NDArray, lesions: NDArray) -> dict[str, float]:
    both = (lungs > 0) & (found.lungs > 0)
    common = int(np.count_nonzero(both))
    right = int(np.count_nonzero(both & (lungs == found.lungs)))
    return {
        "dsc_lungs": dice(lungs > 0, found.lungs > 0),
        "dsc_lesions": dice(lesions > 0, found.lesions > 0),
        "sides_correct": right / common if common else np.nan,
    }


def compared(values: pd.DataFrame) -> pd.DataFrame:
    """Rows of the patients whose truth is known, with the errors.

    Those whose CTs a network has learned from are left out.

    Returns
    -------
    DataFrame
        With ``error`` of the involvement in points, and ``volume_error`` of both lungs in %.
    """
    needed = ["truth_involvement", "truth_right_ml", "truth_left_ml"]
    if not set(needed) <= set(values):
        return values.iloc[:0].assign(error=[], volume_error=[])
    there = values[[*needed, "involvement"]].notna().all(axis=1)
    if "seen_in_training" in values:
        there &= ~values["seen_in_training"].astype(bool)
    known = values[there].reset_index(drop=True)
    true_ml = known["truth_right_ml"] + known["truth_left_ml"]
    return known.assign(
        error=known["involvement"] - known["truth_involvement"],
        volume_error=100 * (known["lungs_ml"] / true_ml - 1),
    )


def without_truth(values: pd.DataFrame) -> pd.DataFrame:
    """Measured values without what is known beside them: what goes to other notebooks."""
    beside = [c for c in values if str(c).startswith(("truth_", "dsc_")) or c == "sides_correct"]
    return values.drop(columns=beside)


def left_out_median(truth: ArrayLike) -> NDArray[np.float64]:
    """For each patient the median of all others: the trivial baseline.

    Raises
    ------
    DataError
        If there is one patient only.
    """
    truth = np.asarray(truth, float)
    if len(truth) < 2:
        raise DataError("one patient has no median of others", expected="two patients or more")
    return np.array([np.median(np.delete(truth, k)) for k in range(len(truth))])


def summary(known: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How well values and truth agree over the patients.

    Parameters
    ----------
    known : DataFrame
        As `compared` gives it, three patients or more.
    n_boot : int
        Resamples of the patients.
    seed : int

    Returns
    -------
    DataFrame
        ``metric``, ``value``, ``low``, ``high`` (95 %: bootstrap over patients for means,
        exact for shares), ``n``, ``unit``.

    Raises
    ------
    DataError
        If there are fewer than three patients.
    """
    if len(known) < _FEWEST:
        raise DataError(
            "too few patients to be compared with a truth",
            expected=f"{_FEWEST} or more",
            found=str(len(known)),
        )
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    bounds = dict.fromkeys(_OVERLAPS, SHARE)
    means = mean_summary(_counted_of(known).assign(all=True), "all", bounds=bounds, **how)
    means = means.drop(columns="all")
    limits = limits_of_agreement(known["involvement"], known["truth_involvement"], **how)
    limits = limits[limits["metric"] != "widening"].assign(n=len(known))
    limits["metric"] = "involvement_" + limits["metric"]
    table = pd.concat([means, limits], ignore_index=True)
    units = {"lung_volume_error": "%"} | dict.fromkeys(
        ["involvement_mae", *limits["metric"]], "points"
    )
    return table.assign(unit=table["metric"].map(units).fillna(""))


def _counted_of(known: pd.DataFrame) -> pd.DataFrame:
    """What is averaged over the patients: errors, overlaps, and whether a value is right."""
    counted = {
        "involvement_mae": known["error"].abs(),
        "lung_volume_error": known["volume_error"].abs(),
        **{name: known[name] for name in _OVERLAPS if name in known},
    }
    for name in ("ct_ss", "type"):
        if f"truth_{name}" in known:
            counted[f"{name}_accuracy"] = known[name] == known[f"truth_{name}"]
    if "sides_correct" in known:
        sides = known["sides_correct"]
        counted["sides_correct"] = (sides >= SIDES_CORRECT).astype("boolean").where(sides.notna())
    return pd.DataFrame(counted)


def moved(
    reference: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    *,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How far values of the same patients move when they are scanned in another way.

    Parameters
    ----------
    reference : DataFrame
        Values as `quantification.quantify` gives them.
    others : mapping of str to DataFrame
        By what was changed.
    n_boot : int
        Resamples of the patients.
    seed : int

    Returns
    -------
    DataFrame
        ``group``, what was changed; ``name`` and ``metric`` of the mean absolute change of the
        lungs' volume (%), of the involvement (points) and of the share of consolidation (points);
        ``value``, ``low``, ``high``, ``n``. Last, by group, the share of the patients in % that
        get another type.
    """
    changes = pd.concat({group: _changes(reference, v) for group, v in others.items()})
    table = changes.reset_index(0, names="group")
    found = mean_summary(table, "group", n_boot=n_boot, seed=seed)
    found.loc[found["metric"] == "type", BOUNDS] *= 100
    found.insert(1, "name", found["metric"].map(_CHANGED))
    return found


_CHANGED = {
    "volume": "lung volume (%)",
    "involvement": "involvement (points)",
    "consolidation": "consolidation (points)",
    "type": "another type (%)",
}


def _changes(reference: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    both = reference.merge(others, on="subject", suffixes=("", "_other"))
    consolidation = (both["consolidation_other"] - both["consolidation"]).astype(float)
    return pd.DataFrame({
        "volume": 100 * (both["lungs_ml_other"] / both["lungs_ml"] - 1).abs(),
        "involvement": (both["involvement_other"] - both["involvement"]).abs(),
        "consolidation": 100 * consolidation.abs(),
        "type": both["type"] != both["type_other"],
    })  # fmt: skip
