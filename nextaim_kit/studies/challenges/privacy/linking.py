"""Two tables of the same patients without names: who is who, by their measures alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from nextaim_kit.errors import DataError


def two_readings(table: pd.DataFrame, names: Sequence[str]) -> tuple[NDArray, NDArray, list[str]]:
    """The first and the second row of each patient that has two: arrays (n, features), and names.

    Raises
    ------
    DataError
        If fewer than two patients have a second row.
    """
    ordered = table.sort_values(["patient", "subject"], kind="stable")
    place = ordered.groupby("patient").cumcount()
    first, second = (ordered[place == k].set_index("patient")[[*names]] for k in (0, 1))
    if len(second) < 2:
        raise DataError(
            "nobody can be linked", expected="two rows for each of two patients or more",
            found=f"{len(second)} with a second row",
        )  # fmt: skip
    first = first.loc[second.index]
    return first.to_numpy(float), second.to_numpy(float), [str(one) for one in second.index]


def places(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Place of each patient's own second row among all second rows, by distance: 1 is a match.

    Measures are brought to mean 0 and spread 1 over the first table; those that do not vary there
    are left out. Ties share their mean place.

    Parameters
    ----------
    first, second : array of shape (n, features)

    Returns
    -------
    array of shape (n,)
    """
    spread = first.std(axis=0)
    varies = spread > 1e-12
    mean = first.mean(axis=0)
    a, b = ((one - mean)[:, varies] / spread[varies] for one in (first, second))
    return np.diagonal(rankdata(cdist(a, b), axis=1)).copy()


def rare(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.bool_]:
    """Whether nobody else in a table has a row's values in some columns.

    Parameters
    ----------
    table : DataFrame
    columns : sequence of str
        Quasi-identifiers, such as age, sex and town.
    """
    return (table.groupby([*columns], dropna=False)[columns[0]].transform("size") == 1).to_numpy()


def recognized(
    asked: Sequence[NDArray], known: Sequence[NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place of each one's own among known surfaces: 1 is a match, ties share their mean place.

    Parameters
    ----------
    asked : sequence of n arrays of one shape
        Depths in mm; NaN where nothing is seen.
    known : sequence of n arrays or more
        The first n are of the same people, in the same order.

    Returns
    -------
    (array of shape (n,), array of shape (n, known))
        Places; root mean square differences in mm of what both show, infinite if that is nothing.
    """

    def differ(one: NDArray, other: NDArray) -> float:
        apart = (one - other)[np.isfinite(one - other)]
        return float(np.sqrt(np.mean(apart**2))) if apart.size else np.inf

    table = np.array([[differ(one, other) for other in known] for one in asked])
    return np.diagonal(rankdata(table, axis=1)).copy(), table
