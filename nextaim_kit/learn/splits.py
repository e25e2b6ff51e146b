"""Folds that never tear a patient apart, and sites left out one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError

Rows = NDArray[np.int64]
Split = tuple[Rows, Rows]


def patient_folds(
    cohort: pd.DataFrame,
    n_splits: int,
    *,
    seed: int,
    by: Sequence[str] = ("label",),
    group: str = "subject",
) -> list[Split]:
    """Divide a cohort into folds of whole patients, alike in outcome.

    Parameters
    ----------
    cohort : DataFrame
        With the columns `by` and `group`.
    n_splits : int
        At least 2.
    seed : int
        Shuffles patients; the same seed gives the same folds.
    by : sequence of str
        What the folds shall be alike in. The first column is the class to be told; strata of the
        others that are smaller than `n_splits` are merged within their class. Empty where there
        is no class.
    group : str
        Column that names the patient.

    Returns
    -------
    list of (train, test)
        Row positions, ascending. Every row is in one test part.

    Raises
    ------
    RequestError
        If fewer than two folds are asked for, or a column is not there.
    DataError
        If a row lacks its class, stratum or patient, or a class is the only one or has fewer
        patients than folds, or there are fewer patients than folds.

    Examples
    --------
    >>> cohort = pd.DataFrame({"subject": ["P1", "P1", "P2", "P3", "P4"], "label": [1, 1, 0, 1, 0]})
    >>> [test.tolist() for train, test in patient_folds(cohort, 2, seed=0)]
    [[0, 1, 2], [3, 4]]
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _check_request(cohort, n_splits, [*by, group])
    for column in (*by, group):
        _check_complete(cohort, column)
    if not by:
        return _of_whole_patients(cohort[group], n_splits, seed)
    _check_classes(cohort, n_splits, by[0], group)
    strata = _strata(cohort, n_splits, by)
    patients = cohort[group].to_numpy() if cohort[group].duplicated().any() else None
    kind = StratifiedKFold if patients is None else StratifiedGroupKFold
    splitter = kind(n_splits, shuffle=True, random_state=seed)
    split = list(splitter.split(np.zeros(len(cohort)), strata, patients))
    _check_folds(cohort[by[0]].to_numpy(), split, by[0])
    return split


def rotations(parts: Sequence[Split]) -> list[tuple[Rows, Rows, Rows]]:
    """Rows to train, to validate and to test on: each fold is tested once, the next one validates.

    Parameters
    ----------
    parts : sequence of (train, test)
        What `folds` gives, at least three of them.

    Raises
    ------
    RequestError
        If there are fewer than three folds.

    Examples
    --------
    >>> cohort = pd.DataFrame({"subject": list("ABCDEF"), "label": [0, 1] * 3})
    >>> train, val, test = rotations(patient_folds(cohort, 3, seed=0))[0]
    >>> sorted([*train, *val, *test]) == list(range(6))
    True
    """
    if len(parts) < 3:
        raise RequestError(
            "a training, a validation and a test part are needed",
            expected="at least 3 folds",
            found=str(len(parts)),
        )
    tests = [test for _, test in parts]
    vals = [*tests[1:], tests[0]]
    return [
        (np.setdiff1d(train, val), val, test)
        for (train, test), val in zip(parts, vals, strict=True)
    ]


def leave_one_site_out(cohort: pd.DataFrame, *, column: str = "site") -> dict[str, Split]:
    """Each site's rows as a test part, the other sites' as its training part.

    A patient seen at two sites is in neither's training part.

    Parameters
    ----------
    cohort : DataFrame
        ``subject`` and `column`.
    column : str
        What is left out as one: the site, or an institution that has several scanners.

    Raises
    ------
    RequestError
        If the column ``subject`` or `column` is not there.
    DataError
        If there are fewer than two sites, or a row has none.

    Examples
    --------
    >>> cohort = pd.DataFrame({"subject": ["P1", "P2", "P3"], "site": ["A", "B", "B"]})
    >>> {site: test.tolist() for site, (train, test) in leave_one_site_out(cohort).items()}
    {'A': [0], 'B': [1, 2]}
    """
    _check_request(cohort, 2, [column, "subject"])
    _check_complete(cohort, column)
    site, patient = cohort[column].astype(str), cohort["subject"]
    names = sorted(site.unique())
    if len(names) < 2:
        raise DataError(
            f"there is no {column} to leave out",
            expected=f"at least two {column}s",
            found=", ".join(names) or "none",
            mend="use folds of patients instead",
        )
    split = {}
    for name in names:
        test = (site == name).to_numpy()
        elsewhere = ~patient.isin(patient[test]).to_numpy()
        split[name] = (np.flatnonzero(~test & elsewhere), np.flatnonzero(test))
    return split


