"""Who is in the cohort, hospital by hospital, and what another hospital does to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.loading import require_labels
from nextaim_kit.errors import DataError
from nextaim_kit.learn.metrics import auc, evaluate
from nextaim_kit.learn.splits import Rows, patient_folds

_MOST = 12  # hospitals that are told apart in a table


def by_outcome(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Films of patients whose outcome is unknown, and those of the others.

    A patient whose films have different outcomes cannot be used, and is named in the problems.

    Raises
    ------
    DataError
        If no outcome is known, or only one is there.
    """
    if table["label"].isna().all():
        raise DataError(
            "no film has an outcome",
            expected="the column label (1: severe, 0: mild), or severity or Prognosis in words",
            found=f"{len(table)} films without",
            mend="add the column to the cohort's table",
        )
    unknown = table[table["label"].isna()].reset_index(drop=True)
    known = table[table["label"].notna()]
    torn = known.groupby("patient")["label"].transform("nunique") > 1
    before = table.attrs.get("problems", [])
    known = require_labels(known[~torn]).reset_index(drop=True)
    problem = "films of this patient have different outcomes"
    named = [{"subject": s, "problem": problem} for s in table["subject"][torn[torn].index]]
    known.attrs["problems"] = [*before, *named]
    return unknown, known


def describe(table: pd.DataFrame, numbers: pd.DataFrame) -> pd.DataFrame:
    """Patients, share of severe ones among them, and of missing clinical values, by hospital.

    Of more than twelve hospitals the smaller ones are taken together.
    """
    site = table["site"].astype(str)
    large = site.value_counts().index[:_MOST]
    site = site.where(site.isin(large), "others")
    parts = [
        {
            "site": name,
            "patients": part["patient"].nunique(),
            "films": len(part),
            "severe": float(part.groupby("patient")["label"].first().mean()),
            "missing": float(numbers.loc[part.index].isna().mean(axis=None)),
        }
        for name, part in [*table.groupby(site), ("all", table)]
    ]
    return pd.DataFrame(parts)


def to_leave_out(table: pd.DataFrame, site: str) -> str:
    """Name of the hospital that is meant by a name, ``largest`` (patients) or ``none`` (empty).

    Of one hospital alone none can be left out.
    """
    patients = table.groupby(table["site"].astype(str))["patient"].nunique()
    if site == "largest":
        return str(patients.idxmax()) if len(patients) > 1 else ""
    return "" if site == "none" else site


def leave_out(
    table: pd.DataFrame, site: str, n_splits: int, *, seed: int
) -> tuple[Rows, Rows, Rows] | None:
    """Rows to train, validate and test on where one hospital is tested that is not trained on.

    A fold of the other hospitals' patients validates. None, with a line that says why, where the
    hospital is not there, or it or the others lack an outcome.

    Raises
    ------
    DataError
        If the others' patients are too few for the folds.
    """
    there = (table["site"].astype(str) == site).to_numpy()
    if not site or not there.any():
        print(f"no hospital {site!r} to leave out" if site else "no hospital is left out")
        return None
    patients = table["patient"]
    rest = np.flatnonzero(~there & ~patients.isin(patients[there]).to_numpy())
    for name, rows in ((site, np.flatnonzero(there)), ("the others", rest)):
        if table["label"].iloc[rows].nunique() < 2:
            print(f"{site} is not left out: {name} have patients of one outcome only")
            return None
    _, val = patient_folds(table.iloc[rest], n_splits, seed=seed, group="patient")[0]
    return np.delete(rest, val), rest[val], np.flatnonzero(there)


def with_prevalence(people: pd.DataFrame, share: float, *, seed: int) -> pd.DataFrame:
    """Patients (column ``y``), thinned out so that `share` of them has the outcome.

    Nobody, with a line that says why, where no patient of an outcome would be left.
    """
    y = people["y"].to_numpy(int)
    counts = np.array([(y == 0).sum(), (y == 1).sum()])
    odds = share / (1 - share)
    kept = np.minimum(counts, np.rint([counts[1] / odds, counts[0] * odds]).astype(int))
    if not kept.all():
        print(f"{len(y)} patients, {counts[1]} severe, cannot be thinned to a share of {share:g}")
        return people.iloc[:0]
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(y == k))[: kept[k]] for k in (0, 1)]
    return people.iloc[np.sort(np.concatenate(rows))]


def auc_within(people: pd.DataFrame) -> pd.DataFrame:
    """AUC (``auc``) among the patients of each hospital, the mean of these, and pooled.

    Differences between hospitals help a pooled AUC, and none of the others. Hospitals with one
    outcome only have none. ``n`` is the number of patients.
    """
    parts = [
        (site, auc(one["y"], one["p"]), len(one))
        for site, one in people.groupby(people["site"].astype(str))
        if one["y"].nunique() == 2
    ]
    found = pd.DataFrame(parts, columns=["site", "auc", "n"])
    total = found["n"].sum()
    ends = [("mean within hospitals", found["auc"].mean(), total)]
    ends += [("pooled", auc(people["y"], people["p"]), len(people))]
    return pd.concat([found, pd.DataFrame(ends, columns=found.columns)], ignore_index=True)


def compare_ways(ways: Mapping[str, pd.DataFrame], **options: Any) -> pd.DataFrame:
    """`evaluate` of patients (``y``, ``p``, ``threshold``) in several ways of testing them.

    A way without patients of both outcomes is left out.

    Returns
    -------
    DataFrame
        ``name, metric, value, low, high, n, prevalence``.
    """
    tables = [
        evaluate(one["y"], one["p"], threshold=one["threshold"], **options).assign(
            name=name, prevalence=float(one["y"].mean())
        )
        for name, one in ways.items()
        if one["y"].nunique() == 2
    ]
    columns = ["name", "metric", "value", "low", "high", "n", "prevalence"]
    return pd.concat(tables, ignore_index=True)[columns]
