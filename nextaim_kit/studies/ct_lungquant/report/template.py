"""The template: which quantities a report has, with section, code, unit, place and bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.definitions import TYPES
from nextaim_kit.studies.ct_lungquant.report import codes
from nextaim_kit.studies.ct_lungquant.report.codes import Code, own

Value = float | int | bool | str


@dataclass(frozen=True)
class Quantity:
    """One line of the report: what it is, how it is coded, what it may be.

    A ``number`` has a unit and bounds, a ``choice`` its words with their codes, a ``flag`` is yes
    or no. `scale` brings the table's shares to the unit. With `of_lesions` the line is there
    only where there are lesions; `bound` marks what an incomplete scan makes a lower bound.
    """

    key: str
    label: str
    code: Code
    kind: Literal["number", "choice", "flag"]
    how: str
    section: Code = codes.FINDINGS
    finding: Code = codes.LUNG  # what is measured; `site` is where it lies
    site: Code = codes.LUNG
    standard: Code | None = None
    unit: Code | None = None
    low: float = -math.inf
    high: float = math.inf
    digits: int = 1
    scale: float = 1.0
    choices: tuple[tuple[str, Code], ...] = ()
    of_lesions: bool = False
    bound: bool = False

    def from_cell(self, cell: Any) -> Value:
        """Value of a table's cell in the report's unit, rounded; bounds are not looked at.

        Raises
        ------
        RequestError
            If the cell is empty or of another type.
        """
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if self.kind == "number" and isinstance(cell, int | float) and not isinstance(cell, bool):
            cell = self.rounded(cell * self.scale)
        elif self.kind == "flag":
            cell = {"true": True, "false": False}.get(str(cell).lower(), cell)
        return self.typed(cell)

    def typed(self, value: Any) -> Value:
        """The value as the right type; RequestError if it is of another or not finite."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = {
            "number": number and math.isfinite(value),
            "choice": isinstance(value, str) and value in dict(self.choices),
            "flag": isinstance(value, bool),
        }
        if right[self.kind]:
            return self.rounded(value) if self.kind == "number" else value
        raise RequestError(
            f"{self.label} cannot be {value!r}", expected=self.expected, found=repr(value)
        )

    def rounded(self, value: float) -> float | int:
        """A number to the digits that are reported; whole without any."""
        if not math.isfinite(value):
            return value
        return round(float(value), self.digits) if self.digits else round(value)

    def possible(self, value: Value) -> bool:
        """Whether a value lies within the bounds."""
        return self.kind != "number" or self.low <= float(value) <= self.high

    def checked(self, value: Any) -> Value:
        """The value, if it is of the right type and possible; RequestError otherwise."""
        value = self.typed(value)
        if self.possible(value):
            return value
        raise RequestError(
            f"{self.label} cannot be {value} {self.ucum}".rstrip(),
            expected=self.expected,
            found=str(value),
        )

    @property
    def ucum(self) -> str:
        """The unit in UCUM; empty for choices and flags."""
        return self.unit.value if self.unit else ""

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        if self.kind == "number":
            return f"a number from {self.low:g} to {self.high:g} {self.ucum}"
        words = [repr(word) for word, _ in self.choices] or ["True", "False"]
        return " or ".join(words)

    def shown(self, value: Value) -> str:
        """A value as it is written for a person, without its unit."""
        if self.kind == "flag":
            return "yes" if value else "no"
        return f"{value:.{self.digits}f}" if self.kind == "number" else str(value)


def _ml(key: str, label: str, code: str, high: float, **more: Any) -> Quantity:
    return Quantity(
        key, label, own(code, label), "number", "voxels of the mask times a voxel's volume",
        standard=codes.VOLUME, unit=codes.MILLILITERS, low=0, high=high, bound=True, **more,
    )  # fmt: skip


def _percent(key: str, label: str, code: str, how: str, **more: Any) -> Quantity:
    return Quantity(
        key, label, own(code, label), "number", how,
        unit=codes.PERCENT, low=0, high=100, **{"digits": 2} | more,
    )  # fmt: skip


def _flag(key: str, label: str, code: str, how: str, **more: Any) -> Quantity:
    return Quantity(key, label, own(code, label), "flag", how, **more)


LESION: dict[str, Any] = {"finding": codes.LESION}
RIGHT, LEFT = {"site": codes.RIGHT_LUNG}, {"site": codes.LEFT_LUNG}
SHARE = {"scale": 100.0, "digits": 1, "of_lesions": True, **LESION}
_WORDS = dict(zip(TYPES, ("LQ-GG", "LQ-MIXED", "LQ-CONS"), strict=True)) | {"none": "LQ-NONE"}
# No lung is larger than this [guess]: twice the largest total capacities, for a slip of units.
LARGEST_ML = 20000.0

TEMPLATE = (
    _flag("complete", "Scan holds the whole lungs", "LQ-WHOLE",
          "no lung touches the first or last slice", section=codes.PROCEDURE),
    _ml("right_ml", "Volume of the right lung", "LQ-VOL-R", LARGEST_ML, **RIGHT),
    _ml("left_ml", "Volume of the left lung", "LQ-VOL-L", LARGEST_ML, **LEFT),
    _ml("lungs_ml", "Volume of both lungs", "LQ-VOL", LARGEST_ML),
    _ml("lesions_right_ml", "Volume of lesions in the right lung", "LQ-LES-R", LARGEST_ML,
        **RIGHT, **LESION),
    _ml("lesions_left_ml", "Volume of lesions in the left lung", "LQ-LES-L", LARGEST_ML,
        **LEFT, **LESION),
    _ml("lesions_ml", "Volume of lesions", "LQ-LES", LARGEST_ML, **LESION),
    _percent("involvement_right", "Right lung affected", "LQ-INV-R",
             "lesions over lung, right", **RIGHT),
    _percent("involvement_left", "Left lung affected", "LQ-INV-L",
             "lesions over lung, left", **LEFT),
    _percent("involvement", "Lungs affected", "LQ-INV", "lesions over lungs"),
    Quantity("ct_ss", "CT severity class", own("LQ-CTSS", "CT severity class, 1 to 5"),
             "number", "class of the share that is affected: below 5, 25, 50, 75 %, and above",
             unit=codes.SCORE, low=1, high=5, digits=0),
    Quantity("type", "Type of the lesions", own("LQ-TYPE", "Type of the lesions"), "choice",
             "by the share of consolidation: below 10 %, below 50 %, and above",
             choices=tuple((word, own(code, word)) for word, code in _WORDS.items()), **LESION),
    _percent("ground_glass", "Ground glass", "LQ-GG-SHARE", "share of the lesions' volume",
             **SHARE),
    _percent("consolidation", "Consolidation", "LQ-CONS-SHARE", "share of the lesions' volume",
             **SHARE),
    _percent("left", "Lesions in the left lung", "LQ-LEFT", "share of the lesions' volume",
             **SHARE),
    _percent("upper", "Lesions in the upper half", "LQ-UPPER", "share of the lesions' volume",
             **SHARE),
    _percent("peripheral", "Lesions near the pleura", "LQ-PERIPH",
             "share of the lesions' volume at most 20 mm from it", **SHARE),
    _flag("bilateral", "Both lungs affected", "LQ-BILATERAL",
          "at least 10 % of the lesions' volume in each lung", **LESION),
)  # fmt: skip
BY_KEY = {quantity.key: quantity for quantity in TEMPLATE}
