"""The feature table that the later notebooks start from, whatever it is made of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from nextaim_kit.data.cohort.feature_names import like_an_outcome, named_as_features
from nextaim_kit.data.cohort.features import column_use, large_sites, load_table
from nextaim_kit.data.datasets.source import SYNTHETIC
from nextaim_kit.errors import RequestError
from nextaim_kit.learn.univariate import near_perfect
from nextaim_kit.studies.ct_radiomics.extraction import extract_cohort
from nextaim_kit.studies.ct_radiomics.twin import make_twin

VOLUME, INVOLVEMENT = "lesion_volume_ml", "involvement_percent"
SIMPLE = {"lesion volume": VOLUME, "involvement": INVOLVEMENT}  # baselines of one number


def feature_table(
    spec: str, *, patients: int = 450, seed: int = 2024, **columns: Any
) -> tuple[pd.DataFrame, list[str]]:
    """Load a feature table, or measure the synthetic twin (once; later it is remembered).

    A feature that is named like an outcome, or that alone tells the outcome, is warned about.

    Parameters
    ----------
    spec : str
        ``synthetic``, a table, or the name of a data set with a table.
    patients, seed : int
        Size and seed of the synthetic twin.
    **columns
        As for `load_table`: which columns or second table tell subject, site, label, features.

    Returns
    -------
    table : DataFrame
        ``subject``, ``site``, ``label``, where known lesion volume (ml) and involvement (%),
        and the features. `column_use` tells which columns were left out.
    features : list of str
        Features with a value in any subject, in the table's order.
    """
    if spec == SYNTHETIC:
        return _of_twin(patients, seed, **columns)
    table = load_table(spec, beside=(VOLUME, INVOLVEMENT), **columns)
    used = column_use(table).query("use == 'feature'")
    features = list(used["column"])
    doubtful = [f for f in features if like_an_outcome(f) and f not in named_as_features([f])]
    doubtful += [f for f in near_perfect(table, features) if f not in doubtful]
    if doubtful:
        warnings.warn(
            f"{len(doubtful)} features may be the outcome itself, or made from it: "
            + ", ".join(doubtful[:8]),
            stacklevel=2,
        )
    return table, features


def with_logarithms(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``lesion volume`` and ``involvement``, log(1 + x), where they are known."""
    known = {n: c for n, c in SIMPLE.items() if c in table and table[c].notna().any()}
    return table.assign(**{name: np.log1p(table[column]) for name, column in known.items()})


def _of_twin(
    patients: int, seed: int, *, min_site_size: int = 1, **columns: Any
) -> tuple[pd.DataFrame, list[str]]:
    own = {name: name.removesuffix("_column") for name in columns if name != "feature_columns"}
    named = [f"{n}={v!r}" for n, v in columns.items() if v and v != own.get(n)]
    if named:
        raise RequestError(
            "the synthetic twin has columns of its own",
            expected="its columns as they are",
            found=", ".join(named),
            mend="give your table too: features=...",
        )
    table, failures = extract_cohort(make_twin(n=patients, seed=seed))
    table, small = large_sites(table, min_site_size)
    if table.empty:
        raise RequestError(
            f"no site of the synthetic twin has {min_site_size} subjects",
            found=small[0]["problem"],
            mend="lower min_site_size, or take more patients",
        )
    named = named_as_features(map(str, table))
    features = [name for name in named if table[name].notna().any()]
    table.attrs["problems"] = failures[["subject", "problem"]].to_dict("records") + small
    table.attrs["columns"] = [{"column": f, "use": "feature", "note": ""} for f in features]
    return table, features
