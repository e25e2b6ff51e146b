"""The panel's four labels as questions of yes or no, to readers and to software."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nextaim_kit.studies.ct_lungquant.panel.kappas import codes
from nextaim_kit.studies.ct_lungquant.panel.readers import LIMITS, SCALES


@dataclass(frozen=True)
class Question:
    """One label of the panel made a question of yes or no.

    Attributes
    ----------
    name : str
    label : str
        Column of the readings.
    yes : tuple
        Classes that mean yes.
    asked : str
        The question in words.
    unit : str
        Of the software's score.
    limit : float
        The score at which the answer should change.
    """

    name: str
    label: str
    yes: tuple
    asked: str
    unit: str
    limit: float

    def answers(self, readings: pd.DataFrame) -> pd.DataFrame:
        """1 for yes, 0 for no, NaN if unread: a row per subject, a column per reader."""
        wide = codes(readings, self.label)
        chosen = [SCALES[self.label].index(value) for value in self.yes]
        return wide.isin(chosen).astype(float).where(wide.notna())

    def finest(self, readings: pd.DataFrame) -> pd.DataFrame:
        """What a reader's answer is made from, as finely as it was given, in that form."""
        if self.name == "sides":
            return self.answers(readings)
        return codes(readings, "percent" if self.name == "involvement" else self.label)

    def score(self, values: pd.DataFrame) -> pd.Series:
        """The software's continuous value in %, by subject; NaN where it sees no lesion."""
        table = values.set_index("subject")
        if self.name == "sides":
            return 100 * (0.5 - (table["left"] - 0.5).abs())
        column = {"type": "consolidation", "zones": "upper"}.get(self.name, "involvement")
        return table[column] * (1 if self.name == "involvement" else 100)


def with_cuts(
    *, involvement_from: int = 3, type_from: str = "mixed", zones_from: str = "both"
) -> dict[str, Question]:
    """The four questions, by name: each label's classes from one on mean yes.

    The cuts that were published are not known; these are guesses.

    Parameters
    ----------
    involvement_from : {2, 3, 4, 5}
        Class of CT severity.
    type_from : {"mixed", "consolidation"}
    zones_from : {"both", "upper"}
    """
    k, t, z = (
        SCALES[label].index(value)
        for label, value in (
            ("ct_ss", involvement_from),
            ("type", type_from),
            ("zones", zones_from),
        )
    )
    limit = {label: [100 * share for share in LIMITS[label]] for label in SCALES}
    kind = "consolidated in part or wholly" if t == 1 else "wholly consolidated"
    place = "not in the lower parts alone" if z == 1 else "mainly in the upper parts"
    rows = [
        ("involvement", "ct_ss", k, f"{limit['ct_ss'][k - 1]:g} % of the lungs or more affected",
         "% of the lungs"),
        ("type", "type", t, kind, "consolidation, % of the lesions"),
        ("sides", "sides", 1, "both lungs affected", "in the lung with less, % of the lesions"),
        ("zones", "zones", z, place, "in the upper half, % of the lesions"),
    ]  # fmt: skip
    made = {}
    for name, label, first, asked, unit in rows:
        yes = ("bilateral",) if label == "sides" else SCALES[label][first:]
        made[name] = Question(name, label, yes, asked, unit, limit[label][first - 1])
    return made
