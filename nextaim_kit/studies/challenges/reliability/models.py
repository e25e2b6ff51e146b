"""Models of any study, learned from some patients, whose trust is fitted on others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from nextaim_kit.errors import DataError
from nextaim_kit.learn.inference import apply
from nextaim_kit.learn.splits import leave_one_site_out, patient_folds
from nextaim_kit.learn.study_task import StudyTask
from nextaim_kit.machine.seeds import one_thread
from nextaim_kit.studies.challenges.limited.bodies import body_of
from nextaim_kit.studies.challenges.limited.training import Budget, fit, labeled

Rows = NDArray[np.int64]
Ask = Callable[[NDArray[np.float32]], NDArray[np.float64]]
_FOLDS = 8  # two are tested, two held back, one chooses the epoch, three are learned from
_COMPONENTS = 20  # of a table, for who looks for strangers
_SURE = 1e-6  # a probability is taken as no nearer to 0 or 1
_RARE = 2  # patients of each outcome that a site needs to be left out


@dataclass(frozen=True)
class Parts:
    """Who is learned from, who chooses the epoch, who is held back, who is tested.

    Attributes
    ----------
    train, val, held, test : array of int
        Rows of the task; no patient is in two of them. Temperature, conformal bound and the
        threshold of abstention are fitted on `held`.
    away : array of int
        Rows of a site that all others know nothing of; of none where no site was left out.
    """

    train: Rows
    val: Rows
    held: Rows
    test: Rows
    away: Rows

    @classmethod
    def of(cls, task: StudyTask, seed: int, site: str | None = None) -> Parts:
        """Divide a task's patients, those of one site set apart."""
        home, away = np.arange(len(task)), np.zeros(0, np.int64)
        if site is not None:
            home, away = leave_one_site_out(task.cohort)[site]
        folds = patient_folds(task.cohort.iloc[home], _FOLDS, seed=seed)
        tests = [home[test] for _, test in folds]
        train, held, test = (np.sort(np.concatenate(tests[a:b])) for a, b in _PLACES)
        return cls(train, tests[3], held, test, away)

    @property
    def known(self) -> Rows:
        """Who had a part in learning."""
        return np.concatenate([self.train, self.val])


_PLACES = ((0, 3), (4, 6), (6, 8))


def sites_to_leave(task: StudyTask, most: int) -> list[str]:
    """The largest sites, `most` of them, that have two patients of each outcome or more.

    Raises
    ------
    DataError
        If fewer than two are left, so that nobody would be learned from or nobody tested.
    """
    counts = task.cohort.groupby(["site", "label"])["subject"].nunique().unstack(fill_value=0)
    fit_for = counts[(counts >= _RARE).all(axis=1)].sum(axis=1)
    if len(counts) < 2 or not len(fit_for):
        raise DataError(
            f"{task.name} has no site to leave out",
            expected=f"two sites, one of them with {_RARE} patients of each outcome",
            found=f"{len(counts)} sites, {len(fit_for)} of them so",
            mend="take more patients, or a cohort of several sites",
        )
    return fit_for.sort_values(ascending=False, kind="stable").index[:most].tolist()


@dataclass(frozen=True)
class Model:
    """What a model says of inputs as the task has them.

    Attributes
    ----------
    logits : callable
        Inputs to log odds, shape (n,).
    deep : callable
        Inputs to what stands before the last layer, shape (n, d); of a table its components.
    seen : callable
        Inputs as numbers of one scale, shape (n, m), NaN where missing.
    """

    logits: Ask
    deep: Ask
    seen: Ask


