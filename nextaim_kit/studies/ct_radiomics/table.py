"""The feature table that the later notebooks start from, whatever it is made of."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nextaim_kit.data.features import load_table
from nextaim_kit.data.source import SYNTHETIC
from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort, feature_columns
from nextaim_kit.studies.ct_radiomics.twin import make_twin

VOLUME, INVOLVEMENT = "lesion_volume_ml", "involvement_percent"


def feature_table(
    spec: str, *, patients: int = 450, seed: int = 2024, **columns: Any
) -> tuple[pd.DataFrame, list[str]]:
    """Load a feature table, or measure the synthetic twin (once; later it is remembered).

    Parameters
    ----------
    spec : str
        ``synthetic``, a CSV or parquet table, or the name of a data set with a table.
    patients, seed : int
        Size and seed of the synthetic twin.
    **columns
        As for `load_table`: which columns or second table tell subject, site and label.

    Returns
    -------
    table : DataFrame
        ``subject``, ``site``, ``label``, where known lesion volume (ml) and involvement (%),
        and the features.
    features : list of str
        pyradiomics' names where there are any, else every other number in the table.
    """
    if spec == SYNTHETIC:
        twin = make_twin(n=patients, seed=seed)
        table, failures = extract_cohort(twin)
        table.attrs["problems"] = failures[["subject", "problem"]].to_dict("records")
    else:
        table = load_table(spec, **columns)
    named = feature_columns(table)
    beside = ("subject", "site", "label", VOLUME, INVOLVEMENT)
    others = [
        c for c in map(str, table.columns) if c not in beside and not c.startswith("provenance_")
    ]
    return table, named or others
