"""Nested cross-validation: every choice is made on training patients, every test is honest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import delayed
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from nextaim_kit.errors import DataError, RequestError
from nextaim_kit.learn.feature_checks import check_beside, check_features
from nextaim_kit.learn.final import Final, Seen
from nextaim_kit.learn.intervals import Interval
from nextaim_kit.learn.method import Method, Setting
from nextaim_kit.learn.metrics import auc, operating_point
from nextaim_kit.learn.models import estimator, pipeline
from nextaim_kit.learn.predictions import auc_over_folds, by_repeat, pooled
from nextaim_kit.learn.splits import Split, patient_folds
from nextaim_kit.machine.workers import parallel


@dataclass(frozen=True)
class NestedResult:
    """What a nested cross-validation found; lists have one item per repeat and outer fold.

    Attributes
    ----------
    predictions : DataFrame
        ``subject, site, fold, repeat, y, p, threshold``: a row per tested row and repeat.
    chosen : DataFrame
        ``fold, repeat, selector, k``, the hyper-parameters, ``inner_auc``.
    selected : list of list of str
        Features of each fold's model.
    models : list of Pipeline
        Fitted on the outer training part; they take rows of the table.
    test_index : list of array of int
        Tested rows: positions in the table that was given.
    """

    predictions: pd.DataFrame
    chosen: pd.DataFrame
    selected: list[list[str]]
    models: list[Pipeline]
    test_index: list[NDArray[np.int64]]

    def by_repeat(self) -> tuple[NDArray, NDArray, NDArray]:
        """Outcomes, predictions and thresholds: `predictions.by_repeat`."""
        return by_repeat(self.predictions)

    def pooled(self) -> pd.DataFrame:
        """One row per patient: `predictions.pooled`."""
        return pooled(self.predictions)

    def auc_over_folds(self) -> Interval:
        """Mean AUC of the folds, training and splits in its interval: `predictions`."""
        return auc_over_folds(self.predictions)


@dataclass(frozen=True)
class _Plan:
    """What all outer folds share."""

    table: pd.DataFrame
    columns: list[str]
    method: Method
    settings: list[Setting]
    rankings: dict[str, list[str]]


def nested_cv(
    table: pd.DataFrame,
    features: Sequence[str],
    method: Method,
    *,
    outer: int = 5,
    repeats: int = 1,
    splits: Mapping[str, Split] | Sequence[Split] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
) -> NestedResult:
    """Test a model on patients that had no part in any of its choices.

    In each outer training part an inner cross-validation chooses selector, number of features
    and hyper-parameters by the mean AUC of its folds (the first of equals), and the threshold
    (Youden) on the out-of-fold predictions of what it chose. The whole training part is then
    fitted once more, and the test part predicted. Imputation, scaling, harmonization and
    selection are fitted anew in every training part.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``site``, ``label`` (0, 1; rows without are left out), the features.
    features : sequence of str
    method : Method
        What is chosen from in every training part, and how.
    outer, repeats : int
        Folds that are tested; how often all is repeated with other folds.
    splits : mapping of str to (train, test), or sequence of them, optional
        Row positions in `table` instead of outer folds, such as `leave_one_site_out` gives.
    seed : int
    n_jobs : int, optional
        Processes over outer folds, by default this machine's cores, or with ``NEXTAIM_DASK`` the
        workers of that scheduler (`machine.workers`). The numbers do not depend on it.

    Raises
    ------
    RequestError
        If there is no such column, model, selector or parameter.
    DataError
        If there are no labels or only one, features are not numeric or infinite, or a class has
        fewer patients than folds.
    RunError
        If a process was killed, or the workers of ``NEXTAIM_DASK`` cannot be used.

    References
    ----------
    Varma and Simon 2006, doi:10.1186/1471-2105-7-91; leaks by selection: Ambroise and McLachlan
    2002, doi:10.1073/pnas.102102699.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": [f"P{k}" for k in range(24)], "site": ["A", "B"] * 12})
    >>> table = table.assign(label=[0, 0, 1, 1] * 6, size=[1.0, 2.0, 3.0, 4.0] * 6)
    >>> simple = Method("logistic", ["none"], grid={"C": [1.0]}, inner=2)
    >>> found = nested_cv(table, ["size"], simple, outer=3)
    >>> found.pooled().groupby("y")["called"].mean().tolist()
    [0.0, 1.0]
    """
    if repeats < 1:
        raise RequestError("repeats is out of bounds", expected="1 or more", found=str(repeats))
    plan, rows = _planned(table, features, method, seed)
    tasks = _tasks(table, rows, outer, repeats, seed, splits, method.by)
    done = parallel((delayed(outer_fold)(plan, *task) for task in tasks), n_jobs=n_jobs)
    predictions, chosen, models, tested = zip(*done, strict=True)
    return NestedResult(
        predictions=pd.concat(predictions, ignore_index=True),
        chosen=pd.DataFrame(list(chosen)),
        selected=[list(fitted["select"].selected_) for fitted in models],
        models=list(models),
        test_index=list(tested),
    )


def final_model(
    table: pd.DataFrame, features: Sequence[str], method: Method, *, seed: int = 0
) -> Final:
    """Train a model on all patients of a table, to be used and tested on others.

    Selection, hyper-parameters and threshold are chosen by inner folds of these patients, as in
    the outer folds of `nested_cv`, which tells how well a model made so does on others.

    Parameters
    ----------
    table, features, method, seed
        As for `nested_cv`.

    Raises
    ------
    RequestError, DataError
        As `nested_cv`.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": [f"P{k}" for k in range(24)], "site": ["A", "B"] * 12})
    >>> table = table.assign(label=[0, 0, 1, 1] * 6, size=[1.0, 2.0, 3.0, 4.0] * 6)
    >>> simple = Method("logistic", ["none"], grid={"C": [1.0]}, inner=2)
    >>> here, there = (table[table["site"] == site] for site in "AB")
    >>> final_model(here, ["size"], simple).predictions(there)["site"].unique().tolist()
    ['B']
    """
    plan, rows = _planned(table, features, method, seed)
    seed = _seed(seed, 0, 1)
    with threadpool_limits(1):
        setting, inner_auc, threshold = choose(plan, rows, seed)
        fitted = _pipeline(plan, setting, seed).fit(*_rows(plan, rows))
    return Final(
        fitted, list(features), threshold, _told(fitted, setting, inner_auc),
        Seen.of(table["subject"].iloc[rows]), tuple(plan.columns[len(features) :]),
    )  # fmt: skip


def shuffled_aucs(
    table: pd.DataFrame,
    features: Sequence[str],
    method: Method,
    *,
    permutations: int,
    seed: int = 0,
    **folds: Any,
) -> list[float]:
    """AUC of a model that was trained and tested on shuffled outcomes: what chance gives it.

    Parameters
    ----------
    table, features, method
        As for `nested_cv`; the outcomes change hands between patients.
    permutations : int
        How often all is shuffled and done again.
    seed : int
    **folds
        Further parameters of `nested_cv`.

    Returns
    -------
    list of float
        One per permutation. Their mean need not be 0.5: folds of few patients pull it below, and
        a leak lifts it.

    Examples
    --------
    >>> table = pd.DataFrame({"subject": [f"P{k}" for k in range(24)], "site": ["A", "B"] * 12})
    >>> table = table.assign(label=[0, 0, 1, 1] * 6, size=[1.0, 2.0, 3.0, 4.0] * 6)
    >>> simple = Method("logistic", ["none"], grid={"C": [1.0]}, inner=2)
    >>> [0 <= auc <= 1 for auc in shuffled_aucs(table, ["size"], simple, permutations=2, outer=3)]
    [True, True]
    """
    rng = np.random.default_rng(seed)
    outcome = table.dropna(subset=["label"]).groupby("subject")["label"].first()
    found = []
    for _ in range(permutations):
        mixed = outcome.set_axis(rng.permutation(outcome.index))
        other = table.assign(label=table["subject"].map(mixed))
        result = nested_cv(other, features, method, seed=seed, **folds)
        y, p, _ = result.by_repeat()
        found.append(float(np.mean([auc(y, one) for one in p.T])))
    return found


def _labeled(table: pd.DataFrame) -> NDArray[np.int64]:
    """Positions of the rows that have a label, after a look at the labels."""
    for column in ("subject", "site", "label"):
        if column not in table:
            raise DataError(
                f"the table has no column {column!r}",
                expected="subject, site, label and features",
                found=", ".join(map(str, table.columns[:5])),
            )
    rows = np.flatnonzero(table["label"].notna())
    values = set(table["label"].iloc[rows])
    if not values or values != {0, 1}:
        raise DataError(
            "the label must tell two classes apart",
            expected="both 0 and 1",
            found=f"{', '.join(map(str, sorted(values, key=str))) or 'none'} in {len(rows)} "
            f"labeled rows of {len(table)}",
            mend="add patients of the other class, or code the outcome as 0 and 1",
        )
    return rows


def _planned(
    table: pd.DataFrame, features: Sequence[str], method: Method, seed: int
) -> tuple[_Plan, NDArray[np.int64]]:
    """What all folds share, and the rows that have a label."""
    rows = _labeled(table)
    check_features(table, features)
    combat = method.combat
    beside = [] if combat is None else [combat.site, *combat.covariates]
    check_beside(table, beside)
    columns = [*features, *(name for name in beside if name not in features)]
    plan = _Plan(table, columns, method, method.settings(len(features)), {})
    if method.leaky:
        plan.rankings.update(_rankings(plan, rows, seed))
    return plan, rows


def _tasks(
    table: pd.DataFrame,
    rows: NDArray[np.int64],
    outer: int,
    repeats: int,
    seed: int,
    splits: Mapping[str, Split] | Sequence[Split] | None,
    by: Sequence[str],
) -> list[tuple[Any, int, Split, int]]:
    """Name, repeat, rows and seed of each outer fold."""
    tasks = []
    for repeat in range(repeats):
        if splits is None:
            parts = patient_folds(table.iloc[rows], outer, seed=_seed(seed, repeat), by=by)
            named: Any = {k: (rows[a], rows[b]) for k, (a, b) in enumerate(parts)}
        else:
            named = splits if isinstance(splits, Mapping) else dict(enumerate(splits))
        for number, (name, (train, test)) in enumerate(named.items()):
            split = (np.intersect1d(train, rows), np.intersect1d(test, rows))
            _check_apart(table, name, split)
            tasks.append((name, repeat, split, _seed(seed, repeat, number + 1)))
    return tasks


def _check_apart(table: pd.DataFrame, name: Any, split: Split) -> None:
    train, test = (set(table["subject"].iloc[part]) for part in split)
    if train & test or not test or not train:
        raise DataError(
            f"fold {name} cannot be used",
            expected="labeled patients to train and others to test",
            found=f"{len(train)} to train, {len(test)} to test, {len(train & test)} in both",
        )


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1)[0] % 2**31)


def outer_fold(
    plan: _Plan, name: Any, repeat: int, split: Split, seed: int
) -> tuple[pd.DataFrame, dict[str, Any], Pipeline, NDArray[np.int64]]:
    """Choose on the training part, fit it once more, and predict the tested part."""
    # One thread of linear algebra: sums in another order would change the last digits.
    with threadpool_limits(1):
        train, test = split
        setting, inner_auc, threshold = choose(plan, train, seed)
        fitted = _pipeline(plan, setting, seed).fit(*_rows(plan, train))
        X, y = _rows(plan, test)
        p = fitted.predict_proba(X)[:, 1].astype(float)
    predictions = plan.table[["subject", "site"]].iloc[test].reset_index(drop=True)
    predictions = predictions.assign(fold=name, repeat=repeat, y=y, p=p, threshold=threshold)
    chosen = {"fold": name, "repeat": repeat, **_told(fitted, setting, inner_auc)}
    return predictions, chosen, fitted, test


def _told(fitted: Pipeline, setting: Setting, inner_auc: float) -> dict[str, Any]:
    kept = len(fitted["select"].selected_)
    chosen = {"selector": setting["selector"], "k": kept}
    return {**chosen, **setting["hyper"], "inner_auc": inner_auc}


def choose(plan: _Plan, train: NDArray[np.int64], seed: int) -> tuple[Setting, float, float]:
    """Best setting by inner AUC, that AUC, and the threshold on its left-out predictions."""
    parts = patient_folds(plan.table.iloc[train], plan.method.inner, seed=seed, by=plan.method.by)
    p = np.empty((len(plan.settings), len(train)))
    for fit, left in parts:
        p[:, left] = _inner(plan, train[fit], train[left], seed)
    y = _rows(plan, train)[1]
    aucs = [np.mean([auc(y[left], one[left]) for _, left in parts]) for one in p]
    best = int(np.argmax(aucs))
    return plan.settings[best], float(aucs[best]), operating_point(y, p[best])


def _inner(plan: _Plan, fit: NDArray, left: NDArray, seed: int) -> NDArray[np.float64]:
    """Predictions of the rows left out, (settings, rows); each ranking is made once."""
    first = _pipeline(plan, plan.settings[0], seed)[:-2]
    X, y = _rows(plan, fit)
    ready, unseen = first.fit_transform(X, y), first.transform(_rows(plan, left)[0])
    rankings = _ranked(plan, ready, y, seed)
    p = np.empty((len(plan.settings), len(left)))
    for number, setting in enumerate(plan.settings):
        names = rankings[setting["selector"]][: setting["k"]]
        # Bare arrays: XGBoost looks at the names again for every tree, a third of the time.
        model = estimator(plan.method.model, seed, **setting["hyper"]).fit(
            ready[names].to_numpy(), y
        )
        p[number] = model.predict_proba(unseen[names].to_numpy())[:, 1]
    return p


def _ranked(plan: _Plan, ready: pd.DataFrame, y: NDArray, seed: int) -> dict[str, list[str]]:
    largest = {s["selector"]: s for s in plan.settings}  # numbers ascend: the last is the largest
    return {
        kind: _pipeline(plan, setting, seed)["select"].fit(ready, y).selected_
        for kind, setting in largest.items()
    }


def _rankings(plan: _Plan, rows: NDArray[np.int64], seed: int) -> dict[str, list[str]]:
    """The leak: rankings made on all rows."""
    X, y = _rows(plan, rows)
    first = _pipeline(plan, plan.settings[0], seed)[:-2]
    return _ranked(plan, first.fit_transform(X, y), y, seed)


def _pipeline(plan: _Plan, setting: Setting, seed: int) -> Pipeline:
    method, kind, k = plan.method, setting["selector"], setting["k"] or len(plan.columns)
    made = pipeline(
        method.model, selector=kind, k=k, combat=method.combat, seed=seed, **setting["hyper"]
    )
    return made.set_params(select__ranking=plan.rankings.get(kind))


def _rows(plan: _Plan, rows: NDArray[np.int64]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    part = plan.table.iloc[rows]
    return part[plan.columns], part["label"].to_numpy(int)
