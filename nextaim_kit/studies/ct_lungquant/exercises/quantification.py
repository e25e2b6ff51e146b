"""What the exercises on quantification expect, from the reader's own tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk

from nextaim_kit.show.feedback import feedback
from nextaim_kit.studies.ct_lungquant.measures import Found


def check_volume(answer: Any, found: Found) -> None:
    """Volume of the right lung in ml, from voxels and spacing."""
    expected = np.count_nonzero(found.lungs == 1) * np.prod(found.scan.spacing) / 1000
    hint = "count the voxels that are 1, times the product of the spacing in mm, over 1000"
    feedback(answer, float(expected), tolerance=1e-6, hint=hint)


def check_consolidation(answer: Any, found: Found, hu: float) -> None:
    """Share of the lesions' voxels from some HU on."""
    affected = sitk.GetArrayViewFromImage(found.scan.image)[found.lesions > 0]
    hint = "take the HU where found.lesions > 0; which share of them is at least the limit?"
    feedback(
        answer, float((affected >= hu).mean()) if affected.size else None, tolerance=1e-6, hint=hint
    )


def check_near_border(answer: Any, values: pd.DataFrame, points: float, borders: Any) -> None:
    """Patients whose involvement is within some points of a border between classes."""
    away = np.abs(values["involvement"].to_numpy()[:, None] - np.asarray(borders)).min(axis=1)
    hint = "for each patient the smallest distance to a border; count those up to `points`"
    feedback(answer, int((away <= points).sum()), hint=hint)


def check_whole_patient(answer: Any, row: pd.Series) -> None:
    """Involvement of a patient from that of each lung: weighted by their volumes; NaN without."""
    affected = row["involvement_right"] * row["right_ml"] + row["involvement_left"] * row["left_ml"]
    expected = affected / (row["right_ml"] + row["left_ml"])
    hint = "lungs differ in size: weight each side's involvement by its volume"
    feedback(answer, float(expected), tolerance=1e-6, hint=hint)
