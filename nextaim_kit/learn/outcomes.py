"""What a binary measure is given: outcomes of both kinds, and a score for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError


def checked(y: ArrayLike, p: ArrayLike) -> tuple[NDArray, NDArray]:
    """Outcomes as 0.0/1.0, shape (n,), and scores, shape (n, repeats), after a look at both."""
    outcome, score = np.asarray(y, float), np.asarray(p, float)
    if outcome.ndim != 1 or score.ndim not in (1, 2) or len(score) != len(outcome):
        raise DataError(
            "outcomes and predictions do not match",
            expected="one prediction per outcome",
            found=f"shapes {outcome.shape} and {score.shape}",
        )
    if np.isnan(score).any() or np.isnan(outcome).any():
        raise DataError("an outcome or a prediction is missing", mend="drop those patients first")
    if set(np.unique(outcome)) != {0.0, 1.0}:
        counts = dict(zip(*np.unique(outcome, return_counts=True), strict=True))
        raise DataError(
            "a binary measure needs both outcomes",
            expected="outcomes 0 and 1",
            found=", ".join(f"{n} times {value:g}" for value, n in counts.items()),
        )
    return outcome, score.reshape(len(outcome), -1)
