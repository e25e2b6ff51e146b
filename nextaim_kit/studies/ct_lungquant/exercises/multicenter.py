"""What the exercises on readers and software expect, from the reader's own tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nextaim_kit.show.feedback import feedback


def check_unanimous(answer: Any, agreed: pd.DataFrame) -> None:
    """Number of subjects on whom all readers say the same."""
    hint = "where share is 0 all say no; where it is 1 all say yes"
    feedback(answer, int(agreed["share"].isin([0, 1]).sum()), hint=hint)


def check_paradox(answer: Any) -> None:
    """Kappa of two readers who agree on 90 of 100 subjects, of whom each calls 10 affected."""
    hint = "by chance they agree on 0.9 * 0.9 + 0.1 * 0.1; (0.9 - chance) / (1 - chance)"
    feedback(answer, 0.08 / 0.18, tolerance=0.01, hint=hint)


def check_mean_of_readers(answer: Any, icc: float, readers: int) -> None:
    """Reliability of the mean of several readers by Spearman and Brown."""
    expected = readers * icc / (1 + (readers - 1) * icc)
    hint = "k * icc / (1 + (k - 1) * icc), with k readers"
    feedback(answer, expected, tolerance=0.005, hint=hint)


def check_flattery(answer: Any, choices: pd.DataFrame, chosen: Mapping[str, float]) -> None:
    """What the best choice afterwards adds to the AUC for zones; `chosen` is by question."""
    if "zones" not in chosen:
        print("There is no AUC for zones here: too few patients have the rarer answer.")
        return
    best = choices.loc[choices["question"] == "zones", "auc"].max()
    hint = "the largest auc among the rows of zones, less the one chosen beforehand"
    feedback(answer, float(best - chosen["zones"]), tolerance=1e-6, hint=hint)
