"""Another cohort, on which nothing is trained, beside the first one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.loading import no_twin, problems
from nextaim_kit.learn.splits import patient_folds
from nextaim_kit.studies.cxr_severity import cohorts, hospitals
from nextaim_kit.studies.cxr_severity.clinical_values import read_clinical
from nextaim_kit.studies.cxr_severity.preprocessing import (
    at_size,
    load_even,
    load_masks,
    lungs_only,
)
from nextaim_kit.studies.cxr_severity.severity import Inputs, Rotation


def joined(
    spec: str, inputs: Inputs, *, masked: bool, folds: int, seed: int
) -> tuple[Inputs, Rotation, pd.DataFrame]:
    """Put an external cohort behind the one that is trained on.

    Parameters
    ----------
    spec : str
        As for `cohorts.load_films`; with outcomes, and lungs where `masked`.
    inputs : Inputs
        The first cohort. Patients of its names are left out of the other.
    masked : bool
        Take away what is not lung.
    folds : int
        One part of so many of the first cohort validates.
    seed : int

    Returns
    -------
    both : Inputs
        The first cohort's rows, then the other's, with the first one's clinical columns.
    rotation : (train, val, test)
        Rows of the first cohort to train and validate on; all of the other to test on.
    problems : DataFrame
        ``subject``, ``problem``: what cannot be used, is set aside, or is not there.

    Raises
    ------
    DataError
        If no film of the other cohort can be tested.
    """
    size = inputs.films.shape[1]
    table, _ = cohorts.load_films(spec, twin=no_twin)
    _, table = hospitals.by_outcome(cohorts.never_seen(table, inputs.patients))
    seen, frames, unread = load_even(table, size, inverted=table.get("truth_inverted"))
    lungs, without = load_masks(table, "lungs", frames)
    keep = cohorts.usable(table, unread, without if masked else without.head(0))
    left_out = problems(table)
    table, seen = table[keep].reset_index(drop=True), seen[keep]
    films = lungs_only(seen, at_size(lungs, size)[keep]) if masked else seen
    known = [str(name) for name in inputs.numbers if name in table]
    numbers, _, set_aside = read_clinical(table, known)
    lacking = [name for name in inputs.numbers if name not in known]
    absent = [{"subject": "all", "problem": f"no column {name}"} for name in lacking]
    both = Inputs(
        pd.concat([inputs.table, table], ignore_index=True),
        np.concatenate([inputs.films, films]),
        pd.concat([inputs.numbers, numbers.reindex(columns=inputs.numbers.columns)]).reset_index(
            drop=True
        ),
    )
    train, val = patient_folds(inputs.table, folds, seed=seed, group="patient")[0]
    test = np.arange(len(inputs.table), len(both.table))
    return both, (train, val, test), pd.concat([left_out, pd.DataFrame([*set_aside, *absent])])
