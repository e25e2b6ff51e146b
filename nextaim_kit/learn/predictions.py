"""Predictions of patients that were tested, once or in several repeats, as one kind of table.

Its columns are ``subject, site, fold, repeat, y, p, threshold``: a row per tested row and repeat.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def by_repeat(predictions: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    """Outcomes (n,), predictions and thresholds (n, repeats) of the patients, by subject.

    What `learn.metrics` takes; a patient of several rows, such as films, has their mean.
    """
    rows = predictions.groupby(["subject", "repeat"])[["y", "p", "threshold"]].mean()
    wide = rows.unstack("repeat")
    return wide["y"].to_numpy()[:, 0], wide["p"].to_numpy(), wide["threshold"].to_numpy()


def pooled(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per patient, by subject: ``subject, site, y, p, threshold, called``.

    `p` and `threshold` are means over repeats, to look at and to draw; measures are taken
    `by_repeat`. `called` tells if `p` reached the threshold in at least half of the repeats
    (with one repeat: if ``p >= threshold``).
    """
    rows = predictions.assign(called=predictions["p"] >= predictions["threshold"])
    by_patient = rows.groupby(["subject", "site", "y"], dropna=False)
    table = by_patient[["p", "threshold", "called"]].mean().reset_index()
    return table.assign(called=table["called"] >= 0.5)


def of_patients(subject: NDArray, values: NDArray) -> NDArray[np.float64]:
    """Mean of the rows of each patient, by subject."""
    return pd.Series(np.asarray(values, float)).groupby(np.asarray(subject)).mean().to_numpy()
