"""Models of the same brains side by side: within sites, paired, and on parts that move alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.metrics import auc, evaluate, within_auc_interval
from nextaim_kit.studies.asd_fusion.brains import Brains

_POWER = 2.8 / (2 * 1.96)  # of an interval's width: shown with 80 % power at a level of 5 %


def side_by_side(
    predictions: Mapping[str, pd.DataFrame], *, n_boot: int = 1000, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """AUC within sites of several models, and the first one against each other.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Of `models.cross_fit`, by the models' names. Subjects that one of them cannot judge, since
        they lack its modality, are left out of all.
    n_boot, seed
        As for `learn.evaluate`.

    Returns
    -------
    models : DataFrame
        ``name``, ``value`` (within sites, sites weighed by size), ``low``, ``high``, ``pooled``,
        ``n``: subjects of sites with both outcomes, who alone count within sites.
    differences : DataFrame
        ``comparison``, ``difference``, ``low``, ``high``, ``smallest`` (what so many subjects
        would show four times in five), ``verdict``.
    """
    tables = _of_all(predictions)
    (first, best), *others = tables.items()
    how: dict[str, Any] = {"by_size": True, "n_boot": n_boot, "seed": seed}
    rows = []
    for name, one in tables.items():
        found = within_auc_interval(one["site"], one["y"], one["logit"], **how)
        rows.append((name, *found, auc(one["y"], one["logit"]), n_within_sites(one)))
    gains = []
    for name, one in others:
        gain = within_auc_interval(
            best["site"], best["y"], best["logit"], other=one["logit"], **how
        )
        verdict = "better" if gain[1] > 0 else "worse" if gain[2] < 0 else "not shown to differ"
        gains.append((f"{first} - {name}", *gain, (gain[2] - gain[1]) * _POWER, verdict))
    models = pd.DataFrame(rows, columns=["name", "value", "low", "high", "pooled", "n"])
    columns = ["comparison", "difference", "low", "high", "smallest", "verdict"]
    return models, pd.DataFrame(gains, columns=columns)


def scores(tested: pd.DataFrame, *, n_boot: int = 1000, seed: int = 0) -> pd.DataFrame:
    """`learn.evaluate` of one model's predictions, of those whom it could judge."""
    known = tested.dropna(subset=["logit"])
    how: dict[str, Any] = {"n_boot": n_boot, "seed": seed}
    return evaluate(known["y"], known["p"], threshold=known["threshold"], **how)


def n_within_sites(table: pd.DataFrame) -> int:
    """Subjects of sites that have both outcomes: those whom an AUC within sites is of."""
    return int((table.groupby("site")["y"].transform("nunique") == 2).sum())


def _of_all(predictions: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of the subjects whom every model has judged, in one order."""
    judged = [set(t.loc[t["logit"].notna(), "subject"]) for t in predictions.values()]
    common = sorted(set.intersection(*judged))
    if not common:
        raise DataError("no subject was judged by all models", found=", ".join(predictions))
    return {
        name: table.set_index("subject").loc[common].reset_index()
        for name, table in predictions.items()
    }


def only(predictions: Mapping[str, pd.DataFrame], subjects: NDArray) -> dict[str, pd.DataFrame]:
    """Predictions of some of the subjects."""
    return {name: table[table["subject"].isin(subjects)] for name, table in predictions.items()}


def alike_in_motion(brains: Brains, *, within: float = 0.2) -> NDArray[np.bool_]:
    """Subjects of pairs, one with autism and one without, of one site and nearly equal motion.

    Parameters
    ----------
    brains : Brains
    within : float
        Farthest that the logarithms of a pair's mean FD may lie apart, in standard deviations.
    """
    motion = np.log(brains.table["motion"].to_numpy(float))
    limit, kept = within * np.nanstd(motion), np.zeros(len(brains), bool)
    for rows in brains.table.groupby("site").indices.values():
        y = brains.table["label"].iloc[rows].to_numpy(float, na_value=np.nan)
        free = [row for row, one in zip(rows, y, strict=True) if one == 0]
        for row in sorted(rows[y == 1], key=lambda row: (-motion[row], row)):
            near = min(free, key=lambda other: abs(motion[other] - motion[row]), default=None)
            if near is not None and abs(motion[near] - motion[row]) <= limit:
                kept[[row, near]] = True
                free.remove(near)
    return kept
