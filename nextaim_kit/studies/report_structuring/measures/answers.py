"""What a method says of reports, and where that is right and held by the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.studies.report_structuring.numbers import NumberSpan, find_numbers, value_in
from nextaim_kit.studies.report_structuring.schema import NOT_MENTIONED, Field, Template

Spans = Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class Answers:
    """What a method says of reports.

    Attributes
    ----------
    values : DataFrame
        A row for each report, in their order, and a column for each field: for a choice one of
        its words or `NOT_MENTIONED`, for a number a float, NaN where it is not mentioned.
    confidence : DataFrame
        Of the same shape, 0 to 1; NaN where the method has none.
    raw : tuple of str
        What a text model wrote, word for word.
    valid : array of bool, optional
        Whether that follows the template.
    unread : DataFrame of bool, optional
        Fields that could not be read in it: they count as wrong, whatever `values` says.
    """

    values: pd.DataFrame
    confidence: pd.DataFrame
    raw: tuple[str, ...] = ()
    valid: NDArray[np.bool_] | None = None
    unread: pd.DataFrame | None = None

    @classmethod
    def of(cls, columns: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Answers:
        """Answers from the values and the confidence of each field."""
        values = {key: np.asarray(found) for key, (found, _) in columns.items()}
        sure = {key: np.asarray(found, float) for key, (_, found) in columns.items()}
        return cls(pd.DataFrame(values), pd.DataFrame(sure))

    def __len__(self) -> int:
        return len(self.values)

    def only(self, rows: ArrayLike) -> Answers:
        """Those of some reports, by position or by a mask."""
        at = np.asarray(rows)
        at = np.flatnonzero(at) if at.dtype == bool else at
        return replace(
            self,
            values=self.values.iloc[at],
            confidence=self.confidence.iloc[at],
            raw=tuple(self.raw[k] for k in at) if self.raw else (),
            valid=None if self.valid is None else self.valid[at],
            unread=None if self.unread is None else self.unread.iloc[at],
        )


def read_from(table: pd.DataFrame) -> tuple[list[str], list[str] | None]:
    """What a structurer is asked about: the texts, and their languages where they are known."""
    return table["text"].tolist(), table["language"].tolist() if "language" in table else None


def mentioned(values: pd.DataFrame, template: Template) -> pd.DataFrame:
    """Where values state something: neither NaN nor `NOT_MENTIONED`."""
    known = values[[field.key for field in template.fields]]
    return known.notna() & (known != NOT_MENTIONED)


def right(
    answers: Answers, truth: pd.DataFrame, template: Template, *, tolerance: float = 0.5
) -> pd.DataFrame:
    """Where answers are right: the same choice, the number within its tolerance, or silence.

    Parameters
    ----------
    answers : Answers
    truth : DataFrame
        As `Answers.values`, in the same order.
    template : Template
    tolerance : float
        In units of the field's last decimal: 0.5 asks for the number as it is written.

    Raises
    ------
    DataError
        If there are not as many answers as reports.
    """
    if len(answers) != len(truth):
        raise DataError("answers and reports differ in number",
                        expected=f"{len(truth)} answers", found=str(len(answers)))  # fmt: skip
    lost = unread(answers, template)
    found = {
        f.key: _same(f, answers.values[f.key], truth[f.key], tolerance) & ~lost[:, k]
        for k, f in enumerate(template.fields)
    }
    return pd.DataFrame(found, index=truth.index)


def supported(
    answers: Answers,
    texts: Sequence[str],
    template: Template,
    *,
    spans: Sequence[Spans] | None = None,
    languages: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Where the text holds what an answer states.

    With the true `spans` of each field's evidence, a number must stand in one of its own field:
    that of an earlier examination is no support. Without them it must stand anywhere in the text.
    A choice is supported where its field has a span; without spans every choice is.

    Parameters
    ----------
    answers : Answers
    texts : sequence of str
    template : Template
    spans : sequence of mapping of str to sequence of (start, end), optional
        Of each text, by field.
    languages : sequence of str, optional
        Of each text; by default Italian.

    Returns
    -------
    DataFrame of bool
        Also True where nothing is stated.
    """
    stated = mentioned(answers.values, template)
    given = answers.values[[*stated]].to_numpy(object)
    found = np.ones(stated.shape, bool)
    for row, k in zip(*np.nonzero(stated), strict=True):
        field = template.fields[k]
        own = None if spans is None else spans[row].get(field.key, ())
        if field.kind == "choice":
            found[row, k] = own is None or bool(own)
            continue
        numbers = find_numbers(texts[row], languages[row] if languages is not None else "it")
        at = [value_in(n, field.unit) for n in numbers if own is None or _inside(n, own)]
        off = [abs(value - given[row, k]) for value in at if value is not None]
        found[row, k] = min(off, default=np.inf) <= margin(field)
    return pd.DataFrame(found, index=stated.index, columns=stated.columns)


def unread(answers: Answers, template: Template) -> NDArray[np.bool_]:
    keys = list(template.by_key)
    if answers.unread is None:
        return np.zeros((len(answers), len(keys)), bool)
    return answers.unread[keys].to_numpy(bool)


def margin(field: Field, tolerance: float = 0.5) -> float:
    return tolerance * 10.0**-field.decimals + 1e-9


def _same(field: Field, given: pd.Series, true: pd.Series, tolerance: float) -> NDArray[np.bool_]:
    if field.kind == "choice":
        return words(field, given) == words(field, true)
    a, b = given.to_numpy(float), true.to_numpy(float)
    return (np.abs(a - b) <= margin(field, tolerance)) | (np.isnan(a) & np.isnan(b))


def words(field: Field, values: pd.Series) -> NDArray:
    """Values as words; of numbers whether they are mentioned."""
    if field.kind == "number":
        return np.where(values.notna(), "mentioned", NOT_MENTIONED)
    return values.fillna(NOT_MENTIONED).to_numpy(str)


def _inside(number: NumberSpan, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < number.end and number.start < end for start, end in spans)
