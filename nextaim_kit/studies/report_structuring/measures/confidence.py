"""What the confidence of answers is worth: is it right, and what is found by checking by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from nextaim_kit.learn.calibration import scaled, temperature
from nextaim_kit.studies.report_structuring.measures.answers import (
    Answers,
    mentioned,
    read_from,
    right,
)
from nextaim_kit.studies.report_structuring.schema import Template

_NEAR = 1e-6  # to 0 or 1: no nearer is a confidence


def cells(answers: Answers, truth: pd.DataFrame, template: Template) -> pd.DataFrame:
    """Every field of every report: ``row``, ``field``, ``confidence``, ``right``, ``stated``.

    Fields without a confidence are left out.
    """
    good = right(answers, truth, template)
    stated = mentioned(answers.values, template)
    keys = list(template.by_key)
    table = pd.DataFrame({
        "row": np.repeat(np.arange(len(good)), len(keys)),
        "field": np.tile(keys, len(good)),
        "confidence": answers.confidence[keys].to_numpy(float).ravel(),
        "right": good.to_numpy().ravel(),
        "stated": stated.to_numpy().ravel(),
    })  # fmt: skip
    return table.dropna(subset=["confidence"], ignore_index=True)


def at_temperature(p: ArrayLike, by: float) -> NDArray[np.float64]:
    """Probabilities at a temperature, none of them quite 0 or 1."""
    return scaled(logit(np.clip(p, _NEAR, 1 - _NEAR)), by)


def calibrated(model: Any, table: pd.DataFrame) -> Any:
    """A structurer with the temperature that makes its confidence mean what it says on reports.

    Where all of its answers are right, or none, there is nothing to fit, and it is 1.
    """
    answers = replace(model, temperature=1.0).answer(*read_from(table))
    known = cells(answers, table.reset_index(drop=True), model.template)
    mixed = known["right"].nunique() == 2
    by = temperature(known["right"], logit(known["confidence"])) if mixed else 1.0
    return replace(model, temperature=by)


def reliability(cells: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Mean confidence and share of right answers, in groups of equal size by confidence.

    Parameters
    ----------
    cells : DataFrame
        Of `cells`.
    bins : int
        Fewer where confidences are tied.

    Returns
    -------
    DataFrame
        ``confidence``, ``right``, ``n``.

    Examples
    --------
    >>> table = pd.DataFrame({"confidence": [0.5, 0.5, 0.9, 0.9], "right": [0, 1, 1, 1]})
    >>> reliability(table, bins=2)["right"].tolist()
    [0.5, 1.0]
    """
    group = pd.qcut(cells["confidence"], bins, labels=False, duplicates="drop")
    found = cells.groupby(group).agg(
        confidence=("confidence", "mean"), right=("right", "mean"), n=("right", "size")
    )
    return found.reset_index(drop=True)


def checked_first(cells: pd.DataFrame) -> pd.DataFrame:
    """What a reader finds who checks the least confident fields first.

    Parameters
    ----------
    cells : DataFrame
        Of `cells`.

    Returns
    -------
    DataFrame
        ``checked``, the share of fields looked at; ``found``, the share of the errors among them;
        ``left``, the share of errors in the rest (risk); by hundredths. Among fields of one
        confidence, errors are taken to lie evenly.

    References
    ----------
    Risk and coverage: El-Yaniv and Wiener 2010, JMLR 11:1605.

    Examples
    --------
    >>> table = pd.DataFrame({"confidence": [0.9, 0.5, 0.8, 0.6], "right": [1, 0, 1, 1]})
    >>> checked_first(table).set_index("checked").loc[0.25].tolist()
    [1.0, 0.0]
    """
    ties = (1 - cells["right"]).groupby(cells["confidence"]).agg(["size", "sum"])  # ascending
    looked = np.r_[0, ties["size"].cumsum()] / len(cells)
    errors = np.r_[0, ties["sum"].cumsum()]
    checked = np.arange(100) / 100
    found = np.interp(checked, looked, errors)
    left = (errors[-1] - found) / ((1 - checked) * len(cells))
    return pd.DataFrame({"checked": checked, "found": found / max(errors[-1], 1), "left": left})
