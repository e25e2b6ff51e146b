"""How well readers agree: weighted kappa of pairs, intraclass correlation of all."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.studies.ct_lungquant.readers import SCALES


def agreement(readings: pd.DataFrame) -> pd.DataFrame:
    """How well a panel agrees on each label.

    Parameters
    ----------
    readings : DataFrame
        As `read_panel` gives them.

    Returns
    -------
    DataFrame
        By ``label``: ``kappa``, the mean over pairs of readers of Cohen's kappa with quadratic
        weights; ``kappa_low`` and ``kappa_high``, the worst and the best pair; ``icc``, the
        intraclass correlation of single readers, ICC(2,1), over the subjects whom all have
        read, of which there are ``n``; and ``missing``, the share of readings.

    References
    ----------
    Fleiss & Cohen 1973, doi:10.1177/001316447303300309; Shrout & Fleiss 1979,
    doi:10.1037/0033-2909.86.2.420.
    """
    rows = []
    for label, scale in SCALES.items():
        codes = readings[label].map({value: k for k, value in enumerate(scale)}).astype(float)
        table = readings.assign(code=codes).pivot(index="subject", columns="reader", values="code")
        x = table.to_numpy(float)
        pairs = [weighted_kappa(x[:, i], x[:, j]) for i, j in combinations(range(x.shape[1]), 2)]
        whole = x[~np.isnan(x).any(axis=1)]
        low, mean, high = np.nanmin(pairs), np.nanmean(pairs), np.nanmax(pairs)
        rows.append((label, mean, low, high, icc(whole), len(whole), float(np.isnan(x).mean())))
    columns = ["label", "kappa", "kappa_low", "kappa_high", "icc", "n", "missing"]
    return pd.DataFrame(rows, columns=columns)


def weighted_kappa(one: NDArray, other: NDArray) -> float:
    """Cohen's kappa with quadratic weights, over what both have read (not NaN); NaN if constant."""
    both = ~(np.isnan(one) | np.isnan(other))
    a, b = one[both], other[both]
    if not len(a):
        return float("nan")
    by_chance = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    return float(1 - ((a - b) ** 2).mean() / by_chance) if by_chance > 0 else float("nan")


def icc(ratings: NDArray) -> float:
    """ICC(2,1) of an array of shape (subjects, readers) without gaps: both drawn at random."""
    n, k = ratings.shape
    if n < 2 or k < 2:
        return float("nan")
    whole, rows, columns = ratings.mean(), ratings.mean(axis=1), ratings.mean(axis=0)
    between = k * ((rows - whole) ** 2).sum() / (n - 1)
    readers = n * ((columns - whole) ** 2).sum() / (k - 1)
    rest = ((ratings - rows[:, None] - columns + whole) ** 2).sum() / ((n - 1) * (k - 1))
    below = between + (k - 1) * rest + k * (readers - rest) / n
    return float((between - rest) / below) if below > 0 else float("nan")
