"""Which features a nested model leans on, always on patients it has not been fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nextaim_kit.errors import RunError
from nextaim_kit.learn.metrics import auc

if TYPE_CHECKING:
    from nextaim_kit.learn.nested import NestedResult

_ADDITIVE = 1e-3


def shap_out_of_fold(
    result: NestedResult, table: pd.DataFrame, features: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """SHAP values of each patient under the model that did not see it.

    There are no background data: what a tree gives where a feature is not known is the mean of
    its branches, by the training patients that went down each (``tree_path_dependent``).

    Parameters
    ----------
    result : NestedResult
        Of tree models: their pipelines and the rows each was tested on.
    table : DataFrame
        What was given to `nested_cv`.
    features : sequence of str

    Returns
    -------
    values : DataFrame of shape (n, p)
        In log-odds; 0 where a fold did not select the feature; mean over repeats.
    data : DataFrame of shape (n, p)
        The same patients' features.

    Raises
    ------
    RunError
        If values and base do not add up to the model's output.

    References
    ----------
    Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9.

    Examples
    --------
    >>> from nextaim_kit.learn import Method, nested_cv
    >>> y = [0, 1] * 20
    >>> table = pd.DataFrame({"subject": range(40), "site": "A", "label": y, "size": y})
    >>> found = nested_cv(table, ["size"], Method(selectors=["none"], inner=2), outer=2)
    >>> values, features = shap_out_of_fold(found, table, ["size"])
    >>> bool((values["size"][features["size"] == 1] > 0).all())
    True
    """
    import shap

    total = np.zeros((len(table), len(features)))
    seen = np.zeros(len(table))
    place = {name: k for k, name in enumerate(features)}
    for model, rows in zip(result.models, result.test_index, strict=True):
        ready, names = _before_last(model, table.iloc[rows])
        explained = shap.TreeExplainer(model[-1])(ready)
        _check_additive(model[-1], ready, explained)
        columns = np.array([place[name] for name in names])
        total[np.ix_(rows, columns)] += explained.values
        seen[rows] += 1
    tested = np.flatnonzero(seen)
    values = total[tested] / seen[tested, None]
    data = table.iloc[tested][list(features)].reset_index(drop=True)
    return pd.DataFrame(values, columns=list(features)), data


def permutation_importance(
    result: NestedResult,
    table: pd.DataFrame,
    features: Sequence[str],
    *,
    n_repeats: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Drop of the AUC on left-out patients when one feature is shuffled among them.

    Returns
    -------
    DataFrame
        ``feature``, ``drop`` (mean over folds; 0 in a fold that did not select it), ``sd`` (over
        folds), ``folds`` (share of them that selected it); largest drop first. Features that no
        fold selected are left out.

    References
    ----------
    Breiman 2001, doi:10.1023/A:1010933404324.

    Examples
    --------
    >>> from nextaim_kit.learn import Method, nested_cv
    >>> y = [0, 1] * 20
    >>> table = pd.DataFrame({"subject": range(40), "site": "A", "label": y, "size": y})
    >>> found = nested_cv(table, ["size"], Method(selectors=["none"], inner=2), outer=2)
    >>> bool(permutation_importance(found, table, ["size"])["drop"][0] > 0.3)
    True
    """
    rng = np.random.default_rng(seed)
    used = sorted({name for chosen in result.selected for name in chosen})
    drops: dict[str, list[float]] = {name: [] for name in used}
    for model, rows, chosen in zip(result.models, result.test_index, result.selected, strict=True):
        test = table.iloc[rows]
        y = test["label"].to_numpy(int)
        if len(np.unique(y)) < 2:
            continue
        whole = auc(y, model.predict_proba(test)[:, 1])
        for name in used:
            lost = 0.0
            for _ in range(n_repeats if name in chosen else 0):
                shuffled = test.assign(**{name: rng.permutation(test[name].to_numpy())})
                lost += whole - auc(y, model.predict_proba(shuffled)[:, 1])
            drops[name].append(lost / n_repeats)
    share = {name: np.mean([name in chosen for chosen in result.selected]) for name in used}
    rows_ = [(name, np.mean(d), np.std(d), share[name]) for name, d in drops.items() if d]
    found = pd.DataFrame(rows_, columns=["feature", "drop", "sd", "folds"])
    return found.sort_values("drop", ascending=False, ignore_index=True)


def _before_last(model: Any, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    ready = model[:-1].transform(rows)
    return ready, [str(name) for name in ready.columns]


def _check_additive(estimator: Any, ready: pd.DataFrame, explained: Any) -> None:
    margin = estimator.predict(ready, output_margin=True)
    gap = np.abs(explained.values.sum(1) + explained.base_values - margin).max()
    if gap > _ADDITIVE:
        raise RunError("SHAP values do not add up to the model's output", found=f"gap {gap:.3g}")
