"""Predictions of patients that were tested, once or in several repeats, as one kind of table.

Its columns are ``subject, site, fold, repeat, y, p, threshold``: a row per tested row and repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nextaim_kit.errors import DataError
from nextaim_kit.learn.delong import delong
from nextaim_kit.learn.intervals import BOUNDS, Interval, over_folds
from nextaim_kit.learn.metrics import auc, auc_interval, evaluate


def by_repeat(predictions: pd.DataFrame) -> tuple[NDArray, NDArray, NDArray]:
    """Outcomes (n,), predictions and thresholds (n, repeats) of the patients, by subject.

    What `learn.metrics` takes; a patient of several rows, such as films, has their mean.

    Examples
    --------
    >>> rows = [("P1", "A", 0, 0.2), ("P2", "A", 1, 0.4), ("P3", "B", 0, 0.1), ("P4", "B", 1, 0.9)]
    >>> tested = pd.DataFrame(rows, columns=["subject", "site", "y", "p"])
    >>> tested = tested.assign(fold=[0, 0, 1, 1], repeat=0, threshold=0.5)
    >>> y, p, threshold = by_repeat(tested)
    >>> y.tolist(), p[:, 0].tolist()
    ([0.0, 1.0, 0.0, 1.0], [0.2, 0.4, 0.1, 0.9])
    """
    rows = predictions.groupby(["subject", "repeat"])[["y", "p", "threshold"]].mean()
    wide = rows.unstack("repeat")
    return wide["y"].to_numpy()[:, 0], wide["p"].to_numpy(), wide["threshold"].to_numpy()


def pooled(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per patient, by subject: ``subject, site, y, p, threshold, called``.

    `p` and `threshold` are means over rows and repeats, to look at and to draw; measures are taken
    `by_repeat`. `called` tells if the mean of a patient's rows reached the threshold in at least
    half of the repeats (with one repeat: if ``p >= threshold``).

    Examples
    --------
    >>> rows = [("P1", "A", 0, 0.2), ("P2", "A", 1, 0.4), ("P3", "B", 0, 0.1), ("P4", "B", 1, 0.9)]
    >>> tested = pd.DataFrame(rows, columns=["subject", "site", "y", "p"])
    >>> tested = tested.assign(fold=[0, 0, 1, 1], repeat=0, threshold=0.5)
    >>> pooled(tested)[["subject", "p", "called"]].to_numpy().tolist()
    [['P1', 0.2, False], ['P2', 0.4, False], ['P3', 0.1, False], ['P4', 0.9, True]]
    """
    rows = predictions.groupby(["subject", "repeat"])[["p", "threshold"]].mean()
    rows["called"] = rows["p"] >= rows["threshold"]
    # A patient may have films of two sites: the first one counts.
    who = predictions.drop_duplicates("subject").set_index("subject")[["site", "y"]]
    table = who.join(rows.groupby("subject").mean()).sort_index().reset_index()
    return table.assign(called=table["called"] >= 0.5)


def patients_of(predictions: pd.DataFrame) -> NDArray | None:
    """Patient of each subject, by subject; nothing where the table has no column ``patient``.

    Where a patient has several subjects, such as the masses of a breast, they are resampled
    together.
    """
    if "patient" not in predictions:
        return None
    return predictions.groupby("subject")["patient"].first().to_numpy()


def auc_over_folds(predictions: pd.DataFrame) -> Interval:
    """Mean AUC of the folds with an interval that holds training and splits: value, low, high.

    Resampled patients keep the models that were fitted; here every fold has its own model and its
    own patients (`intervals.over_folds`). Folds of one outcome are left out. The mean is not that
    of the pooled predictions, whose order is also across folds.
    """
    aucs, tested = [], []
    for _, fold in predictions.groupby(["repeat", "fold"], sort=False):
        patients = fold.groupby("subject")[["y", "p"]].mean()
        tested.append(len(patients))
        if patients["y"].nunique() == 2:
            aucs.append(auc(patients["y"], patients["p"]))
    n, test = predictions["subject"].nunique(), float(np.mean(tested))
    found = over_folds(aucs, test / (n - test) if n > test else np.inf)
    low, high = np.clip(found[1:], 0, 1)  # Student's t knows no bounds
    return found[0], float(low), float(high)


def compare_models(
    predictions: Mapping[str, pd.DataFrame],
    *,
    act_at: float | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure several models on the same patients, and the first one against each other.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        By the models' names, in order: the first is the one that is compared with the others.
        A column ``patient`` tells whose subjects are resampled together.
    act_at, n_boot, seed
        As for `evaluate`.

    Returns
    -------
    models : DataFrame
        ``name``, then the columns of `evaluate`; after its metrics ``auc_over_folds``.
    differences : DataFrame
        ``comparison``, ``difference`` in AUC with ``low`` and ``high`` (paired, patients
        resampled), ``verdict`` of that interval, and beside it by DeLong's formula ``delong_low``,
        ``delong_high``, ``delong_p`` (`delong`).

    Raises
    ------
    DataError
        If the models were not tested on the same patients.

    Examples
    --------
    >>> rows = [("P1", "A", 0, 0.2), ("P2", "A", 1, 0.4), ("P3", "B", 0, 0.1), ("P4", "B", 1, 0.9)]
    >>> tested = pd.DataFrame(rows, columns=["subject", "site", "y", "p"])
    >>> tested = tested.assign(fold=[0, 0, 1, 1], repeat=0, threshold=0.5)
    >>> both = {"film": tested, "age": tested.assign(p=0.3)}
    >>> models, differences = compare_models(both, n_boot=50)
    >>> models[models["metric"] == "auc"][["name", "value"]].to_numpy().tolist()
    [['film', 1.0], ['age', 0.5]]
    """
    tables = {name: by_repeat(one) for name, one in predictions.items()}
    (first, (y, p, _)), *others = tables.items()
    tested = {name: set(one["subject"]) for name, one in predictions.items()}
    apart = [name for name in tested if tested[name] != tested[first]]
    if apart:
        raise DataError(
            f"{apart[0]} and {first} cannot be compared",
            expected="models that were tested on the same patients",
            found=f"{len(tested[apart[0]] ^ tested[first])} patients of one only",
        )
    who = patients_of(predictions[first])
    how: dict[str, Any] = {"groups": who, "n_boot": n_boot, "seed": seed}
    measured, gains = [], []
    for name, (_, q, threshold) in tables.items():
        found = evaluate(y, q, threshold=threshold, act_at=act_at, **how)
        over = ("auc_over_folds", *auc_over_folds(predictions[name]), len(y), "over folds", "")
        row = pd.DataFrame([over], columns=found.columns)
        measured.append(pd.concat([found, row]).assign(name=name))
    for name, (_, q, _) in others:
        gain = auc_interval(y, p, other=q, **how)
        _, *by_formula = delong(y, p, other=q, groups=who)
        verdict = "better" if gain[1] > 0 else "worse" if gain[2] < 0 else "not shown to differ"
        gains.append((f"{first} - {name}", *gain, verdict, *by_formula))
    models = pd.concat(measured, ignore_index=True)
    models.insert(0, "name", models.pop("name"))
    columns = ["comparison", "difference", *BOUNDS[1:], "verdict"]
    columns += ["delong_low", "delong_high", "delong_p"]
    return models, pd.DataFrame(gains, columns=columns)


def of_patients(subject: NDArray, values: NDArray) -> NDArray[np.float64]:
    """Mean of the rows of each patient, by subject."""
    return pd.Series(np.asarray(values, float)).groupby(np.asarray(subject)).mean().to_numpy()
