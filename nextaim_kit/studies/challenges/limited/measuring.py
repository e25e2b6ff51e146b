"""Learning curves: every method at every size, in several draws, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from nextaim_kit.learn.delong import delong
from nextaim_kit.learn.intervals import Z95, Interval, resamples
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.progress import Bar
from nextaim_kit.studies.challenges.limited.ways import Learner, Name

COLUMNS = ["method", "patients", "draw", "row", "score"]


def learn_all(
    learner: Learner, names: Sequence[Name], sizes: Sequence[int], draws: int
) -> pd.DataFrame:
    """What each method says of those who are tested, at each size in each draw.

    Returns
    -------
    DataFrame
        ``method``, ``patients`` (whose labels were used), ``draw``, ``row`` (of the task),
        ``score``.
    """
    parts, bar = [], Bar()
    steps = [(d, n, name) for d in range(draws) for n in sizes for name in names]
    for done, (draw, size, name) in enumerate(steps, 1):
        known = learner.split.draw(size, draw, learner.seed)
        score = learner.scores(name, known, draw)
        rows = {"method": name, "patients": size, "draw": draw, "row": learner.split.test}
        parts.append(pd.DataFrame(rows | {"score": score}))
        bar.show("learning", done, len(steps), f"{done} of {len(steps)}, last {name} from {size}")
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def learning_curves(told: pd.DataFrame, task: StudyTask) -> pd.DataFrame:
    """AUC of each method at each size, the mean over draws.

    The interval holds both what other patients to be tested would change (DeLong) and what other
    patients to learn from and other first weights would (the spread over draws), by `both`.

    Returns
    -------
    DataFrame
        ``method``, ``patients``, ``value``, ``low``, ``high``, ``error``, ``draws``.
    """
    rows = []
    for method, size, one in _each(told):
        y, score, who = _scores(one, task)
        rows.append((method, size, *_interval(y, score, None, who), score.shape[1]))
    names = ["method", "patients", "value", "low", "high", "error", "draws"]
    return pd.DataFrame(rows, columns=names)


def of_each_draw(told: pd.DataFrame, task: StudyTask) -> pd.DataFrame:
    """``method``, ``patients``, ``draw``, ``auc``: what each draw alone would have said."""
    of = told.groupby(["method", "patients", "draw"], sort=False)
    found = of.apply(lambda one: aucs(task.y[one["row"]], one["score"].to_numpy()[:, None])[0])
    return found.rename("auc").reset_index()


def compared(told: pd.DataFrame, task: StudyTask, baseline: str) -> pd.DataFrame:
    """What the AUC of each method is above that of `baseline`, paired by patient and draw.

    Returns
    -------
    DataFrame
        As `learning_curves` has it, without the baseline, whose rows are in none.
    """
    rows = []
    for method, size, one in _each(told[told["method"] != baseline]):
        same = told[(told["method"] == baseline) & (told["patients"] == size)]
        y, score, who = _scores(one, task)
        rows.append((method, size, *_interval(y, score, _scores(same, task)[1], who)))
    return pd.DataFrame(rows, columns=["method", "patients", "value", "low", "high", "error"])


def both(value: float, tested: float, over_draws: NDArray[np.float64]) -> tuple[Interval, float]:
    """A mean over draws with its 95 % interval and its standard error.

    The variances of who is tested (`tested`, a standard error, of infinitely many degrees of
    freedom) and of the draws' mean are added; Student's t has the degrees of freedom of
    Satterthwaite (1946, doi:10.2307/3002019). One draw says nothing of draws.

    Examples
    --------
    >>> [round(float(one), 3) for one in both(0.8, 0.02, np.array([0.8, 0.8]))[0]]
    [0.8, 0.761, 0.839]
    """
    draws = len(over_draws)
    spread = over_draws.var(ddof=1) / draws if draws > 1 else 0.0
    error = float(np.sqrt(tested**2 + spread))
    wide = t.ppf(0.975, (draws - 1) * error**4 / spread**2) if spread > 0 else Z95
    return (value, value - wide * error, value + wide * error), error


@dataclass(frozen=True)
class Curve:
    """AUC of a method at each size, and of each resample of patients and draws.

    Attributes
    ----------
    method : str
    sizes : array of shape (k,)
        Labeled patients, ascending.
    auc : array of shape (1 + resamples, k)
        The first is the curve itself.
    error : array of shape (k,)
        Standard error of each size.
    """

    method: str
    sizes: NDArray[np.float64]
    auc: NDArray[np.float64]
    error: NDArray[np.float64]

    def first(self, count: int) -> Curve:
        """The first so many sizes, or all but the last."""
        return Curve(self.method, self.sizes[:count], self.auc[:, :count], self.error[:count])


def resampled(
    told: pd.DataFrame, task: StudyTask, *, n_boot: int = 500, seed: int = 0
) -> list[Curve]:
    """Curves of all methods, of the same resamples of the patients who are tested and of draws.

    All sizes are measured on the same patients, so that their errors go together; resampled, they
    still do. Draws are resampled as whole curves, since a larger size holds the smaller ones.

    Parameters
    ----------
    told : DataFrame
        Of `learn_all`.
    task : StudyTask
    n_boot, seed : int
    """
    wide = told.pivot(index="row", columns=["method", "patients", "draw"], values="score")
    rows, errors = wide.index.to_numpy(), learning_curves(told, task)
    y, who, scores = task.y[rows].astype(int), task.groups[rows], wide.to_numpy(float)
    draws, rng = sorted(set(told["draw"])), np.random.default_rng(seed)
    means: list[pd.Series] = []
    for weights in resamples(len(y), groups=who, classes=y, n_boot=n_boot, seed=seed):
        for drawn in weights.astype(int):
            at = np.repeat(np.arange(len(y)), drawn)
            each = pd.Series(aucs(y[at], scores[at]), wide.columns).unstack("draw")
            of = draws if not means else rng.choice(draws, len(draws))
            means.append(each[of].mean(axis=1))
    table = pd.DataFrame(means)
    return [
        Curve(
            str(method),
            one["patients"].to_numpy(float),
            np.stack([table[(method, size)].to_numpy() for size in one["patients"]], 1),
            one["error"].to_numpy(),
        )
        for method, one in errors.groupby("method", sort=False)
    ]


def aucs(y: NDArray, scores: NDArray) -> NDArray[np.float64]:
    """AUC of each column of scores, by ranks; tied scores count one half.

    Examples
    --------
    >>> aucs(np.array([0, 0, 1, 1]), np.array([[1, 4], [2, 3], [3, 2], [4, 1]])).tolist()
    [1.0, 0.0]
    """
    one = y == 1
    above, positive = rankdata(scores, axis=0)[one].sum(axis=0), int(one.sum())
    return (above - positive * (positive + 1) / 2) / (positive * (len(y) - positive))


def _each(told: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Rows of each method, in the order of the methods, and of each size, ascending."""
    for method, rows in told.groupby("method", sort=False):
        for size in sorted(rows["patients"].unique().tolist()):
            yield str(method), size, rows[rows["patients"] == size]


def _scores(one: pd.DataFrame, task: StudyTask) -> tuple[NDArray, NDArray, NDArray]:
    table = one.pivot(index="row", columns="draw", values="score")
    rows = table.index.to_numpy()
    return task.y[rows].astype(int), table.to_numpy(float), task.groups[rows]


def _interval(y: NDArray, score: NDArray, other: NDArray | None, who: NDArray) -> tuple[Any, ...]:
    def difference(draws: Any) -> Any:
        return delong(
            y, score[:, draws], other=None if other is None else other[:, draws], groups=who
        )

    whole = difference(slice(None))
    tested = 0.0 if np.isnan(whole.low) else (whole.value - whole.low) / Z95
    each = np.array([difference(k).value for k in range(score.shape[1])])
    (value, low, high), error = both(whole.value, tested, each)
    least = -1.0 if other is not None else 0.0
    return value, float(np.clip(low, least, 1)), float(np.clip(high, least, 1)), error
