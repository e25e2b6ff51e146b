"""Features that cannot be learned from are refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError, RequestError


def check_features(table: pd.DataFrame, features: Sequence[str]) -> None:
    """Refuse features that are not there, not numeric, or infinite.

    Raises
    ------
    RequestError, DataError
        Naming them.
    """
    missing = [name for name in features if name not in table]
    if missing or not len(features) or {"label", "site", "subject"} & set(features):
        raise RequestError(
            "these features cannot be used",
            expected="columns of the table other than subject, site and label",
            found="absent: " + ", ".join(missing) if missing else f"{list(features)[:5]}",
        )
    numeric = pd.api.types.is_numeric_dtype
    wrong = [name for name in features if not numeric(table[name])]
    if not wrong:
        finite = ~np.isinf(table[list(features)].to_numpy(float, na_value=np.nan)).any(axis=0)
        wrong = [name for name, good in zip(features, finite, strict=True) if not good]
    if wrong:
        raise DataError(
            f"{len(wrong)} features are not finite numbers: {', '.join(map(str, wrong[:5]))}",
            expected="numeric columns, missing values empty",
            found=", ".join(f"{name} ({table[name].dtype})" for name in wrong[:5]),
            mend="leave those columns out, or correct their cells",
        )


def check_beside(table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a harmonization whose site or covariates are not there.

    Raises
    ------
    RequestError
        Naming them.
    """
    missing = [name for name in columns if name not in table]
    if missing:
        raise RequestError(
            f"the table has no column {', '.join(map(repr, missing))} to harmonize by",
            found=", ".join(map(str, table.columns[:8])),
        )
