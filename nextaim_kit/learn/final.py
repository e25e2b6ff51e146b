"""A model that was fitted on all patients of a table, to be used on others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from nextaim_kit.errors import DataError
from nextaim_kit.learn.feature_checks import check_beside, check_features


@dataclass(frozen=True)
class Seen:
    """Names of the patients that a model was trained on, as hashes that tell only those one knows.

    Whoever can guess a name can look for it, so a list of them is treated as pseudonyms are.
    """

    salt: str
    subjects: frozenset[str]

    @classmethod
    def of(cls, subjects: Iterable[Any]) -> Self:
        """Those of a table's column; the same names give the same hashes."""
        names = sorted({str(name) for name in subjects})
        salt = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
        return cls(salt, frozenset(_hash(salt, name) for name in names))

    def among(self, subjects: Iterable[Any]) -> list[str]:
        """Those of some names that are known, in their order."""
        return [str(name) for name in subjects if _hash(self.salt, str(name)) in self.subjects]


def _hash(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt} {name}".encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Final:
    """A fitted model, and what is needed to use it elsewhere.

    Attributes
    ----------
    fitted : Pipeline, or what a file gave
        Its ``predict_proba`` takes rows of a table.
    features : list of str
        Of a table, that it needs.
    threshold : float
        From which a patient is called, chosen by the inner folds.
    chosen : dict
        ``selector``, ``k``, the hyper-parameters, ``inner_auc``.
    seen : Seen
        The training patients.
    beside : tuple of str
        What else it needs, for harmonization.
    """

    fitted: Any
    features: list[str]
    threshold: float
    chosen: dict[str, Any]
    seen: Seen
    beside: tuple[str, ...] = ()

    def lacking(self, table: pd.DataFrame) -> list[str]:
        """Features that it needs and a table does not have."""
        return [name for name in self.features if name not in table]

    def predictions(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predict patients who had no part in the training, as `learn.predictions` has them.

        Parameters
        ----------
        table : DataFrame
            ``subject``, ``site``, the features, and where known ``label``.

        Returns
        -------
        DataFrame
            ``subject, site, fold, repeat, y, p, threshold``; `fold` is ``external``, `y` missing
            where there is no label.

        Raises
        ------
        DataError
            If the table lacks a feature, one is not numeric or infinite, or a patient was trained
            on; names them.
        """
        self._check(table)
        p = self.fitted.predict_proba(table)[:, 1].astype(float)
        found = table[["subject", "site"]].reset_index(drop=True)
        y = table.get("label", pd.Series(np.nan, table.index)).to_numpy(float, na_value=np.nan)
        return found.assign(fold="external", repeat=0, y=y, p=p, threshold=self.threshold)

    def _check(self, table: pd.DataFrame) -> None:
        missing = self.lacking(table)
        if missing:
            raise DataError(
                f"the table lacks {len(missing)} of {len(self.features)} features of the model",
                expected="all features that it learned from",
                found="absent: " + ", ".join(missing[:5]),
                mend="measure both cohorts alike, or name the features of both in feature_columns",
            )
        check_features(table, self.features)
        check_beside(table, self.beside)
        both = self.seen.among(table["subject"])
        if both:
            raise DataError(
                f"{len(both)} subjects of the table trained the model",
                expected="other patients",
                found=", ".join(both[:5]),
                mend="take them out of one table; where they are others, give them other names",
            )
