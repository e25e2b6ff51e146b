"""A simulated panel of readers, who look at the same CTs and do not agree.

Each reader sees a patient's true shares through an own bias, which stays, and an error, which is
another one for each patient; both act on the logit of the share, so that small and large shares
are read more surely than middling ones. Then each draws the lines between classes at an own
place. Bias, error and limits are set so that agreement is what panels of this kind report:
`kappas.agreement` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.definitions import (
    BILATERAL_SHARE,
    CT_SS_LIMITS,
    TYPE_LIMITS,
    TYPES,
)
from nextaim_kit.twins.twin import chance

READERS = 14  # of the multicenter evaluation, doi:10.1186/s41747-023-00334-z
# What each label can be, in the order in which it is counted.
SCALES: dict[str, tuple] = {
    "ct_ss": (1, 2, 3, 4, 5),
    "type": TYPES,
    "sides": ("right", "bilateral", "left"),
    "zones": ("lower", "both", "upper"),
}
# The true share that each label is about, and the shares at which its classes begin.
SEEN = {"ct_ss": "involvement", "type": "consolidation", "sides": "left", "zones": "upper"}
_NEEDED = tuple(SEEN.values())
LIMITS = {
    "ct_ss": tuple(limit / 100 for limit in CT_SS_LIMITS),
    "type": TYPE_LIMITS,
    "sides": (BILATERAL_SHARE, 1 - BILATERAL_SHARE),
    "zones": (1 / 3, 2 / 3),
}


def _bias() -> dict[str, float]:
    return {"ct_ss": 0.45, "type": 0.55, "sides": 0.50, "zones": 0.35}


def _error() -> dict[str, float]:
    return {"ct_ss": 0.70, "type": 0.90, "sides": 1.10, "zones": 0.70}


@dataclass(frozen=True)
class Panel:
    """How readers differ; spreads are standard deviations in logits, by label.

    Parameters
    ----------
    readers : int
    bias : mapping of str to float
        Spread between readers of what they see.
    error : mapping of str to float
        Spread of what a reader sees from patient to patient.
    limits : float
        Spread between readers of where classes begin.
    missing : float
        Share of labels that a reader leaves out, 0 to 1.

    Raises
    ------
    RequestError
        If there are no readers, a spread is negative or `missing` is no share.
    """

    readers: int = READERS
    bias: Mapping[str, float] = field(default_factory=_bias)
    error: Mapping[str, float] = field(default_factory=_error)
    limits: float = 0.25
    missing: float = 0.04

    def __post_init__(self) -> None:
        spreads = [self.limits, *self.bias.values(), *self.error.values()]
        known = set(self.bias) == set(self.error) == set(SCALES)
        if self.readers < 1 or min(spreads) < 0 or not 0 <= self.missing < 1 or not known:
            raise RequestError(
                "no panel reads like this",
                expected="1 reader or more, spreads from 0 on, a share missing below 1, and a "
                f"bias and an error for each of {', '.join(SCALES)}",
                found=str(self),
            )


def read_panel(
    cohort: pd.DataFrame, panel: Panel | None = None, *, seed: int = 2024
) -> pd.DataFrame:
    """Let a panel read a cohort.

    Parameters
    ----------
    cohort : DataFrame
        ``subject`` and the truth of `twin.make_twin`: ``truth_involvement`` (%),
        ``truth_consolidation``, ``truth_left``, ``truth_upper`` (shares of the lesions).
    panel : Panel, optional
    seed : int

    Returns
    -------
    DataFrame
        A row for each reading: ``subject``, ``reader`` ("R01" and so on), ``percent`` (the share
        of the lungs as the reader puts it: steps of 5 from 10 on) and the labels of `SCALES`:
        ``ct_ss`` (1 to 5), ``type``, ``sides``, ``zones``. What a reader left out, or cannot say
        since no lesion was seen, is missing. A reading is the same whoever else reads or is read.

    Raises
    ------
    DataError
        If the truth is not there.
    """
    absent = [f"truth_{name}" for name in _NEEDED if f"truth_{name}" not in cohort]
    if absent:
        raise DataError(
            "there is no truth for readers to look at",
            expected="the synthetic twin's cohort",
            found=f"no column {absent[0]!r}",
        )
    panel = panel or Panel()
    truth = {k: cohort[f"truth_{k}"].to_numpy(float) for k in _NEEDED}
    truth["involvement"] = truth["involvement"] / 100
    subjects = cohort["subject"].astype(str).tolist()
    names = [f"R{k + 1:02d}" for k in range(panel.readers)]
    tables = [_read(name, subjects, truth, panel, seed) for name in names]
    return pd.concat(tables, ignore_index=True)


def _read(
    name: str, subjects: list[str], truth: Mapping[str, NDArray], panel: Panel, seed: int
) -> pd.DataFrame:
    reader = chance(seed, name)
    bias = dict(zip(SCALES, reader.normal(size=4), strict=True))
    moved = dict(zip(SCALES, reader.normal(size=(4, 4)) * panel.limits, strict=True))
    chances = [chance(seed, f"{name} {subject}") for subject in subjects]
    errors = np.array([c.normal(size=4) for c in chances]).T
    left_out = panel.missing > np.array([c.random(4) for c in chances]).T
    seen = {
        label: _logit(truth[quantity]) + panel.bias[label] * bias[label] + panel.error[label] * e
        for (label, quantity), e in zip(SEEN.items(), errors, strict=True)
    }
    percent = _rounded(100 / (1 + np.exp(-seen["ct_ss"])))
    table = pd.DataFrame({"subject": subjects, "reader": name, "percent": percent})
    for (label, scale), out in zip(SCALES.items(), left_out, strict=True):
        limits = np.sort(_logit(np.array(LIMITS[label])) + moved[label][: len(LIMITS[label])])
        classes = np.searchsorted(limits, seen[label], side="right")
        unseen = out | ((percent == 0) if label != "ct_ss" else False) | np.isnan(seen[label])
        values = np.array([*scale, None], object)
        table[label] = values[np.where(unseen, len(scale), classes)]
    table["percent"] = table["percent"].where(table["ct_ss"].notna())
    return table.astype({"ct_ss": "Int64"})


def _logit(share: NDArray) -> NDArray:
    kept = np.clip(share, 0.003, 0.997)
    return np.log(kept / (1 - kept))


def _rounded(percent: NDArray) -> NDArray:
    return np.where(percent < 9.5, np.round(percent), 5 * np.round(percent / 5))