def external_split(here: int, there: int) -> dict[str, Split]:
    """Train on the first `here` rows of two joined cohorts, test on the `there` that follow.

    Examples
    --------
    >>> {name: (len(train), len(test)) for name, (train, test) in external_split(5, 3).items()}
    {'external': (5, 3)}
    """
    return {"external": (np.arange(here), np.arange(here, here + there))}


def _of_whole_patients(patients: pd.Series, n_splits: int, seed: int) -> list[Split]:
    from sklearn.model_selection import GroupKFold

    if patients.nunique() < n_splits:
        raise DataError(
            f"{patients.nunique()} patients cannot make {n_splits} folds",
            expected="at least one patient in each fold",
            mend="ask for fewer folds, or add patients",
        )
    splitter = GroupKFold(n_splits, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(patients)), groups=patients.to_numpy()))


def _check_request(cohort: pd.DataFrame, n_splits: int, columns: Sequence[str]) -> None:
    if n_splits < 2:
        raise RequestError("folds need parts", expected="at least 2 folds", found=str(n_splits))
    missing = [column for column in columns if column not in cohort]
    if missing:
        raise RequestError(
            f"no column {', '.join(map(repr, missing))} to split by",
            found=", ".join(map(str, cohort.columns[:8])),
        )


def _check_complete(cohort: pd.DataFrame, column: str) -> None:
    empty = cohort[column].isna()
    if empty.any():
        raise DataError(
            f"{int(empty.sum())} rows have no {column}",
            expected=f"a {column} in every row that is split",
            mend=f"drop those rows first: cohort.dropna(subset=[{column!r}])",
        )


def _check_classes(cohort: pd.DataFrame, n_splits: int, column: str, group: str) -> None:
    counts = cohort.groupby(column)[group].nunique()
    found = ", ".join(f"{column} {name}: {n}" for name, n in counts.items())
    if len(counts) < 2:
        raise DataError(
            f"{column} is the same in all rows",
            expected="at least two classes",
            found=found or "no rows",
            mend=f"add patients of another {column}",
        )
    small = counts[counts < n_splits]
    if len(small):
        names = ", ".join(str(name) for name in small.index)
        raise DataError(
            f"{column} {names} cannot be in every one of {n_splits} folds",
            expected=f"at least {n_splits} patients of each {column}",
            found=found,
            mend=f"add patients of {column} {names}"
            + (f", or ask for at most {small.min()} folds" if small.min() > 2 else ""),
        )


def _strata(cohort: pd.DataFrame, n_splits: int, by: Sequence[str]) -> NDArray:
    """Stratum of each row as a number; small ones join their like, then the class's largest."""
    label = cohort[by[0]].astype(str).to_numpy()
    if len(by) == 1:
        return np.unique(label, return_inverse=True)[1]
    names = cohort[list(by)].astype(str).agg("\x1f".join, axis=1).to_numpy()
    for value in np.unique(label):
        counts = pd.Series(names[label == value]).value_counts()
        rest = np.isin(names, counts.index[counts < n_splits])
        into = value if rest.sum() >= n_splits else counts.index[0]
        names[rest] = into
    return np.unique(names, return_inverse=True)[1]


def _check_folds(label: NDArray, split: Sequence[Split], column: str) -> None:
    # Patients of several rows cannot always be spread evenly.
    for number, (_, test) in enumerate(split):
        absent = set(np.unique(label)) - set(label[test])
        if absent:
            raise DataError(
                f"fold {number} is without {column} {', '.join(map(str, sorted(absent)))}",
                expected=f"every {column} in every fold",
                mend="ask for fewer folds",
            )
