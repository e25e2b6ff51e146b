"""The table of quantities, read or made, and the report of its row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import SimpleITK as sitk

from nextaim_kit.data.cohort.fingerprint import MARK
from nextaim_kit.data.cohort.tables import check_columns, read_table
from nextaim_kit.data.datasets.source import SYNTHETIC, find_source
from nextaim_kit.data.paths import place_of
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.report.filling import fill, fill_all
from nextaim_kit.report.model import Report
from nextaim_kit.show.looking import View, volume
from nextaim_kit.studies.ct_lungquant.findings.template import QUANTITIES, TEMPLATE
from nextaim_kit.studies.ct_lungquant.pictures import KINDS

COLUMNS = (*(what.key for what in QUANTITIES), "software")
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


def example_view(subject: str, n: int, seed: int) -> View:
    """Look at a synthetic patient's CT: lungs outlined, both kinds of lesions filled."""
    from nextaim_kit.data.images.reading import read_image
    from nextaim_kit.studies.ct_lungquant.twin import make_twin

    patient = make_twin(n, size=SIZE, seed=seed).set_index("subject").loc[subject]
    lesions = read_image(str(patient["lesions"]))
    kinds = {name: lesions == number for number, name in enumerate(KINDS[1:], 1)}
    found = {name: mask for name, mask in kinds.items() if sitk.GetArrayViewFromImage(mask).any()}
    masks = {"lungs": str(patient["lungs"]), **found}
    return volume(str(patient["image"]), masks, title=f"Synthetic CT of {subject}")


def drawn(view: View, path: Path) -> str:
    """Draw what a viewer shows into a file; the path as text."""
    from nextaim_kit.files import atomic_path

    with atomic_path(path) as partial:
        view.still().savefig(partial, metadata={"Software": None}, bbox_inches="tight")
    return str(path)


def make_report(row: Mapping[str, Any]) -> Report:
    """LungQuant's report of one row of the table."""
    return fill(TEMPLATE, row)


def make_reports(table: pd.DataFrame) -> tuple[dict[str, Report], pd.DataFrame]:
    """LungQuant's reports by subject, and the failures, as of `data.each.Done`."""
    return fill_all(TEMPLATE, table)


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
