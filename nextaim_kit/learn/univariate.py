"""One feature at a time: does it differ between outcomes, and does it only follow volume."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError
from nextaim_kit.learn.metrics import auc


def univariate_tests(
    table: pd.DataFrame,
    features: Sequence[str],
    *,
    label: str = "label",
    volume: str = "lesion_volume_ml",
) -> pd.DataFrame:
    """Mann-Whitney test of each feature between the outcomes, with a false discovery rate.

    Parameters
    ----------
    table : DataFrame of shape (n, ...)
        Holds `features`, outcomes 0/1 in `label` (rows without one are left out) and, where
        there is one, `volume`.
    features : sequence of str
    label, volume : str

    Returns
    -------
    DataFrame
        ``feature``, ``auc`` (0.5: no difference), ``p`` (two-sided), ``q`` (Benjamini-Hochberg,
        doi:10.1111/j.2517-6161.1995.tb02031.x), ``rho_volume`` (Spearman) and
        ``q_beyond_volume`` (the same test on what the volume's rank does not explain of the
        feature's rank); both NaN without volume.

    Raises
    ------
    DataError
        If only one outcome is there.
    """
    from scipy.stats import false_discovery_control, mannwhitneyu

    known = table.dropna(subset=[label])
    y, values = known[label].to_numpy(int), known[list(features)].to_numpy(float)
    if len(np.unique(y)) != 2:
        raise DataError(
            "features cannot be compared between outcomes",
            expected="patients of both outcomes",
            found=f"{len(y)} patients of one",
        )
    p = mannwhitneyu(values[y == 1], values[y == 0], axis=0, nan_policy="omit").pvalue
    p = np.nan_to_num(np.atleast_1d(p), nan=1.0)
    scores = [_auc(y, values[:, k]) for k in range(len(features))]
    found = pd.DataFrame({"feature": list(features), "auc": scores, "p": p})
    found["q"], found["rho_volume"], found["q_beyond_volume"] = false_discovery_control(p), nan, nan
    if volume in known and known[volume].notna().all() and known[volume].nunique() > 1:
        ranks = known[list(features)].rank()
        size = known[volume].rank()
        found["rho_volume"] = ranks.corrwith(size).to_numpy()
        slope = np.nan_to_num(found["rho_volume"].to_numpy() * ranks.std().to_numpy() / size.std())
        rest = ranks.to_numpy() - (size - size.mean()).to_numpy()[:, None] * slope
        p = mannwhitneyu(rest[y == 1], rest[y == 0], axis=0, nan_policy="omit").pvalue
        found["q_beyond_volume"] = false_discovery_control(np.nan_to_num(p, nan=1.0))
    return found


def near_perfect(
    table: pd.DataFrame, features: Sequence[str], *, label: str = "label", least: int = 10
) -> list[str]:
    """Features that alone tell the outcomes apart with an AUC of 0.99 or more: a leak, most often.

    Parameters
    ----------
    table, features, label
        As for `univariate_tests`.
    least : int
        Patients of each outcome below which nothing is said.
    """
    known = table.dropna(subset=[label])
    y = known[label].to_numpy(int)
    if not features or np.bincount(y, minlength=2).min() < least:
        return []
    scores = np.array([_auc(y, known[name].to_numpy(float)) for name in features])
    return [name for name, score in zip(features, scores, strict=True) if abs(score - 0.5) >= 0.49]


def site_differences(
    table: pd.DataFrame, features: Sequence[str], *, site: str = "site"
) -> pd.DataFrame:
    """Kruskal-Wallis test of each feature between the sites, with a false discovery rate.

    Parameters
    ----------
    table : DataFrame of shape (n, ...)
    features : sequence of str
    site : str
        Column of the site.

    Returns
    -------
    DataFrame
        ``feature``, ``share`` (of the rank variance that the sites explain, H / (n - 1)), ``p``,
        ``q`` (Benjamini-Hochberg), the largest share first.

    Raises
    ------
    DataError
        If there is one site only.
    """
    from scipy.stats import false_discovery_control, kruskal

    values, sites = table[list(features)].to_numpy(float), table[site].astype(str).to_numpy()
    names = np.unique(sites)
    if len(names) < 2:
        raise DataError(
            "features cannot be compared between sites",
            expected="at least two sites",
            found=", ".join(names) or "none",
            mend="name the column that tells the site with site_column, or a second table",
        )
    rows = []
    for name, column in zip(features, values.T, strict=True):
        known = ~np.isnan(column)
        groups = [column[known & (sites == one)] for one in names]
        if not all(map(len, groups)) or np.ptp(column[known]) == 0:
            rows.append((name, np.nan, 1.0))
            continue
        h, p = kruskal(*groups)
        rows.append((name, h / (known.sum() - 1), p))
    found = pd.DataFrame(rows, columns=["feature", "share", "p"])
    found["q"] = false_discovery_control(found["p"])
    return found.sort_values(["share", "feature"], ascending=[False, True], ignore_index=True)


def before_after(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Two tables of `univariate_tests` side by side, by feature.

    Returns
    -------
    DataFrame
        ``feature``, then `q`, `auc`, `rho_volume` and `q_beyond_volume`, each ``_before`` and
        ``_after``, in the order of `before`.
    """
    both = before.merge(after, on="feature", suffixes=("_before", "_after"))
    told = ("q", "auc", "rho_volume", "q_beyond_volume")
    return both[["feature", *(f"{name}_{when}" for name in told for when in ("before", "after"))]]


def _auc(y: np.ndarray, values: np.ndarray) -> float:
    known = ~np.isnan(values)
    return auc(y[known], values[known]) if len(np.unique(y[known])) == 2 else float("nan")
