"""The report as data: fields with their state, confirmed or edited one by one, never in place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nextaim_kit.errors import RequestError
from nextaim_kit.studies.ct_lungquant.report.template import BY_KEY, Quantity, Value

State = Literal["ai-derived", "confirmed", "edited"]
UNCONFIRMED = "AI-derived, not confirmed"
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Field:
    """A value in the report: what the algorithm said, what holds now, and by whose word."""

    what: Quantity
    ai_value: Value
    value: Value
    status: State = "ai-derived"
    by: str = ""

    @property
    def possible(self) -> bool:
        """Whether the value lies within its bounds."""
        return self.what.possible(self.value)


@dataclass(frozen=True)
class Report:
    """One CT's report. `warnings` are the algorithm's; `picture` is a file and no part of it."""

    subject: str
    site: str
    software: str
    fields: tuple[Field, ...]
    warnings: tuple[str, ...] = ()
    synthetic: bool = False
    picture: str = field(default="", compare=False)

    @property
    def values(self) -> dict[str, Value]:
        """Value by key, as it holds now."""
        return {f.what.key: f.value for f in self.fields}

    @property
    def unconfirmed(self) -> list[str]:
        """Keys that no reader has confirmed or edited."""
        return [f.what.key for f in self.fields if f.status == "ai-derived"]

    @property
    def final(self) -> bool:
        """Whether every field was confirmed or edited."""
        return not self.unconfirmed

    @property
    def readers(self) -> list[str]:
        """Pseudonyms of those who reviewed a field, sorted."""
        return sorted({f.by for f in self.fields if f.by})

    @property
    def state(self) -> str:
        """The report's state in words, for a banner."""
        n, left = len(self.fields), len(self.unconfirmed)
        if left:
            return f"{UNCONFIRMED}: {left} of {n} values"
        return f"All {n} values confirmed or edited by {', '.join(self.readers)}"

    def field(self, key: str) -> Field:
        """The field of a key; RequestError if the report has none."""
        for one in self.fields:
            if one.what.key == key:
                return one
        raise RequestError(
            f"the report of {self.subject} has no field {key!r}",
            expected=", ".join(self.values),
            found="a quantity of lesions, where there are none" if key in BY_KEY else key,
        )

    def confirm(self, key: str, by: str) -> Report:
        """The report with one field confirmed by a reader.

        Raises
        ------
        RequestError
            If the value is impossible, the field unknown, or `by` no pseudonym.
        """
        one = self.field(key)
        if not one.possible:
            raise RequestError(
                f"{one.what.label} of {self.subject} cannot be confirmed",
                expected=one.what.expected,
                found=f"{one.value} {one.what.ucum}".strip(),
                mend="edit it to what the images show",
            )
        kept: State = "edited" if one.status == "edited" else "confirmed"
        return self._with(replace(one, status=kept, by=pseudonym(by)))

    def confirm_all(self, by: str) -> Report:
        """The report with every possible value confirmed: what a reader in a hurry does."""
        report = self
        for key in self.unconfirmed:
            report = report.confirm(key, by) if self.field(key).possible else report
        return report

    def edit(self, key: str, value: Any, by: str) -> Report:
        """The report with one value changed; the algorithm's stays beside it.

        Raises
        ------
        RequestError
            If the value is of the wrong type or out of bounds, the field unknown, or `by` no
            pseudonym.
        """
        one = self.field(key)
        value = one.what.checked(value)
        status: State = "confirmed" if value == one.ai_value else "edited"
        return self._with(replace(one, value=value, status=status, by=pseudonym(by)))

    def _with(self, new: Field) -> Report:
        return replace(
            self, fields=tuple(new if f.what.key == new.what.key else f for f in self.fields)
        )


def pseudonym(by: str) -> str:
    """A reader's pseudonym; RequestError if it is empty or looks like a name."""
    if _PSEUDONYM.fullmatch(by):
        return by
    raise RequestError(
        "this is no pseudonym of a reader",
        expected="1 to 32 letters, digits, - or _, such as reader-1",
        found=repr(by),
    )
