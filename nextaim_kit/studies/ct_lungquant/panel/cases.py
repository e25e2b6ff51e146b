"""A panel's readings and software's values of the same CTs, brought together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nextaim_kit.data.cohort.loading import load_cohort, problems
from nextaim_kit.data.cohort.tables import read_table
from nextaim_kit.data.datasets.source import find_source
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.studies.ct_lungquant.panel.checked_tables import (
    READ,
    checked_readings,
    checked_values,
)
from nextaim_kit.studies.ct_lungquant.panel.readers import SCALES, read_panel
from nextaim_kit.studies.ct_lungquant.quantification import quantify
from nextaim_kit.studies.ct_lungquant.twin import make_twin, size_of

_FEWEST = 10  # subjects with readings and values, below which nothing can be said


@dataclass(frozen=True)
class Material:
    """What is compared: `values` by subject, `readings` by subject and reader, and what is not.

    `problems` has the columns ``subject``, ``reader`` (empty where it is not one reader's) and
    ``problem``.
    """

    values: pd.DataFrame
    readings: pd.DataFrame
    problems: pd.DataFrame


def load_material(
    cohort: str,
    *,
    twin: Callable[[], pd.DataFrame],
    measure: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    values: str = "",
    readings: str = "",
    seed: int = 2024,
) -> Material:
    """Load or make both tables, and keep the subjects that both have.

    Parameters
    ----------
    cohort : str
        As for `load_cohort`; not looked at where both tables are given.
    twin : callable
        Makes the synthetic twin, whose truth the simulated panel reads.
    measure : callable, optional
        Measures a cohort's CTs, where `values` is not given: `measured`, without another.
        Subjects that it names as `problems` of its table are kept as such.
    values, readings : str
        Paths of tables, see `checked_values` and `checked_readings`.
    seed : int
        Of the simulated panel.

    Raises
    ------
    RequestError
        If CTs that are not synthetic come without readings.
    DataError
        If a table cannot be used, or fewer than ten subjects have both.
    """
    table = _cohort(cohort, twin) if not (values and readings) else pd.DataFrame()
    if not readings:
        _require_truth(table)
    known = [problems(table)]
    given = _table(values) if values else (measure or measured)(table)
    software, doubts = checked_values(given, Path(values).name or "the measured values")
    known += [problems(given), doubts]
    if readings:
        read, doubts = checked_readings(_table(readings), Path(readings).name)
        known.append(doubts)
    else:
        read = read_panel(table[table["subject"].isin(software["subject"])], seed=seed)
    if "slice_mm" in table and "slice_mm" not in software:
        software = software.merge(table[["subject", "slice_mm"]], how="left", on="subject")
    return _matched(software, read, known)


def synthetic(patients: int, voxels: int) -> pd.DataFrame:
    """The twin's patients, with so many voxels across a chest."""
    return make_twin(patients, size=size_of(voxels))


def few_cases(readings: pd.DataFrame, least: int) -> pd.DataFrame:
    """Readers of fewer than `least` subjects, whose labels count but who are not judged."""
    counts = readings[readings[list(SCALES)].notna().any(axis=1)].groupby("reader").size()
    counts = counts.reindex(sorted(readings["reader"].unique()), fill_value=0)
    few = counts[counts < least]
    said = [f"read {n} subjects, fewer than {least}: not judged as a reader" for n in few]
    return pd.DataFrame({"subject": "", "reader": few.index, "problem": said})


def judged(readings: pd.DataFrame, few: pd.DataFrame) -> pd.DataFrame:
    """Readings of the readers who are not among the `few_cases`.

    Raises
    ------
    DataError
        If fewer than two are left.
    """
    left = readings[~readings["reader"].isin(few["reader"])].reset_index(drop=True)
    if left["reader"].nunique() < 2:
        raise DataError(
            "too few readers have read enough subjects",
            expected="two readers or more who can be compared",
            found=f"{left['reader'].nunique()} of {readings['reader'].nunique()}",
            mend="lower least_cases, or add readings",
        )
    return left


def measured(cohort: pd.DataFrame) -> pd.DataFrame:
    """Values of a cohort's CTs by thresholds, without a network; `problems` names the others.

    Parameters
    ----------
    cohort : DataFrame
        ``subject``, ``site``, ``image``.
    """
    values, failures = quantify(cohort)
    values.attrs["problems"] = failures.to_dict("records")
    return values


def _cohort(spec: str, twin: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    return load_cohort(spec, twin=twin, columns=("image",))


def _table(spec: str) -> pd.DataFrame:
    return read_table(find_source(spec).path)


def _require_truth(cohort: pd.DataFrame) -> None:
    if "truth_involvement" not in cohort:
        raise RequestError(
            "these CTs have nobody's readings",
            expected="a table of readings beside CTs that are not synthetic",
            found="none",
            mend="give readings=...csv with subject, " + ", ".join(READ),
        )


def _matched(values: pd.DataFrame, readings: pd.DataFrame, known: list[pd.DataFrame]) -> Material:
    both = set(values["subject"]) & set(readings["subject"])
    if len(both) < _FEWEST:
        few = min(values["subject"].nunique(), readings["subject"].nunique()) < _FEWEST
        raise DataError(
            "too few subjects to compare readers and software"
            if few
            else "readings and values are hardly of the same subjects",
            expected=f"{_FEWEST} subjects or more in both tables",
            found=f"{len(both)}; values of {', '.join(values['subject'][:3])} and more, readings "
            f"of {', '.join(readings['subject'].unique()[:3])} and more",
            mend="give values and readings of more subjects"
            if few
            else "write the subjects in the same way in both tables",
        )
    lonely = {
        "values, but no readings": set(values["subject"]) - both,
        "readings, but no values": set(readings["subject"]) - both,
    }
    rows = [(s, "", problem) for problem, some in lonely.items() for s in sorted(some)]
    alone = pd.DataFrame(rows, columns=["subject", "reader", "problem"])
    alone = alone[~alone["subject"].isin(pd.concat([t["subject"] for t in known]))]
    whole = pd.concat([*known, alone], ignore_index=True).fillna({"reader": ""})
    values, readings = (
        t[t["subject"].isin(both)].reset_index(drop=True) for t in (values, readings)
    )
    return Material(values, readings, whole.reindex(columns=["subject", "reader", "problem"]))
