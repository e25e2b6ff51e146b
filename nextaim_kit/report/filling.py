"""From rows of a table to reports, one a subject."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.report.model import Field, Report, Template

Row = dict[str, Any]


def fill_all(template: Template, table: pd.DataFrame) -> tuple[dict[str, Report], pd.DataFrame]:
    """Reports by subject, and the failures, as of `data.each.Done`."""
    found = each(table, partial(fill, template), workers=1)
    return dict(zip(found.rows["subject"].astype(str), found.results, strict=True)), found.failures


def records(table: pd.DataFrame) -> list[Row]:
    """Rows of a table as dictionaries."""
    return [{str(k): cell for k, cell in row.items()} for row in table.to_dict("records")]


def fill(template: Template, row: Mapping[str, Any]) -> Report:
    """Fill a template with one row of a table; nothing is confirmed yet.

    An impossible number stays, cannot be confirmed and is named by `Report.doubts`.

    Parameters
    ----------
    template : Template
    row : mapping
        ``subject``, ``software`` and a value by the key of each quantity; optionally ``site``,
        ``warnings`` (separated by semicolons), ``picture`` (a path) and ``provenance_synthetic``;
        of what was read from a text ``text``, and by key ``confidence`` and ``evidence``.

    Raises
    ------
    DataError
        If a value is missing or of another type.
    """
    subject, fields = str(row["subject"]), []
    sure, spans = row.get("confidence") or {}, row.get("evidence") or {}
    for what in template.quantities:
        try:
            value = what.from_cell(row[what.key])
        except RequestError as error:
            raise DataError(
                f"{subject}: {what.key} is no value",
                expected=error.expected,
                found=error.found,
                mend="measure this subject again, or leave its row out",
            ) from error
        told = sure.get(what.key)
        known = None if told is None or told != told else round(float(told), 4)
        read = tuple((int(first), int(end)) for first, end in spans.get(what.key, ()))
        fields.append(Field(what, value, value, confidence=known, evidence=read))
    said = str(row.get("warnings") or "").split(";")
    return Report(
        template=template,
        subject=subject,
        site=str(row.get("site") or ""),
        software=str(row["software"]),
        fields=tuple(fields),
        warnings=tuple(text.strip() for text in said if text.strip()),
        synthetic=bool(row.get(MARK, False)),
        picture=str(row.get("picture") or ""),
        text=str(row.get("text") or ""),
    )
