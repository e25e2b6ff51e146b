"""What the exercises of the report notebook expect, from the reader's own report and tables."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nextaim_kit.report.model import Report
from nextaim_kit.show.feedback import feedback


def check_unit(answer: Any) -> None:
    """Unit of a lung volume as the bundle codes it: UCUM, where case counts."""
    if answer is not Ellipsis and answer != "mL":
        answer = f"not {answer}"
    feedback(answer, "mL", hint="valueQuantity has 'unit' for people and 'code' for machines")


def check_waiting(answer: Any, report: Report) -> None:
    """Values that still wait when two of a new report are reviewed."""
    feedback(answer, len(report.fields) - 2, hint="an edited value is reviewed too: .unconfirmed")


def check_never_caught(answer: Any, caught: pd.DataFrame) -> None:
    """Kinds of error that no check ever caught."""
    never = caught["name"][caught["value"] == 0].tolist()
    if answer is not Ellipsis and not isinstance(answer, list | tuple | set):
        answer = [answer]
    feedback(answer, never, hint="rows of `caught` whose value is 0, their column name, as a list")


def check_slipped(answer: Any, share: float) -> None:
    """Wrong reports among 10 000, one in fifty of which has an error, that no check stops."""
    hint = "200 of 10 000 have an error; the share that is caught is errors_caught"
    feedback(answer, 200 * (1 - share), tolerance=0.01, hint=hint)
