"""The law of a learning curve, how far it may be trusted, and what more patients would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.intervals import Interval, verdict, with_interval
from nextaim_kit.studies.challenges.limited.measuring import Curve
from nextaim_kit.studies.challenges.limited.patients import FURTHEST

_LEAST = 1e-3  # what an AUC is short of the limit at least, so that its logarithm exists


@dataclass(frozen=True)
class Law:
    """AUC = limit - a n ** -b: straight on logarithmic axes.

    The curve's resamples (of patients and draws) are each fitted in the same way: intervals are
    those of their fits. What the limit is no curve of a few sizes tells; it is given.

    Attributes
    ----------
    sizes : array of shape (k,)
        Numbers of patients that it was fitted to.
    a, b : arrays of shape (1 + resamples,)
        The first is of the curve itself.
    limit : float
        AUC of endless patients.

    References
    ----------
    Inverse power laws of learning curves and their weighted fit: Figueroa et al. 2012,
    doi:10.1186/1472-6947-12-8.
    """

    sizes: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    limit: float

    @classmethod
    def of(cls, curve: Curve, *, limit: float = 1.0) -> Law:
        """Fit a curve, each size by the error it has.

        Raises
        ------
        DataError
            If the curve has fewer than two sizes, or already lies above the limit.
        """
        if len(curve.sizes) < 2:
            raise DataError("a law needs a curve of several sizes", expected="at least 2",
                            found=str(len(curve.sizes)))  # fmt: skip
        if limit < 1 and (curve.auc[0] >= limit).any():
            raise DataError(
                f"the curve lies above a limit of {limit:g}",
                found=f"{curve.auc[0].max():.3f}", mend="give a higher limit, at most 1",
            )  # fmt: skip
        short = np.maximum(limit - curve.auc, _LEAST)
        weights = short[0] / np.maximum(curve.error, _LEAST)  # of logarithms
        slope, start = np.polyfit(np.log(curve.sizes), np.log(short).T, 1, w=weights)
        return cls(curve.sizes, np.exp(start), -slope, limit)

    @property
    def power(self) -> Interval:
        """The exponent b: value, low, high."""
        return with_interval(self.b)

    def resampled_at(self, patients: float) -> NDArray[np.float64]:
        """AUC of the fit and of each resample's, shape (1 + resamples,).

        Raises
        ------
        RequestError
            If that is more than twice as many as were learned from.
        """
        if not 0 < patients <= FURTHEST * self.sizes.max() + 1:  # half of them may be rounded
            raise RequestError(
                f"{patients:g} patients are beyond what the law may tell",
                expected=f"at most {FURTHEST:g} times the {self.sizes.max():g} it was fitted to",
                found=f"{patients / self.sizes.max():.1f} times",
                mend="learn from more patients",
            )
        return np.maximum(self.limit - self.a * patients**-self.b, 0.0)

    def at(self, patients: float) -> Interval:
        """AUC of so many patients, at most twice as many as were learned from: value, low, high."""
        return with_interval(self.resampled_at(patients))

    def patients_for(self, gain: float) -> Interval:
        """How many patients give so much more AUC than the largest size: value, low, high.

        Infinity is more than the law may tell: beyond twice the largest size, or never.
        """
        largest = self.sizes.max()
        short = self.a * largest**-self.b - gain
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            needed = (self.a / short) ** (1 / self.b)
        told = (short > 0) & (self.b > 0) & (needed <= FURTHEST * largest)
        needed = np.where(told, needed, np.inf)
        low, high = np.quantile(needed[1:], (0.025, 0.975), method="nearest")
        return float(needed[0]), float(low), float(high)


def judged(curves: Sequence[Curve], *, limit: float = 1.0) -> pd.DataFrame:
    """What a law of all sizes but the largest says of the largest, beside what was measured there.

    Returns
    -------
    DataFrame
        ``method``, ``used`` (sizes), ``patients``, ``further`` (times the largest size used),
        ``predicted``, ``predicted_low``, ``predicted_high``, ``measured``, ``off`` (predicted less
        measured) and ``off_low``, ``off_high``, both from the same resamples.

    Raises
    ------
    RequestError
        If the largest size is more than twice the next.
    """
    rows = []
    for curve in curves:
        law, at = Law.of(curve.first(-1), limit=limit), curve.sizes[-1]
        said, measured = law.resampled_at(at), curve.auc[:, -1]
        where = (curve.method, len(law.sizes), int(at), at / law.sizes.max())
        rows.append((*where, *with_interval(said), measured[0], *with_interval(said - measured)))
    names = ["method", "used", "patients", "further", "predicted", "predicted_low"]
    names += ["predicted_high", "measured", "off", "off_low", "off_high"]
    return pd.DataFrame(rows, columns=names)


def promised(curves: Sequence[Curve], gain: float, *, limit: float = 1.0) -> pd.DataFrame:
    """Of each method the power of its law, the AUC at twice the patients, and patients for a gain.

    Returns
    -------
    DataFrame
        ``method``; ``power``, ``power_low``, ``power_high``; ``twice`` (patients), ``auc``,
        ``auc_low``, ``auc_high`` there; ``needed``, ``needed_low``, ``needed_high`` for the gain,
        infinity where the law may not tell.
    """
    rows = []
    for curve in curves:
        law = Law.of(curve, limit=limit)
        twice = int(FURTHEST * curve.sizes[-1])
        rows.append((curve.method, *law.power, twice, *law.at(twice), *law.patients_for(gain)))
    bounds = ("", "_low", "_high")
    names = ["method", *(f"power{end}" for end in bounds), "twice"]
    names += [*(f"auc{end}" for end in bounds), *(f"needed{end}" for end in bounds)]
    return pd.DataFrame(rows, columns=names)


def overtaken(against: pd.DataFrame) -> pd.DataFrame:
    """Which methods stay above the baseline, and from how many patients on, the fewest first.

    A single size is no proof among so many: all larger ones must show it too.

    Parameters
    ----------
    against : DataFrame
        Of `measuring.compared`.

    Returns
    -------
    DataFrame
        Rows of `against`, one for each such method: its first size of those.
    """
    table = against.sort_values("patients", kind="stable")
    stays = (table["low"] > 0)[::-1].groupby(table["method"][::-1]).cummin()[::-1]
    return table[stays.astype(bool)].drop_duplicates("method").reset_index(drop=True)


def three_sentences(
    table: pd.DataFrame, against: pd.DataFrame, held: pd.DataFrame, promise: pd.DataFrame
) -> list[str]:
    """What a group can use on Monday: which method, whether a network pays, what patients would.

    Parameters
    ----------
    table, against, held, promise : DataFrame
        Of `measuring.learning_curves`, `measuring.compared`, `judged` and `promised`.
    """
    most = table["patients"].max()
    best = table[table["patients"] == most].sort_values("value").iloc[-1]
    first = f"Of {most} labeled patients {best['method']} makes the most: an AUC of "
    first += f"{verdict((best['value'], best['low'], best['high']), 0.5)}."
    over = overtaken(against)
    if len(over):
        one = over.iloc[0]
        second = f"From {one['patients']} patients on {one['method']} is above the simple model, "
        second += f"there by {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]; "
        second += "with fewer that is not shown: begin with the simple one."
    else:
        second = f"Up to {most} patients nothing is shown to stay above the simple model: "
        second += "begin with it."
    row, off = (t.set_index("method").loc[best["method"]] for t in (promise, held))
    third = f"Twice as many patients promise {best['method']} an AUC of {row['auc']:.3f} "
    third += f"[{row['auc_low']:.3f}, {row['auc_high']:.3f}], by a law that was off by "
    third += f"{verdict((off['off'], off['off_low'], off['off_high']))} where it could be checked."
    return [first, second, third]