def learn(
    task: StudyTask, parts: Parts, to: Path, budget: Budget, *, seed: int = 0, member: int = 0
) -> Model:
    """Learn a study's own model from the patients of `parts`.

    Parameters
    ----------
    task : StudyTask
    parts : Parts
    to : Path
        Folder where a network is kept.
    budget : Budget
        Of a network.
    seed, member : int
        A further member of an ensemble has other first weights; of a table other patients, drawn
        from the same with replacement.
    """
    build = partial(task.build, seed + 1000 * member)
    kept = _Table(task, parts.known) if task.modality == "table" else None
    if not isinstance(build(), nn.Module):
        assert kept is not None  # a task of images builds a network
        return _estimator(task, parts, build(), kept, seed=seed, member=member)
    shown = kept.filled if kept else _as_is
    train, val = (labeled(shown(task.x[rows]), task.y[rows]) for rows in (parts.train, parts.val))
    net = fit(build, (train, val), to / f"member_{member}", budget, seed=seed + 1000 * member)
    body, _ = body_of(net)
    return Model(
        lambda x: apply(net, shown(x), batch_size=64)[:, 0].double().numpy(),
        lambda x: apply(body, shown(x), batch_size=64).flatten(1).double().numpy(),
        kept.scaled if kept else lambda x: x.reshape(len(x), -1).astype(float),
    )


def ensemble(members: list[Model]) -> Model:
    """Models whose probabilities are averaged."""

    def logits(x: NDArray[np.float32]) -> NDArray[np.float64]:
        return log_odds(np.mean([1 / (1 + np.exp(-one.logits(x))) for one in members], axis=0))

    return replace(members[0], logits=logits)


def log_odds(p: NDArray) -> NDArray[np.float64]:
    """Log odds of probabilities, none taken as surer than one in a million."""
    p = np.clip(np.asarray(p, float), _SURE, 1 - _SURE)
    return np.log(p / (1 - p))


class _Table:
    """A table's numbers on the scale of those learned from, their gaps filled, its components."""

    def __init__(self, task: StudyTask, rows: Rows) -> None:
        from sklearn.decomposition import PCA

        known = task.x[rows].astype(float)
        there = ~np.isnan(known)
        count = np.maximum(there.sum(0), 1)
        self.mean = np.where(there, known, 0).sum(0) / count
        spread = np.sqrt(np.where(there, (known - self.mean) ** 2, 0).sum(0) / count)
        self.spread = np.where(spread > 0, spread, np.inf)
        size = min(_COMPONENTS, len(rows) // 4, task.x.shape[1])
        self.components = PCA(size, svd_solver="full").fit(self._zeroed(task.x[rows]))

    def scaled(self, x: NDArray) -> NDArray[np.float64]:
        """Distances from the mean in standard deviations, 10 at most."""
        return ((x.astype(float) - self.mean) / self.spread).clip(-10, 10)

    def _zeroed(self, x: NDArray) -> NDArray[np.float64]:
        return np.nan_to_num(self.scaled(x))

    def filled(self, x: NDArray) -> torch.Tensor:
        """As a network takes it."""
        return torch.from_numpy(self._zeroed(x).astype(np.float32))

    def deep(self, x: NDArray) -> NDArray[np.float64]:
        """The first principal components."""
        return self.components.transform(self._zeroed(x))


def _as_is(x: NDArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, np.float32))


def _estimator(
    task: StudyTask, parts: Parts, model: Any, kept: _Table, *, seed: int, member: int
) -> Model:
    rows = parts.known
    if member:
        rows = _drawn(task, rows, seed + member)
    with one_thread():
        model.fit(task.features.iloc[rows].reset_index(drop=True), task.y[rows])

    def logits(x: NDArray[np.float32]) -> NDArray[np.float64]:
        with one_thread():
            p = model.predict_proba(pd.DataFrame(x, columns=task.features.columns))[:, 1]
        return log_odds(p)

    return Model(logits, kept.deep, kept.scaled)


def _drawn(task: StudyTask, rows: Rows, seed: int) -> Rows:
    """Rows of as many patients of each outcome, drawn with replacement."""
    rng = np.random.default_rng(seed)
    alike = [rows[task.y[rows] == outcome] for outcome in (0, 1)]
    drawn = []
    for some in alike:
        names = np.unique(task.groups[some])
        for name in rng.choice(names, len(names)):
            drawn.append(some[task.groups[some] == name])
    return np.concatenate(drawn)
