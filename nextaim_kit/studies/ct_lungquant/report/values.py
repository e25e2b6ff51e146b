"""From the table of quantities to reports, one a subject."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nextaim_kit.data.each import each
from nextaim_kit.data.fingerprint import MARK
from nextaim_kit.data.source import SYNTHETIC, find_source, place_of
from nextaim_kit.data.tables import check_columns, read_table
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.report.model import Field, Report
from nextaim_kit.studies.ct_lungquant.report.template import TEMPLATE

Row = dict[str, Any]
COLUMNS = (*(what.key for what in TEMPLATE), "software")
SIZE = (100, 75, 50)


def load_values(spec: str, *, patients: int = 60, seed: int = 2024) -> pd.DataFrame:
    """Read the table of quantities, or make one of synthetic patients.

    Parameters
    ----------
    spec : str
        A ``values.csv``, or ``synthetic`` for the example.
    patients, seed : int
        Of the example.

    Returns
    -------
    DataFrame
        One row per subject: ``subject``, ``site``, `COLUMNS` (shares from 0 to 1), ``warnings``,
        ``picture`` (path or empty) and ``provenance_synthetic``.

    Raises
    ------
    RequestError
        If there is no such table.
    DataError
        If it is damaged, lacks a column or repeats a subject.
    """
    if spec == SYNTHETIC:
        return example_values(patients, seed)
    path = find_source(spec).path
    table = read_table(path)
    check_columns([str(name) for name in table], COLUMNS, path)
    if table.empty or table["subject"].duplicated().any():
        raise DataError(f"{path.name} must have each subject once", found=f"{len(table)} rows")
    made = table[MARK].astype(str).str.lower() == "true" if MARK in table else False
    blank = pd.Series("", table.index)
    given = {n: table.get(n, blank).astype(object) for n in ("site", "warnings", "picture")}
    texts = {n: cells.fillna("").astype(str) for n, cells in given.items()}
    texts["picture"] = texts["picture"].map(lambda p: str(place_of(p, path.parent)) if p else "")
    return table.assign(**texts, **{MARK: made})


def example_values(n: int, seed: int) -> pd.DataFrame:
    """Quantities of synthetic patients as the masks that were planted have them."""
    from nextaim_kit.studies.ct_lungquant.twin import make_twin

    twin = make_twin(n, size=SIZE, seed=seed)
    known = [str(c) for c in twin if str(c).startswith("truth_")]
    table = twin[["subject", "site", *known]].rename(columns=lambda c: c.removeprefix("truth_"))
    table["lungs_ml"] = table["right_ml"] + table["left_ml"]
    for side in ("right", "left"):
        share = table[f"involvement_{side}"] / 100
        table[f"lesions_{side}_ml"] = share * table[f"{side}_ml"]
    software = "masks as planted, synthetic twin"
    return table.assign(complete=True, software=software, warnings="", picture="", **{MARK: True})


def example_picture(subject: str, n: int, seed: int, path: Path) -> str:
    """Draw a synthetic patient's CT, lungs outlined and lesions filled; the path as text."""
    from nextaim_kit.files import atomic_path
    from nextaim_kit.show.volume import volume
    from nextaim_kit.studies.ct_lungquant.twin import make_twin

    patient = make_twin(n, size=SIZE, seed=seed).set_index("subject").loc[subject]
    marked = ["lungs", "lesions"] if patient["truth_lesions_ml"] > 0 else ["lungs"]
    masks = {what: str(patient[what]) for what in marked}
    shown = volume(str(patient["image"]), masks, title=f"Synthetic CT of {subject}")
    with atomic_path(path) as partial:
        shown.still().savefig(partial, metadata={"Software": None}, bbox_inches="tight")
    return str(path)


def make_reports(table: pd.DataFrame) -> tuple[dict[str, Report], pd.DataFrame]:
    """Reports by subject, and the failures, as of `data.each.Done`."""
    found = each(table, make_report, workers=1)
    return dict(zip(found.rows["subject"].astype(str), found.results, strict=True)), found.failures


def records(table: pd.DataFrame) -> list[Row]:
    """Rows of a table as dictionaries."""
    return [{str(k): cell for k, cell in row.items()} for row in table.to_dict("records")]


def make_report(row: Mapping[str, Any]) -> Report:
    """Fill the template with one row of the table; nothing is confirmed yet.

    An impossible number stays, cannot be confirmed and is named by `consistency.doubts`.

    Raises
    ------
    DataError
        If a value is missing or of another type.
    """
    subject, lesions = str(row["subject"]), row["lesions_ml"]
    fields = []
    for what in TEMPLATE:
        if what.of_lesions and lesions == 0:
            continue
        try:
            value = what.from_cell(row[what.key])
        except RequestError as error:
            raise DataError(
                f"{subject}: {what.key} is no value",
                expected=error.expected,
                found=error.found,
                mend="run the quantification of this subject again, or leave its row out",
            ) from error
        fields.append(Field(what, value, value))
    said = str(row.get("warnings") or "").split(";")
    return Report(
        subject=subject,
        site=str(row.get("site") or ""),
        software=str(row["software"]),
        fields=tuple(fields),
        warnings=tuple(text.strip() for text in said if text.strip()),
        synthetic=bool(row.get(MARK, False)),
        picture=str(row.get("picture") or ""),
    )


def choose(reports: Mapping[str, Report], subject: str) -> Report:
    """The report of a subject, the first where none is named; RequestError if it is not there."""
    if not reports:
        raise DataError("no report could be made", mend="see failures.csv for the reasons")
    if not subject:
        return next(iter(reports.values()))
    if subject in reports:
        return reports[subject]
    raise RequestError(
        f"there is no report of subject {subject!r}",
        expected="one of " + ", ".join(list(reports)[:8]) + (" ..." if len(reports) > 8 else ""),
        mend="give another subject, or none for the first",
    )
