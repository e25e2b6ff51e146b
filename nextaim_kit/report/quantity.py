"""One line of a report: a number with its unit and bounds, a choice, or a flag."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from nextaim_kit.errors import RequestError
from nextaim_kit.report import codes
from nextaim_kit.report.codes import Code

Value = float | int | bool | str | None


@dataclass(frozen=True)
class Quantity:
    """One line of a report: what it is, how it is coded, what it may be.

    A ``number`` has a unit and bounds, a ``choice`` its words with their codes, a ``flag`` is yes
    or no. `scale` brings the table's shares to the unit; `bound` marks what an incomplete image
    makes a lower bound. An `optional` one may be None, for which `absent` is written. `supported`
    are the digits that the measurement supports: a page for people shows no more, exports do.

    Examples
    --------
    >>> from nextaim_kit.report import codes
    >>> breast = codes.Code(codes.SNOMED, "76752008", "Breast")
    >>> system = codes.OwnSystem("99BREAST", "http://example.org/breast", "Breast", "BR")
    >>> size = Quantity("size_mm", "Largest diameter", codes.Code(system, "BR-SIZE", "Diameter"),
    ...                 "number", "by the reader", finding=codes.LESION, site=breast,
    ...                 unit=codes.MILLIMETERS, low=0, high=200)
    >>> size.expected
    'a number from 0 to 200 mm'
    >>> size.checked(12.34)
    12.3
    """

    key: str
    label: str
    code: Code
    kind: Literal["number", "choice", "flag"]
    how: str
    section: Code = codes.FINDINGS
    # What is measured, and where it lies; a report that comes from no image may do without.
    finding: Code | None = field(kw_only=True, default=None)
    site: Code | None = field(kw_only=True, default=None)
    standard: Code | None = None
    unit: Code | None = None
    low: float = -math.inf
    high: float = math.inf
    digits: int = 1
    scale: float = 1.0
    choices: tuple[tuple[str, Code], ...] = ()
    bound: bool = False
    optional: bool = False
    absent: str = "not mentioned"
    supported: int | None = None

    def from_cell(self, cell: Any) -> Value:
        """Value of a table's cell in the report's unit, rounded; bounds are not looked at.

        Raises
        ------
        RequestError
            If the cell is empty, and the value not optional, or of another type.
        """
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if self.optional and (cell is None or cell != cell):
            return None
        if self.kind == "number" and isinstance(cell, int | float) and not isinstance(cell, bool):
            cell = self.rounded(cell * self.scale)
        elif self.kind == "flag":
            cell = {"true": True, "false": False}.get(str(cell).lower(), cell)
        return self.typed(cell)

    def typed(self, value: Any) -> Value:
        """The value as the right type; RequestError if it is of another or not finite."""
        if value is None and self.optional:
            return None
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
        if value is None or self.kind != "number":
            return True
        return self.low <= float(value) <= self.high

    def checked(self, value: Any) -> Value:
        """The value, if it is of the right type and possible; RequestError otherwise."""
        value = self.typed(value)
        if self.possible(value):
            return value
        raise RequestError(
            f"{self.label} cannot be {value} {self.unit_text}".rstrip(),
            expected=self.expected,
            found=str(value),
        )

    @property
    def ucum(self) -> str:
        """The unit in UCUM; empty for choices and flags."""
        return self.unit.value if self.unit else ""

    @property
    def unit_text(self) -> str:
        """The unit as a person reads it; empty for pure numbers, which UCUM calls 1 or {score}."""
        return "" if self.ucum == "1" or self.ucum.startswith("{") else self.ucum

    @property
    def expected(self) -> str:
        """What a value may be, in words."""
        none = " or None" if self.optional else ""
        if self.kind == "number":
            return f"a number from {self.low:g} to {self.high:g} {self.unit_text}".rstrip() + none
        words = [repr(word) for word, _ in self.choices] or ["True", "False"]
        return " or ".join(words) + none

    def written(self, value: Value) -> str:
        """A value with its unit, as in a sentence."""
        unit = "" if value is None else self.unit_text
        return f"{self.shown(value)} {unit}".rstrip()

    def shown(self, value: Value) -> str:
        """A value as it is written for a person, without its unit."""
        if value is None:
            return self.absent
        if self.kind == "flag":
            return "yes" if value else "no"
        if self.kind == "number":
            return f"{value:.{self.digits}f}"
        return dict(self.choices)[str(value)].display

    def coarse(self, value: Value) -> str:
        """A value to the digits that the measurement supports; never 0 for what is not 0.

        Examples
        --------
        >>> from nextaim_kit.report import codes
        >>> system = codes.OwnSystem("99X", "http://example.org/x", "X", "X")
        >>> share = Quantity("share", "Share", codes.Code(system, "X-SHARE", "Share"), "number",
        ...                  "by eye", unit=codes.PERCENT, low=0, high=100, supported=0)
        >>> [share.coarse(value) for value in (0.0, 0.2, 20.3, 99.8, 100.0)]
        ['0', '<1', '20', '>99', '100']
        """
        if value is None or self.supported is None:
            return self.shown(value)
        said, step = f"{value:.{self.supported}f}", 10.0**-self.supported
        for end, sign, inner in ((self.low, "<", step), (self.high, ">", -step)):
            if float(said) == end != value:
                return f"{sign}{end + inner:.{self.supported}f}"
        return said
