"""Who is tested, and who is learned from: more and more patients of one pool, drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.splits import Rows, patient_folds
from nextaim_kit.learn.study_task import StudyTask

_ONE_IN = 4  # labeled patients of an outcome, of whom one validates
LEAST = 2 * _ONE_IN  # patients that a size has at least
FURTHEST = 2.0  # times a size up to which a law may be asked


@dataclass(frozen=True)
class Labeled:
    """Rows of the patients whose outcome is known in one draw of one size.

    Attributes
    ----------
    train, val : array of int
        One patient in four of each outcome chooses the epoch: their labels are used, and count.
    patients : int
        Of both.
    """

    train: Rows
    val: Rows
    patients: int

    @property
    def rows(self) -> Rows:
        """Of both, ascending."""
        return np.sort(np.concatenate([self.train, self.val]))


@dataclass(frozen=True)
class Split:
    """The patients who are tested, whatever is learned, and the pool of the others.

    Attributes
    ----------
    task : StudyTask
    test, pool : array of int
        Rows; no patient has rows in both.
    """

    task: StudyTask
    test: Rows
    pool: Rows

    @classmethod
    def of(cls, task: StudyTask, one_in: int, seed: int) -> Split:
        """Test one patient in so many, alike in outcome.

        Raises
        ------
        DataError
            If an outcome has too few patients.
        """
        pool, test = patient_folds(task.cohort, one_in, seed=seed)[0]
        return cls(task, test, pool)

    @property
    def patients(self) -> int:
        """Of the pool."""
        return len(np.unique(self.task.groups[self.pool]))

    def sizes(self, shares: Sequence[float]) -> list[int]:
        """Numbers of labeled patients, ascending, for shares of the pool.

        Raises
        ------
        RequestError
            If a share is not above 0 and at most 1, sizes are fewer than three, or the largest is
            more than twice the next: no law of the others could be held to it.
        DataError
            If a share is of fewer than eight patients: nothing could be validated.
        """
        if not shares or not all(0 < share <= 1 for share in shares):
            raise RequestError("no such shares of the patients", expected="above 0, at most 1",
                               found=str(list(shares)))  # fmt: skip
        found = sorted({round(share * self.patients) for share in shares})
        if found[0] < LEAST:
            raise DataError(
                f"{found[0]} patients are too few to learn from",
                expected=f"at least {LEAST}, some of whom validate",
                found=f"a share of {min(shares):g} of {self.patients} patients",
                mend="leave out the smallest share, or take more patients",
            )
        if len(found) < 3 or found[-1] > FURTHEST * found[-2] + 1:
            raise RequestError(
                "a law cannot be held to the largest of these sizes",
                expected=f"three sizes or more, the largest at most {FURTHEST:g} times the next",
                found=", ".join(map(str, found)),
                mend="give more shares, such as 0.25, 0.5, 1",
            )
        return found

    def elsewhere(self, other: StudyTask) -> Split:
        """The same pool, tested on another cohort of the study; patients of both are left out.

        Raises
        ------
        DataError
            If its items are of another kind, or nobody is left to be tested.
        """
        here = self.task
        kinds = [(one.x.shape[1:], one.names) for one in (here, other)]
        if kinds[0] != kinds[1]:
            raise DataError(
                "the other cohort's items are of another kind",
                expected=f"{kinds[0][0]} with {len(here.names)} features of the same names",
                found=f"{kinds[1][0]} with {len(other.names)}",
            )
        new = ~np.isin(other.groups, here.groups)
        if not len(set(other.y[new])) == 2:
            raise DataError("nobody of both outcomes is left to be tested in the other cohort",
                            found=f"{(~new).sum()} items of patients who are here too")  # fmt: skip
        columns = ("x", "y", "groups", "sites")
        both: dict[str, Any] = {
            n: np.concatenate([getattr(here, n), getattr(other, n)[new]]) for n in columns
        }
        features = pd.concat([here.features, other.features[new]], ignore_index=True)
        synthetic = here.synthetic or other.synthetic
        whole = replace(here, **both, features=features, truth=None, synthetic=synthetic)
        return Split(whole, np.arange(len(here), len(whole)), self.pool)

    def draw(self, patients: int, number: int, seed: int = 0) -> Labeled:
        """Label so many patients of the pool; in one draw a larger size holds the smaller ones.

        Both outcomes keep their shares. A patient with items of both counts as positive.
        """
        rows, who, positive = self.pool, self.task.groups[self.pool], self.task.y[self.pool]
        names = pd.Series(positive).groupby(who).max()
        rng, order = np.random.default_rng((seed, number)), []
        for outcome in (0, 1):
            drawn = rng.permutation(names.index[names == outcome].to_numpy())
            order += [((k + 0.5) / len(drawn), k, name) for k, name in enumerate(drawn)]
        # Places within each outcome, side by side: any beginning has both in proportion.
        chosen = sorted(order)[:patients]
        val = [name for _, k, name in chosen if k % _ONE_IN == _ONE_IN - 1]
        known = np.isin(who, [name for *_, name in chosen])
        validates = np.isin(who, val)
        return Labeled(rows[known & ~validates], rows[validates], len(chosen))


def require_untested(task: StudyTask, rows: NDArray, test: NDArray) -> None:
    """Refuse to learn from patients who are tested, labeled or not.

    Raises
    ------
    DataError
        If a patient has rows in both; names some.
    """
    both = np.intersect1d(task.groups[rows], task.groups[test])
    if len(both):
        raise DataError(
            f"{len(both)} of the patients to be tested would be learned from",
            expected="pre-training and training on other patients",
            found=", ".join(both[:5]),
            mend="pre-train on the pool alone: split.pool",
        )
