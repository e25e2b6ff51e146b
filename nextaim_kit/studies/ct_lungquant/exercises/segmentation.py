"""What the exercises on segmentation expect, from the reader's own masks and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.show.feedback import feedback


def check_volume(answer: Any, mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> None:
    """Volume of a mask in ml."""
    hint = "voxels times the product of the spacing gives cubic millimeters; 1000 of them are 1 ml"
    expected = float(np.count_nonzero(mask) * np.prod(spacing) / 1000)
    feedback(answer, expected, hint=hint, tolerance=1e-4)


def check_worst(answer: Any, affected: pd.DataFrame) -> None:
    """Subject with the worst lesion Dice, and the error of its involvement in points."""
    worst = affected.nsmallest(1, "dsc_lesions")
    error = (worst["involvement"] - worst["truth_involvement"]).abs()
    expected = next((f"{s} {e:.2f}" for s, e in zip(worst["subject"], error, strict=True)), None)
    hint = "nsmallest of dsc_lesions gives the row; the error is |involvement - truth_involvement|"
    given = answer if answer is Ellipsis else _pair(answer)
    feedback(given, expected, hint=hint)


def _pair(answer: Any) -> str:
    try:
        subject, error = answer
        return f"{subject} {float(error):.2f}"
    except (TypeError, ValueError):
        return str(answer)


def check_error(answer: Any) -> None:
    """Involvement after a threefold error of a small lesion: 30 of 4000 ml taken for 90."""
    hint = "involvement is the lesions' share of the lungs: 90 / 4000 less 30 / 4000, in percent"
    feedback(answer, 1.5, hint=hint, tolerance=0.01)
