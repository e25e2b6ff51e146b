"""The data of these attacks: what other studies offer, a table of two visits, reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.data.cohort.loading import load_cohort
from nextaim_kit.data.cohort.subjects import each
from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.study_task import Modality, StudyTask, load_task
from nextaim_kit.studies.challenges.privacy.faces import DefacedHead, deface
from nextaim_kit.studies.challenges.privacy.made_heads import Scanned, scan
from nextaim_kit.studies.challenges.privacy.twin import draw_films, make_reports, make_table

_NOT_MEASURES = {"subject", "patient", "site", "label", "reading", "visit", "age", "height_cm"}


class Visits(NamedTuple):
    """Films of patients who come several times, synthetic: one row a film.

    Attributes
    ----------
    x : array of float32, shape (n, 1, rows, columns)
    y : array of int, shape (n,)
        1: severe.
    groups, sites, subjects : arrays of str, shape (n,)
        Patient, site, film.
    """

    x: NDArray
    y: NDArray
    groups: NDArray
    sites: NDArray
    subjects: NDArray


def film_visits(patients: int, seed: int) -> Visits:
    """Three films each of the twin's patients."""
    table, films = draw_films(patients, seed=seed)
    x = (films[:, None] - 0.5) / 0.25
    columns = [table[name].to_numpy() for name in ("label", "patient", "site", "subject")]
    return Visits(x, *columns)


class HeadVisits(NamedTuple):
    """Made-up heads, scanned twice.

    Attributes
    ----------
    known : list of Scanned
        First scans: of those who are shared in their order, then of others.
    shared : list of DefacedHead
        Second scans, with and without the face.
    failures : DataFrame
        Those whose brain was not found, who are left out: ``subject``, ``problem``.
    """

    known: list[Scanned]
    shared: list[DefacedHead]
    failures: pd.DataFrame


def head_visits(people: int, shared: int, *, seed: int) -> HeadVisits:
    """First scans of made-up people, and second ones of the first `shared` of them, defaced.

    Raises
    ------
    RequestError
        If more heads are to be defaced than there are people.
    DataError
        If none could be defaced.
    """
    if shared > people:
        raise RequestError(
            "more heads are shared than there are people", expected=f"{people} or fewer",
            found=str(shared),
        )  # fmt: skip
    asked = pd.DataFrame({"person": range(shared)})
    asked["subject"] = [f"head {person + 1}" for person in asked["person"]]
    few = 1 if shared < 4 else None
    done = each(asked, _second_visit, workers=few, progress="defaced", seed=seed)
    if not done.results:
        raise DataError("no head could be defaced", found=str(done.failures["problem"].iloc[0]))
    persons = [*done.rows["person"], *range(shared, people)]
    known = [scan(int(person), 0, seed=seed) for person in persons]
    return HeadVisits(known, done.results, done.failures)


def _second_visit(row: Mapping[str, Any], seed: int) -> DefacedHead:
    return deface(scan(int(row["person"]), 1, seed=seed))


def load_study(study: str, cohort: str, patients: int, seed: int, modality: Modality) -> StudyTask:
    """What a study offers, of the modality that is attacked here.

    Raises
    ------
    RequestError
        If it is of another modality, or there is no such study.
    """
    task = load_task(study, cohort, patients, seed)
    if task.modality != modality:
        raise RequestError(
            f"{study} offers no {modality}", expected=f"a study of a {modality}",
            found=f"a study of a {task.modality}",
        )  # fmt: skip
    return task


def load_visits(spec: str, patients: int, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """A table of measures with two rows of each patient, and the measures' names.

    Parameters
    ----------
    spec : str
        ``synthetic``, or a table with ``subject`` (unique), ``patient``, ``site``, ``label`` and
        numbers; those of a column that is no identity, age or height are measures.
    patients, seed : int
        Of the twin.

    Raises
    ------
    DataError
        If there is no column ``patient`` or no measure without gaps.
    """
    table = load_cohort(spec, twin=partial(make_table, patients, seed=seed), columns=())
    _require(table, "patient")
    numbers = [str(name) for name in table.select_dtypes("number") if name not in _NOT_MEASURES]
    measures = [name for name in numbers if table[name].notna().all()]
    if not measures:
        raise DataError("the table has no measures", expected="columns of numbers without gaps")
    return table, measures


def load_reports(spec: str, patients: int, seed: int) -> pd.DataFrame:
    """A table with one ``report`` of each ``patient``, in small letters.

    Parameters
    ----------
    spec : str
        ``synthetic``, or a table with ``subject``, ``patient``, ``site``, ``label``, ``report``.
    patients, seed : int
        Of the twin.

    Raises
    ------
    DataError
        If a column is not there, or a report is empty.
    """
    table = load_cohort(spec, twin=partial(make_reports, patients, seed=seed), columns=())
    _require(table, "patient", "report")
    texts = table["report"].fillna("").astype(str).str.strip().str.lower()
    if (texts == "").any():
        who = str(table["subject"][texts == ""].iloc[0])
        raise DataError(f"{who} has no report", expected="a text in the column report",
                        mend="leave the row out")  # fmt: skip
    first = ~table["patient"].duplicated()
    return table.assign(report=texts)[first].reset_index(drop=True)


def _require(table: pd.DataFrame, *columns: str) -> None:
    absent = [name for name in columns if name not in table]
    if absent:
        raise DataError(
            f"the table has no column {', '.join(absent)}", expected=", ".join(columns),
            found=", ".join(map(str, table.columns[:10])),
        )  # fmt: skip


def quasi_columns(table: pd.DataFrame, measures: Collection[str] = ()) -> pd.DataFrame:
    """A row a patient of what tells a person together with others, as text: age, sex, site."""
    from nextaim_kit.data.privacy.kanonymity import quasi_identifiers

    told = table.drop(columns=[*measures])
    names = [*quasi_identifiers(told), *({"site", "town"} & {*told.columns})]
    first = table[~table["patient"].duplicated()]
    return first[sorted(dict.fromkeys(names))].astype(str).reset_index(drop=True)


def parts(groups: NDArray, shares: Sequence[float], seed: int) -> list[NDArray]:
    """Rows of random parts of the patients, of such shares: (1, 1, 4) are a sixth, a sixth, rest.

    Raises
    ------
    DataError
        If a part has nobody.
    """
    names, member = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.round(np.cumsum(shares) / np.sum(shares) * len(names)).astype(int)
    sets = np.split(order, ends[:-1])
    if not all(map(len, sets)):
        raise DataError("too few patients to be divided", found=f"{len(names)} patients")
    return [np.flatnonzero(np.isin(member, one)) for one in sets]
