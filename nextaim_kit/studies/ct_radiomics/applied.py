"""Models of an earlier run, applied to a cohort that trained none of them."""

from __future__ import annotations

import pandas as pd

from nextaim_kit.data.cohort.loading import problems
from nextaim_kit.errors import DataError
from nextaim_kit.learn.model_file import SavedModels
from nextaim_kit.learn.predictions import pooled

_SEEN = "a patient of this name trained the model: not predicted"


def apply_models(saved: SavedModels, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict every patient of a table who is not one of the training cohort.

    Parameters
    ----------
    saved : SavedModels
        The first model must find its features; a baseline that does not is left out, and said.
    table : DataFrame
        ``subject``, ``site``, the features, and where known ``label``.

    Returns
    -------
    predictions : DataFrame
        ``model``, then the columns of `learn.pooled`; `y` is missing where there is no label.
    left_out : DataFrame
        ``subject``, ``problem``: the table's problems, and the patients who trained the models.

    Raises
    ------
    DataError
        If the first model lacks a feature, or no other patient is there.
    """
    known = table["subject"].isin(saved.seen.among(table["subject"]))
    named = table.loc[known, ["subject"]].assign(problem=_SEEN)
    if known.all():
        raise DataError(
            f"all {len(table)} subjects of the table trained the model",
            expected="other patients",
            found=", ".join(named["subject"].head(5)),
            mend="give another cohort; where they are others, give them other names",
        )
    others, (first, *baselines) = table[~known], saved.models.items()
    told = {first[0]: first[1].predictions(others)}
    for name, one in baselines:
        if one.lacking(others):
            print(f"{name} is left out: the table has no {', '.join(one.lacking(others)[:3])}")
        else:
            told[name] = one.predictions(others)
    every = [pooled(found).assign(model=name) for name, found in told.items()]
    predictions = pd.concat(every, ignore_index=True)
    predictions.insert(0, "model", predictions.pop("model"))
    return predictions, pd.concat([problems(table), named], ignore_index=True)
