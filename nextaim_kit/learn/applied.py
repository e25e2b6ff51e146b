"""Models of an earlier run, applied to a cohort that trained none of them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from nextaim_kit.data.cohort.loading import problems
from nextaim_kit.errors import DataError
from nextaim_kit.learn.final import Final, Seen
from nextaim_kit.learn.model_file import SavedModels
from nextaim_kit.learn.predictions import pooled

_SEEN = "a patient of this name trained the model: not predicted"


def unseen(
    table: pd.DataFrame, seen: Seen, *, by: str = "subject"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of a table whose patients (column `by`) trained nothing, and the names of the others.

    Returns
    -------
    others : DataFrame
        As the table, from row 0 on.
    named : DataFrame
        ``subject``, ``problem``.

    Raises
    ------
    DataError
        If nobody else is there.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": ["P1", "P2", "P3"]})
    >>> others, named = unseen(table, Seen.of(["P2"]))
    >>> others["subject"].tolist(), named["subject"].tolist()
    (['P1', 'P3'], ['P2'])
    """
    known = table[by].isin(seen.among(table[by].unique()))
    named = table.loc[known, ["subject"]].assign(problem=_SEEN).reset_index(drop=True)
    if known.all():
        raise DataError(
            f"all {len(table)} subjects of the table trained the model",
            expected="other patients",
            found=", ".join(named["subject"].head(5)),
            mend="give another cohort; where they are others, give them other names",
        )
    return table[~known].reset_index(drop=True), named


def predictions_of(models: Mapping[str, Final], table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Predictions of each model that finds its features; of the others a line says which lack."""
    told = {}
    for name, one in models.items():
        if one.lacking(table):
            print(f"{name} is left out: the table has no {', '.join(one.lacking(table)[:3])}")
        else:
            told[name] = one.predictions(table)
    return told


def one_table(told: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several models, a row per patient: ``model``, then the columns of `pooled`."""
    every = [pooled(found).assign(model=name) for name, found in told.items()]
    predictions = pd.concat(every, ignore_index=True)
    predictions.insert(0, "model", predictions.pop("model"))
    return predictions


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

    Examples
    --------
    >>> from nextaim_kit.learn import Method, final_model
    >>> from nextaim_kit.learn.model_file import TrainedOn
    >>> table = pd.DataFrame({"subject": [f"P{k}" for k in range(24)], "site": "A"})
    >>> table = table.assign(label=[0, 0, 1, 1] * 6, size=[1.0, 2.0, 3.0, 4.0] * 6)
    >>> made = final_model(table[4:], ["size"], Method("logistic", ["none"], inner=2))
    >>> who = {"name": "table.csv", "sha256": None, "synthetic": False}
    >>> saved = SavedModels({"size": made}, TrainedOn.of(who, made.seen), {})
    >>> predictions, left_out = apply_models(saved, table)
    >>> predictions["subject"].tolist(), len(left_out)
    (['P0', 'P1', 'P2', 'P3'], 20)
    """
    others, named = unseen(table, saved.seen)
    (name, first), *baselines = saved.models.items()
    told = {name: first.predictions(others)} | predictions_of(dict(baselines), others)
    return one_table(told), pd.concat([problems(table), named], ignore_index=True)
