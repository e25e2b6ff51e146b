"""Several tables of one cohort as one: which belong together, and where they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.errors import RequestError


def merged(
    people: pd.DataFrame, table: pd.DataFrame, name: str
) -> tuple[pd.DataFrame, list[dict[str, str]]]:
    """Two tables by subject, one's gaps filled from the other.

    Parameters
    ----------
    people, table : DataFrame
        With ``subject``, unique. Numbers that differ by a rounding (0.5 %) do not differ.
    name : str
        What the second is called.

    Returns
    -------
    table : DataFrame
        All subjects and columns of both; where they differ, the first one's value.
    problems : list of dict
        ``subject`` and ``problem`` of those in whom they differ.
    """
    both = people.merge(table, on="subject", how="outer", suffixes=("", " anew"))
    torn: dict[str, list[str]] = defaultdict(list)
    for column in [c for c in table if f"{c} anew" in both]:
        old, new = both[column], both.pop(f"{column} anew")
        same = old == new
        if pd.api.types.is_float_dtype(old):  # rounded by one of them
            same = pd.Series(np.isclose(old.astype(float), new.astype(float), rtol=5e-3))
        differ = old.notna() & new.notna() & ~same.fillna(False).astype(bool)
        for subject, a, b in zip(both["subject"][differ], old[differ], new[differ], strict=True):
            torn[subject].append(f"{column} {a} and {b}")
        both[column] = old.where(old.notna(), new)
    return both, [
        {"subject": subject, "problem": f"{some(told, 3)} in two tables, the second is {name}"}
        for subject, told in torn.items()
    ]


def of_one_cohort(tables: Mapping[Path, pd.DataFrame], meant: set[str] | None) -> list[Path]:
    """Which of a folder's tables speak of the same people, or are parts of one by their columns.

    Parameters
    ----------
    tables : mapping of Path to DataFrame
        Each with ``subject``.
    meant : set of str, optional
        Subjects of the cohort that is meant, where there may be several.

    Raises
    ------
    RequestError
        If there are several cohorts that share no subject.
    """
    cohorts: list[tuple[set[str], list[Path]]] = []
    for path, table in tables.items():
        names, of = {*table["subject"]}, [path]
        apart = []
        for cohort in cohorts:
            part = any({*tables[other]} == {*table} for other in cohort[1])
            if cohort[0] & names or part or not names:
                names, of = names | cohort[0], [*cohort[1], *of]
            else:
                apart.append(cohort)
        cohorts = [*apart, (names, of)]
    if meant is not None:
        cohorts = [cohort for cohort in cohorts if cohort[0] & meant]
    if len(cohorts) > 1:
        raise RequestError(
            f"the folder holds {len(cohorts)} cohorts that share no subject",
            expected="tables, images and series of the same people",
            found=" and ".join(
                f"{len(names)} subjects of {some([path.name for path in of])}"
                for names, of in cohorts
            ),
            mend="name one file of the cohort that is meant: its .npz, or its table of features",
        )
    return cohorts[0][1] if cohorts else []


def some(names: Sequence[Any], count: int = 5) -> str:
    """The first of many names, and how many more there are.

    Examples
    --------
    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(map(str, names[:count]))
    return shown + (f" and {len(names) - count} more" if len(names) > count else "")
